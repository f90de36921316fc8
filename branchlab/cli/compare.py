"""``compare``: what it is asked for; ``compare_text`` says the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from branchlab.cli.app import branch_names
from branchlab.cli.compare_text import print_comparison, print_examples, print_slices
from branchlab.cli.documents import compare_document, print_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.domain import Scale
from branchlab.lab.judge import compare as judge

if TYPE_CHECKING:
    from branchlab.lab.judge_slices import SlicedBranch


@click.command(
    epilog="\b\nExamples:\n  branchlab compare\n  branchlab compare squeeze-excite --metric val/loss --json\n"
    "  branchlab compare --metric 'val/accuracy[shirt]' --scale full\n"
    "  branchlab compare squeeze-excite --slices --examples"
)
@branches_argument
@click.option("--metric", metavar="M", help="Another metric than [run] metric, or a slice of one.")
@click.option(
    "--against", metavar="B", shell_complete=branch_names, help="Another branch than main."
)
@click.option(
    "--scale",
    type=click.Choice([str(scale) for scale in Scale]),
    help="Runs of this scale alone; else of each branch the one with most seeds done.",
)
@click.option("--slices", "with_slices", is_flag=True, help="Each part of the validation set, too.")
@click.option(
    "--examples",
    "with_examples",
    is_flag=True,
    help="Also a paired test over examples: luck of the test set, not of training.",
)
@json_option
def compare(
    branches: tuple[str, ...],
    metric: str | None,
    against: str | None,
    scale: str | None,
    with_slices: bool,
    with_examples: bool,
    as_json: bool,
) -> None:
    """Say whether branches are better than main, with an interval and the number of seeds.

    Runs are paired by seed, the noise of seeds is pooled over all branches compared, and p values are adjusted for
    their number (Holm). Fewer than two common seeds are never a verdict. Runs of the sample and of the full set are
    never compared. How verdicts come about, and what they do not say: docs/verdicts.md. A wide terminal draws the
    intervals on one axis.
    """
    project = project_here()
    found = judge(
        project,
        branches,
        metric=metric,
        against=against,
        scale=None if scale is None else Scale(scale),
    )
    sliced: Sequence[SlicedBranch] = ()
    by_example = None
    if with_slices:
        from branchlab.lab.judge_slices import judge_slices

        sliced = judge_slices(project, found)
    if with_examples:
        from branchlab.lab.judge_examples import judge_examples

        by_example = judge_examples(project, found)
    if as_json:
        print_document(compare_document(found, sliced=sliced, by_example=by_example))
        return
    print_comparison(project, found)
    if with_slices:
        print_slices(found, sliced)
    if by_example is not None:
        print_examples(found, by_example)

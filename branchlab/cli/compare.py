"""``compare``: verdicts in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.cli.app import branch_names
from branchlab.cli.documents import compare_document, print_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.table import outcome_text, table
from branchlab.cli.trust_line import trust_line
from branchlab.domain import Scale
from branchlab.lab.judge import Comparison, Judged, why_none
from branchlab.lab.judge import compare as judge
from branchlab.lab.words import few, figure
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.analysis.by_example import ByExample
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
    never compared. How verdicts come about, and what they do not say: docs/verdicts.md.
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
    print_comparison(found)
    if with_slices:
        _print_slices(found, sliced)
    if by_example is not None:
        _print_examples(found, by_example)


def print_comparison(found: Comparison) -> None:
    """Print verdicts for people, the best branch first."""
    click.echo(f"{safe_text(found.metric)} ({found.goal}), against {safe_text(found.against)}\n")
    rows = []
    for one in _best_first(found):
        values = list(one.results.seeds(found.metric).values())
        verdict = one.verdict
        why = why_none(one, found) or (verdict.sentence.partition(": ")[2] if verdict else "")
        rows.append(
            [
                safe_text(one.subject.branch),
                figure(sum(values) / len(values) if values else None),
                outcome_text(verdict.outcome) if verdict else "- no result",
                safe_text(why),
            ]
        )
    if not rows:
        click.echo("nothing to compare; train some branches: branchlab run --all-branches")
        return
    click.echo(table(rows, header=["BRANCH", "MEAN", "VERDICT", "WHY"], right=(1,)))
    for name, said in found.samples.items():
        click.echo(f"! {safe_text(name)} {safe_text(said)}: its verdict is about the data too")
    for name, said in found.environments.items():
        click.echo(f"! {safe_text(name)} trained in another environment: {safe_text(said)}")
    for scale in sorted(set(found.other_scales.values())):
        names = [safe_text(name) for name, other in found.other_scales.items() if other is scale]
        click.echo(
            f"{few(names)}: also run at the {scale} scale, which is never mixed in: --scale {scale}"
        )
    if found.trust is not None:
        click.echo(f"\n{trust_line(found.trust)}")


def _best_first(found: Comparison) -> list[Judged]:
    sign = 1 if found.goal == "max" else -1
    return sorted(
        found.judged,
        key=lambda j: (
            j.verdict is None or j.verdict.difference is None,
            -sign * ((j.verdict.difference or 0.0) if j.verdict else 0.0),
        ),
    )


def _print_slices(found: Comparison, sliced: Sequence[SlicedBranch]) -> None:
    by_branch = {one.branch: one for one in sliced}
    for judged in _best_first(found):
        one = by_branch[judged.subject.branch]
        if not one.verdicts:
            continue
        rows = [
            [
                safe_text(part.removeprefix(found.metric)),
                figure(one.means[part]),
                difference_text(verdict),
                interval_text(verdict),
                outcome_text(verdict.outcome),
            ]
            for part, verdict in one.verdicts.items()
        ]
        click.echo(
            f"\n{click.style(safe_text(one.branch), bold=True)}, by slice of {safe_text(found.metric)}: "
            f"verdicts are adjusted for their number ({len(rows)}), intervals are not"
        )
        header = ["SLICE", "MEAN", f"Δ {safe_text(found.against)}", "INTERVAL", "VERDICT"]
        click.echo(table(rows, header=header, right=(1, 2)))
    if not any(one.verdicts for one in sliced):
        click.echo(
            f"\nno run has slices of {safe_text(found.metric)}: the shared trainer keeps them by class and by "
            "branchlab.Splits(val_groups=…), for runs from now on"
        )


def _print_examples(found: Comparison, by_example: Mapping[str, ByExample]) -> None:
    click.echo("\nby example: luck of the test set, not of training; it never decides")
    rows = []
    for judged in _best_first(found):
        name = judged.subject.branch
        test = by_example.get(name)
        if test is None:
            rows.append([safe_text(name), "", "", "", "no results by example of both"])
            continue
        rows.append(
            [
                safe_text(name),
                f"{test.gained:.1f}",
                f"{test.lost:.1f}",
                f"{test.p_value:.2g}",
                f"{_TESTS[test.test]}, {test.num_examples:,} examples, {test.num_seeds} seeds",
            ]
        )
    click.echo(table(rows, header=["BRANCH", "HIGHER", "LOWER", "P", "TEST"], right=(1, 2, 3)))


_TESTS = {"mcnemar": "McNemar mid-p", "paired-t": "paired t"}

"""``sample``: the representative sample, drawn and looked at."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import click

from branchlab.cli.documents import print_document
from branchlab.cli.options import json_option, project_here
from branchlab.cli.sample_documents import sample_document
from branchlab.cli.telling import say_notes, telling
from branchlab.domain import SampleCheck, Strata
from branchlab.lab.sample import SampleReport, draw_sample
from branchlab.terminal_text import safe_text

_WIDTH_MAX = 120
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "yellow")}
_BY = {
    Strata.CLASSES: "class by class",
    Strata.LABELS: "by the labels that examples have",
    Strata.MASKS: "by the classes in masks and their pixels",
    Strata.NONE: "at random",
}


@click.command(
    epilog="\b\nExamples:\n  branchlab sample\n  branchlab sample --fraction 0.05 --json"
)
@click.option("--fraction", type=float, metavar="F", help="Of the training set. [sample.fraction]")
@click.option(
    "--anew", is_flag=True, help="Draw it again on main's tip, where it is known already."
)
@json_option
@click.pass_context
def sample(ctx: click.Context, fraction: float | None, anew: bool, as_json: bool) -> None:
    """Draw the reduced set that experiments train on, and say how far it looks like the whole.

    It is drawn once, with main's code, and written down; runs of every branch hold their data against it. Exits with 1
    when a check falls short.
    """
    project = project_here()
    with telling() as tell:
        found = draw_sample(project, fraction=fraction, is_anew=anew, tell=tell)
    if as_json:
        print_document(sample_document(found))
    else:
        print_sample(found)
    ctx.exit(1 if any(check.is_ok is False for check in found.manifest.checks) else 0)


def print_sample(found: SampleReport) -> None:
    """Print a sample and its checks for people."""
    manifest = found.manifest
    drawn = manifest.drawn
    own = drawn.sample
    how = _BY[manifest.strata] if own.strategy == "stratified" else own.strategy
    groups = f", in {manifest.num_groups:,} whole groups" if manifest.num_groups else ""
    click.echo(
        f"{click.style(f'{drawn.num:,} of {drawn.of:,}', bold=True)} training examples: "
        f"fraction {own.fraction:g}, drawn {safe_text(how)}{groups}, seed {own.seed}"
    )
    when = "now" if found.is_new else manifest.made_at.strftime("%Y-%m-%d")
    click.echo(f"drawn {when} on {manifest.commit[:10]}, digest {drawn.digest}\n")
    print_checks(manifest.checks)
    say_notes(found.notes)
    click.echo()
    if found.picture is not None:
        click.echo(f"picture   {found.picture}")
    click.echo(f"manifest  {found.path}")


def print_checks(checks: Sequence[SampleCheck]) -> None:
    """Print checks, each a name and its sentence, broken where the terminal ends."""
    longest = max(len(check.name) for check in checks)
    columns = min(_WIDTH_MAX, shutil.get_terminal_size().columns)
    for check in checks:
        mark, colour = _MARKS[check.is_ok]
        name = check.name.ljust(longest)
        text = click.wrap_text(
            safe_text(check.sentence),
            width=columns,
            initial_indent=f"{mark} {name}  ",
            subsequent_indent=" " * (longest + 4),
        )
        click.echo(click.style(text[0], fg=colour) + text[1:])

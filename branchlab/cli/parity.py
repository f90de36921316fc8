"""``parity``: what training shows of a merge, off and on."""

from __future__ import annotations

import click

from branchlab.cli.app import branch_names
from branchlab.cli.documents import parity_document, print_document
from branchlab.cli.options import json_option, project_here
from branchlab.cli.telling import telling
from branchlab.domain import Parity, ParityCheck, ParityStatus
from branchlab.lab.parity import STEPS, ParityRequest, prove_parity
from branchlab.terminal_text import safe_text

_COLOURS = {
    ParityStatus.NEUTRAL: "green",
    ParityStatus.DIFFERS: "red",
    ParityStatus.NOT_RUN: "yellow",
}


@click.command(
    epilog="\b\nExamples:\n  branchlab parity squeeze-excite\n  branchlab parity se --json"
)
@click.argument("branch", shell_complete=branch_names)
@click.option("--steps", default=STEPS, show_default=True, help="Steps that are compared.")
@click.option("--seeds", default=1, show_default=True, help="Trainings on each side.")
@click.option("--device", help="auto, cpu, mps, cuda or cuda:N; as the config says unless given.")
@json_option
@click.pass_context
def parity(
    ctx: click.Context, branch: str, steps: int, seeds: int, device: str | None, as_json: bool
) -> None:
    """Prove by training that a branch may be merged: off, main stays what it was; on, it trains like the branch.

    The merge is made in memory, and trained beside main with every flag at its default: the same bits at every step, or the
    first difference with its place and its remedy. Then with the experiment's flags on, beside the branch itself.
    """
    project = project_here()
    request = ParityRequest(steps=steps, seeds=seeds, device=device)
    with telling() as tell:
        found = prove_parity(project, branch, request, tell=tell)
    if as_json:
        print_document(parity_document(found))
    else:
        print_parity(found)
    ctx.exit(0 if found.holds else 1)


def print_parity(found: Parity) -> None:
    """Print both checks for people."""
    click.echo(click.style(safe_text(found.branch), bold=True))
    for name, check in (("off", found.off), ("on", found.on)):
        print_check(name, check)


def print_check(name: str, check: ParityCheck) -> None:
    """Print one check: status, steps, and where it first differs."""
    status = click.style(str(check.status), fg=_COLOURS[check.status])
    steps = f", {check.steps} steps" if check.steps else ""
    what = f"  {safe_text(check.compared)}{steps}" if check.compared else ""
    click.echo(f"  {name:<4}{status}{what}")
    first = check.first_difference
    if first is not None:
        when = f"step {first.step}" if first.step else "before the first step"
        click.echo(
            f"      {first.stage}, {when}: {safe_text(first.where)}: {safe_text(first.reason)}"
        )
        if first.remedy:
            click.echo(f"      {click.style('remedy:', bold=True)} {safe_text(first.remedy)}")
    if check.reason:
        click.echo(f"      {safe_text(check.reason)}")
    if check.not_exercised:
        shown = ", ".join(safe_text(one) for one in check.not_exercised[:3])
        more = len(check.not_exercised) - 3
        click.echo(
            f"      changed, and run by no step: {shown}{f' and {more} more' if more > 0 else ''}"
        )

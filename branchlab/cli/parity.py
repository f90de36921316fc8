"""``parity``: what training shows of a merge, off and on."""

from __future__ import annotations

import click

from branchlab.cli.app import branch_names
from branchlab.cli.documents import print_document
from branchlab.cli.options import json_option, parity_options, project_here
from branchlab.cli.proof_documents import combined_document, parity_document
from branchlab.cli.telling import telling
from branchlab.domain import Parity, ParityCheck, ParityStatus
from branchlab.errors import ConfigError
from branchlab.lab.all_ready import CombinedParity, prove_all_ready
from branchlab.lab.parity import ParityRequest, prove_parity
from branchlab.terminal_text import safe_text

_COLOURS = {
    ParityStatus.NEUTRAL: "green",
    ParityStatus.DIFFERS: "red",
    ParityStatus.NOT_RUN: "yellow",
}


@click.command(
    epilog="\b\nExamples:\n  branchlab parity squeeze-excite\n  branchlab parity --all-ready --json"
)
@click.argument("branch", required=False, shell_complete=branch_names)
@click.option(
    "--all-ready", is_flag=True, help="All branches that are ready, merged into one tree."
)
@parity_options
@json_option
@click.pass_context
def parity(
    ctx: click.Context,
    branch: str | None,
    all_ready: bool,
    steps: int,
    seeds: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Prove by training that a branch may be merged: off, main stays what it was; on, it trains like the branch.

    The merge is made in memory, and trained beside main with every flag at its default: the same bits at every step, or the
    first difference with its place and its remedy. Then with the experiment's flags on, beside the branch itself.
    """
    if (branch is None) is not all_ready:
        raise ConfigError(
            "parity takes one branch, or --all-ready",
            hint="for instance: branchlab parity squeeze-excite",
        )
    project = project_here()
    request = ParityRequest(steps=steps, seeds=seeds, device=device)
    if branch is None:
        with telling() as tell:
            combined = prove_all_ready(project, request, tell=tell)
        print_document(combined_document(combined)) if as_json else print_combined(combined)
        ctx.exit(0 if combined.holds else 1)
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


def print_combined(found: CombinedParity) -> None:
    """Print the checks of all branches together for people."""
    click.echo(click.style(safe_text(", ".join(found.branches)) or "no branch", bold=True))
    for one in found.left_out:
        click.echo(
            f"  {click.style('left out', fg='yellow')} {safe_text(one.branch)}: {safe_text(one.reason)}"
        )
    print_check("off", found.off)
    for check in found.on:
        print_check("on", check)
    together = found.together
    if together is None:
        return
    flags = safe_text(", ".join(f"{name}={value}" for name, value in together.flags.items()))
    if together.failure:
        click.echo(
            f"  all {click.style('fails', fg='red')}  {flags}: {safe_text(together.failure)}"
        )
    else:
        losses = (
            f"loss {together.loss:.4f}, main's {together.main_loss:.4f}"
            if together.loss is not None and together.main_loss is not None
            else ""
        )
        click.echo(
            f"  all {click.style('trains', fg='green')}  {flags}, {together.steps} steps: {losses}"
        )


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

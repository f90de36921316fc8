"""``promote --halving``: who goes on and who is dropped at each rung, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from branchlab.cli.telling import say_notes
from branchlab.lab.halving import Carry, Halving, Rung, candidates, first_rung, halve
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.lab.project import Project
    from branchlab.lab.run_request import RunRequest


def dry_halving(
    project: Project, names: Sequence[str], asked: RunRequest, *, as_json: bool
) -> None:
    """Show the plan of the first rung, and how many will be left on the others; start nothing."""
    from branchlab.cli.carry import plan_only
    from branchlab.cli.run import print_plan

    main, taking_part, notes = candidates(project, names)
    say_notes(notes)
    print_plan(plan_only(project, first_rung(project, main, taking_part, asked)), as_json=as_json)
    if as_json:
        return
    left = len(taking_part)
    for number, part in enumerate(project.config.promote.rungs, 1):
        click.echo(f"rung {number}: {part:.0%} of the sample, main and {_branches(left)}")
        if number < len(project.config.promote.rungs):
            left = max(1, left // project.config.promote.eta)
    click.echo(f"full set: main and {_branches(left)}; more where branches tie")


def halve_and_say(
    project: Project, names: Sequence[str], asked: RunRequest, carry: Carry, *, is_quiet: bool
) -> Halving:
    """Run all rungs and print what became of each, on stderr where stdout is for a document."""
    main, taking_part, notes = candidates(project, names)
    say_notes(notes)
    halved = halve(project, main, taking_part, asked, carry)
    for rung in halved.rungs:
        _print(rung, is_error=is_quiet)
    if not halved.is_over:
        click.echo("the halving is not finished; the same command goes on with it", err=True)
    return halved


def _print(rung: Rung, *, is_error: bool) -> None:
    click.echo(
        f"rung {rung.number}, {rung.part:.0%} of the sample: {len(rung.kept)} of "
        f"{len(rung.kept) + len(rung.dropped)} go on",
        err=is_error,
    )
    for name in rung.kept:
        click.echo(
            f"  {click.style('on', fg='green')}       {safe_text(name)}  {rung.gains[name]:+.4f}",
            err=is_error,
        )
    for one in rung.dropped:
        click.echo(
            f"  {click.style('dropped', fg='yellow')}  {safe_text(one.branch)}  {safe_text(one.reason)}",
            err=is_error,
        )
    if rung.dropped:
        click.echo("  dropped is not worse: others did better on this little data", err=is_error)
    click.echo(err=is_error)


def _branches(num: int) -> str:
    return "1 branch" if num == 1 else f"{num} branches"

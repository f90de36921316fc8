"""``status``: the overview as text or JSON, once or drawn anew while runs go on; and ``branchlab`` alone."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from branchlab.cli import terminal
from branchlab.cli.documents import print_document, status_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.status_text import status_lines
from branchlab.cli.table import wrapped
from branchlab.cli.telling import telling
from branchlab.errors import ConfigError
from branchlab.lab.curves import Curve, curves_of
from branchlab.lab.project import Project, has_lab
from branchlab.lab.status import Status
from branchlab.lab.status import status as overview
from branchlab.terminal_text import safe_text

_CURVES_FROM = 100
"""Narrower terminals have no room for curves: they are not read."""
_TEXT_MIN = 20


@click.command(
    epilog="\b\nExamples:\n  branchlab status\n  branchlab status squeeze-excite --json\n"
    "  branchlab status --watch      draw it anew while runs go on\n"
    "  branchlab status --all        what ran on branches that are gone, too"
)
@branches_argument
@click.option("--all", "with_deleted", is_flag=True, help="Deleted branches that have run, too.")
@click.option("--watch", is_flag=True, help="Draw it anew until no run is left; Ctrl-C leaves.")
@json_option
def status(branches: tuple[str, ...], with_deleted: bool, watch: bool, as_json: bool) -> None:
    """Show where every branch stands against main and the frozen reference, and how it did.

    MAIN and REF count commits ahead and behind; MERGE says whether a merge into main would conflict, or by which road
    the branch's content got into main. Experiments that live only on a remote are shown as of the last fetch. Result
    and difference are those of the reduced set unless all runs were full; "interim" says that declared runs are still to come.
    A terminal gets the columns that it has room for, and curves of the metric over the epochs; what is piped is whole.
    """
    if watch and (as_json or not terminal.can_redraw(sys.stdout)):
        raise ConfigError(
            "branchlab status --watch draws on a terminal",
            hint="for one look, type: branchlab status",
        )
    project = project_here(warns=False)
    with telling() as tell:
        found = overview(project, branches, with_deleted=with_deleted, tell=tell)
    if watch:
        from branchlab.cli.watch import watched

        def look() -> Status:
            return overview(project, branches, with_deleted=with_deleted)

        found = watched(project, found, look, partial(_lines, project))
    if as_json:
        print_document(status_document(found))
    else:
        print_status(project, found)


def print_status(project: Project, found: Status) -> None:
    """Print the overview for people, as wide as the terminal is."""
    click.echo("\n".join(_lines(project, found)))


def status_or_help(ctx: click.Context) -> None:
    """Print the overview and what to type next; where there is no lab, the help."""
    if not has_lab(Path.cwd()):
        click.echo(ctx.get_help())
        return
    from branchlab.lab.next_steps import next_steps

    project = project_here(warns=False)
    with telling() as tell:
        found = overview(project, tell=tell)
    print_status(project, found)
    steps = next_steps(found)
    widest = max(len(safe_text(step.command)) for step in steps)
    click.echo("\nnext:")
    room = terminal.columns()
    for step in steps:
        command, reason = safe_text(step.command), safe_text(step.reason)
        left = _TEXT_MIN if room is None else max(_TEXT_MIN, room - widest - 5)
        first, *more = [reason] if room is None else wrapped(reason, left)
        click.echo(f"  {command:{widest}}   {first}")
        for line in more:
            click.echo(f"{' ' * widest}     {line}")


def _lines(project: Project, found: Status) -> list[str]:
    room = terminal.columns()
    return status_lines(found, room=room, curves=_curves(project, found, room))


def _curves(project: Project, found: Status, room: int | None) -> dict[str, Curve]:
    if room is None or room < _CURVES_FROM:
        return {}
    results = {branch.standing.branch.name: branch.results for branch in found.branches}
    return curves_of(project, results, found.metric)

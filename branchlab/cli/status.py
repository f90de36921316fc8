"""``status``: the overview as text or JSON, once or drawn anew while runs go on; and ``branchlab`` alone."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from branchlab.cli import terminal
from branchlab.cli.documents import print_document, status_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.status_text import status_lines
from branchlab.cli.table import cut
from branchlab.cli.telling import telling
from branchlab.errors import ConfigError
from branchlab.lab.curves import Curve, curves_of
from branchlab.lab.next_steps import next_steps
from branchlab.lab.project import Project, has_lab
from branchlab.lab.runs import num_running
from branchlab.lab.status import Status
from branchlab.lab.status import status as overview
from branchlab.terminal_text import safe_text

_CURVES_FROM = 100
"""Narrower terminals have no room for curves: they are not read."""
_CURVES_MAX = 300
"""Of more branches none are read: it would take longer than all else."""
_EVERY_S = 2.0
_QUIET_LOOKS = 3
"""A batch has moments without a run, between one and the next."""
_TO_OTHER_SCREEN, _BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


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
        found = _watched(project, found, branches, with_deleted=with_deleted)
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
    project = project_here(warns=False)
    with telling() as tell:
        found = overview(project, tell=tell)
    print_status(project, found)
    steps = next_steps(found)
    widest = max(len(safe_text(step.command)) for step in steps)
    click.echo("\nnext:")
    for step in steps:
        line = f"  {safe_text(step.command):{widest}}   {safe_text(step.reason)}"
        room = terminal.columns()
        click.echo(line if room is None else cut(line, room))


def _lines(project: Project, found: Status) -> list[str]:
    room = terminal.columns()
    return status_lines(found, room=room, curves=_curves(project, found, room))


def _curves(project: Project, found: Status, room: int | None) -> dict[str, Curve]:
    if room is None or room < _CURVES_FROM or len(found.branches) > _CURVES_MAX:
        return {}
    results = {branch.standing.branch.name: branch.results for branch in found.branches}
    return curves_of(project, results, found.metric)


def _watched(
    project: Project, found: Status, branches: tuple[str, ...], *, with_deleted: bool
) -> Status:
    """Draw the overview again and again until nothing has run for a few looks, or Ctrl-C; return the last one."""
    num_quiet = 0
    with _other_screen():
        try:
            while True:
                running = num_running(project)
                num_quiet = 0 if running else num_quiet + 1
                if num_quiet == _QUIET_LOOKS:
                    return found
                _draw(_lines(project, found), num_running=running)
                time.sleep(_EVERY_S)
                found = overview(project, branches, with_deleted=with_deleted)
        except KeyboardInterrupt:
            return found


def _draw(lines: list[str], *, num_running: int) -> None:
    """Draw lines over what stands there; those that a screen has no room for are counted."""
    height = terminal.lines()
    body = height - 2
    said = "1 run goes on" if num_running == 1 else f"{num_running} runs go on"
    more = f"{len(lines) - body} more lines: branchlab status · " if len(lines) > body else ""
    shown = [*lines[:body], "", f"{more}{said} · Ctrl-C leaves"]
    room = terminal.columns() or 80
    shown = [cut(line, room) for line in shown[:height]]
    click.echo(
        _HOME + "\n".join(f"{line}{_END_OF_LINE}" for line in shown) + _END_OF_SCREEN, nl=False
    )


@contextmanager
def _other_screen() -> Iterator[None]:
    """Draw beside what the terminal shows, which comes back at the end, also when this process is told to end."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {s: signal.signal(s, leave) for s in (signal.SIGTERM, signal.SIGHUP)}
    sys.stdout.write(_TO_OTHER_SCREEN)
    try:
        yield
    finally:
        sys.stdout.write(_BACK)
        sys.stdout.flush()
        for number, handler in before.items():
            signal.signal(number, handler)

"""The overview drawn anew while runs go on, on the terminal's other screen: what stood there comes back at the end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from branchlab.cli import terminal
from branchlab.cli.table import cut
from branchlab.lab.project import Project
from branchlab.lab.runs import num_running
from branchlab.lab.status import Status

_EVERY_S = 2.0
_QUIET_LOOKS = 3
"""A batch has moments without a run, between one and the next."""
_TO_OTHER_SCREEN, _BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def watched(
    project: Project,
    found: Status,
    look: Callable[[], Status],
    lines_of: Callable[[Status], list[str]],
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
                _draw(lines_of(found), num_running=running)
                time.sleep(_EVERY_S)
                found = look()
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

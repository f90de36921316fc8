"""What is said on stderr beside the result: notes, and one line about what takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from branchlab.cli.terminal import can_redraw
from branchlab.git.memo import Tell, silently
from branchlab.terminal_text import safe_text

_QUIET_S = 0.5


def say_notes(notes: Iterable[str]) -> None:
    """Say what the user should know before the result."""
    for note in notes:
        click.echo(f"{click.style('note:', bold=True)} {safe_text(note)}", err=True)


@contextmanager
def telling() -> Iterator[Tell]:
    """Show what takes long in one line of a terminal's stderr, and take it away at the end."""
    if not can_redraw(sys.stderr):
        yield silently
        return
    until = time.monotonic() + _QUIET_S

    def tell(what: str, done: int, total: int) -> None:
        if time.monotonic() > until:
            click.echo(f"\r\x1b[K{what}: {done} of {total}", err=True, nl=False)

    try:
        yield tell
    finally:
        if time.monotonic() > until:
            click.echo("\r\x1b[K", err=True, nl=False)

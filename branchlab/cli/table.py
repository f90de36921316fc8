"""Plain tables and figures for a terminal: aligned by what a reader sees, coloured only where it is a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import click

from branchlab.domain import Outcome, RunState
from branchlab.lab.words import OUTCOME_MARKS, STATE_MARKS

_STATE_COLOURS = {
    RunState.PLANNED: "bright_black",
    RunState.RUNNING: "cyan",
    RunState.DONE: "green",
    RunState.FAILED: "red",
    RunState.CANCELLED: "yellow",
    RunState.LOST: "red",
}
_OUTCOME_COLOURS = {
    Outcome.BETTER: "green",
    Outcome.WORSE: "red",
    Outcome.NO_DIFFERENCE: "yellow",
    Outcome.UNDECIDED: "yellow",
}


def width(text: str) -> int:
    """Return the columns that a text takes on a terminal, colours not counted."""
    plain = click.unstyle(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1
        for c in plain
    )


def table(
    rows: Sequence[Sequence[str]], *, header: Sequence[str], right: Sequence[int] = ()
) -> str:
    """Return rows under a header, columns aligned; those in ``right`` to the right."""
    cells = [[click.style(title, bold=True) for title in header], *rows]
    widths = [max(width(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        padded = [
            " " * (w - width(cell)) + cell if i in right else cell + " " * (w - width(cell))
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def state_text(state: RunState) -> str:
    """Return a state with its mark, coloured."""
    return click.style(f"{STATE_MARKS[state]} {state}", fg=_STATE_COLOURS[state])


def outcome_text(outcome: Outcome) -> str:
    """Return a verdict with its mark, coloured."""
    return click.style(f"{OUTCOME_MARKS[outcome]} {outcome}", fg=_OUTCOME_COLOURS[outcome])

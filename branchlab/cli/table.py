"""Plain tables and figures for a terminal: aligned by what a reader sees, coloured only where it is a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from branchlab.domain import Outcome, RunState

STATE_LOOKS = {
    RunState.PLANNED: ("○", "bright_black"),
    RunState.RUNNING: ("●", "cyan"),
    RunState.DONE: ("✓", "green"),
    RunState.FAILED: ("✗", "red"),
    RunState.CANCELLED: ("-", "yellow"),
    RunState.LOST: ("?", "red"),
}
OUTCOME_LOOKS = {
    Outcome.BETTER: ("▲", "green"),
    Outcome.WORSE: ("▽", "red"),
    Outcome.NO_DIFFERENCE: ("=", "yellow"),
    Outcome.UNDECIDED: ("~", "yellow"),
}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


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
    mark, colour = STATE_LOOKS[state]
    return click.style(f"{mark} {state}", fg=colour)


def outcome_text(outcome: Outcome) -> str:
    """Return a verdict with its mark, coloured."""
    mark, colour = OUTCOME_LOOKS[outcome]
    return click.style(f"{mark} {outcome}", fg=colour)


def figure(value: float | None, *, sign: bool = False) -> str:
    """Return a metric's value with four digits after the point, or a dash."""
    if value is None:
        return "-"
    return f"{value:+.4f}" if sign else f"{value:.4f}"


def duration(seconds: float | None) -> str:
    """Return a duration in the largest unit that says enough."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)} min {int(seconds % _MINUTE_S)} s"
    return f"{int(seconds // _HOUR_S)} h {int(seconds % _HOUR_S // _MINUTE_S)} min"


def age(moment: datetime | None) -> str:
    """Return how long ago a moment was, as ``5m``, ``3h`` or ``12d``."""
    if moment is None:
        return "-"
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)}m"
    return f"{int(seconds // _HOUR_S)}h" if seconds < 2 * _DAY_S else f"{int(seconds // _DAY_S)}d"

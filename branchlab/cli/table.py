"""Plain tables and figures for a terminal: aligned by what a reader sees, coloured only where it is a terminal."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence

import click

from branchlab.domain import HypothesisState, Outcome, RunState
from branchlab.lab.words import HYPOTHESIS_MARKS, OUTCOME_MARKS, STATE_MARKS

_GAP = "  "
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

_HYPOTHESIS_COLOURS = {
    HypothesisState.SUPPORTED: "green",
    HypothesisState.REFUTED: "red",
    HypothesisState.UNDECIDED: "yellow",
    HypothesisState.NOT_MEASURED: "bright_black",
    HypothesisState.DAMAGED: "red",
}


def width(text: str) -> int:
    """Return the columns that a text takes on a terminal, colours not counted."""
    plain = click.unstyle(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1
        for c in plain
    )


def table(
    rows: Sequence[Sequence[str]],
    *,
    header: Sequence[str],
    right: Sequence[int] = (),
    giving_way: Sequence[int] = (),
) -> str:
    """Return rows under a header, columns aligned; those in ``right`` to the right.

    On a terminal too narrow for all of them, the columns in ``giving_way`` are left out, the first one first. What is
    piped is always whole.
    """
    cells = [[click.style(title, bold=True) for title in header], *rows]
    widths = [max(width(row[i]) for row in cells) for i in range(len(header))]
    shown = _columns_that_fit(widths, giving_way)
    lines = []
    for row in cells:
        padded = [
            " " * (widths[i] - width(row[i])) + row[i]
            if i in right
            else row[i] + " " * (widths[i] - width(row[i]))
            for i in shown
        ]
        lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines)


def _columns_that_fit(widths: Sequence[int], giving_way: Sequence[int]) -> list[int]:
    shown = list(range(len(widths)))
    if not sys.stdout.isatty():
        return shown
    room = shutil.get_terminal_size().columns
    for column in giving_way:
        if sum(widths[i] + len(_GAP) for i in shown) - len(_GAP) <= room:
            break
        shown.remove(column)
    return shown


def state_text(state: RunState) -> str:
    """Return a state with its mark, coloured."""
    return click.style(f"{STATE_MARKS[state]} {state}", fg=_STATE_COLOURS[state])


def outcome_text(outcome: Outcome) -> str:
    """Return a verdict with its mark, coloured."""
    return click.style(f"{OUTCOME_MARKS[outcome]} {outcome}", fg=_OUTCOME_COLOURS[outcome])


def hypothesis_text(state: HypothesisState, words: str = "") -> str:
    """Return the state of a hypothesis, or of one of its claims, with its mark, coloured; ``words`` say it in its place."""
    said = words or str(state).replace("-", " ")
    return click.style(f"{HYPOTHESIS_MARKS[state]} {said}", fg=_HYPOTHESIS_COLOURS[state])

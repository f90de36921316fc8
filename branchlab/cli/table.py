"""Tables and paragraphs for a terminal: aligned, cut and wrapped by what a reader sees; marks and words in their colours."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from branchlab.cli import terminal
from branchlab.cli.terminal import width
from branchlab.domain import HypothesisState, Outcome, RunState
from branchlab.lab.columns import Column, fit
from branchlab.lab.words import HYPOTHESIS_MARKS, OUTCOME_MARKS, OUTCOME_WORDS, STATE_MARKS

_GAP = "  "
_PIECE = re.compile(r"\x1b\[[0-9;]*m|.", re.DOTALL)
_RESET = "\x1b[0m"
_STATE_COLOURS = {
    RunState.PLANNED: "bright_black",
    RunState.RUNNING: "cyan",
    RunState.DONE: "green",
    RunState.FAILED: "red",
    RunState.CANCELLED: "yellow",
    RunState.LOST: "red",
}
OUTCOME_COLOURS = {
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


def cut(text: str, room: int) -> str:
    """Return a text cut to so many columns, with an ellipsis where something is left out; its colours end with it."""
    if width(text) <= room:
        return text
    kept, used = [], 0
    for piece in _PIECE.findall(text):
        used += width(piece)
        if used > room - 1:
            break
        kept.append(piece)
    return "".join(kept).rstrip() + "…" + (_RESET if "\x1b" in text else "")


def wrapped(text: str, room: int, *, indent: str = "") -> list[str]:
    """Return a paragraph in lines of at most ``room`` columns, broken at words; all but the first stand behind ``indent``."""
    lines, used = [""], 0
    for word in text.split(" "):
        pieces = [word] if width(word) <= room - len(indent) else _PIECE.findall(word)
        gap = " " if used else ""
        for piece in pieces:
            size = width(piece)
            if used and used + len(gap) + size > room:
                lines.append(indent)
                used, gap = len(indent), ""
            lines[-1] += gap + piece
            used += len(gap) + size
            gap = ""
    return lines


def say(text: str) -> None:
    """Print a paragraph, wrapped at words on a terminal."""
    room = terminal.columns()
    click.echo(text if room is None else "\n".join(wrapped(text, room, indent="  ")))


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
    ranks = {column: rank for rank, column in enumerate(reversed(giving_way), start=1)}
    columns = [
        Column(title=title, rank=ranks.get(i, 0), is_right=i in right)
        for i, title in enumerate(header)
    ]
    return "\n".join(aligned(rows, columns, room=terminal.columns()))


def aligned(
    rows: Sequence[Sequence[str]], columns: Sequence[Column], *, room: int | None
) -> list[str]:
    """Return rows under a header within ``room`` columns; with None all of it, as wide as it is.

    Within a room a column in which nothing stands is left out, too.
    """
    if room is None:
        widths = natural_widths(rows, columns, with_empty=True)
    else:
        widths = fit(columns, natural_widths(rows, columns), room, gap=len(_GAP))
    lines = []
    for row in ([click.style(column.title, bold=True) for column in columns], *rows):
        cells = []
        for text, column, size in zip(row, columns, widths, strict=True):
            if size or room is None:
                shown = cut(text, size)
                space = " " * (size - width(shown))
                cells.append(space + shown if column.is_right else shown + space)
        lines.append(_GAP.join(cells).rstrip())
    return lines


def natural_widths(
    rows: Sequence[Sequence[str]], columns: Sequence[Column], *, with_empty: bool = False
) -> tuple[int, ...]:
    """Return how wide each column with its title is; 0 for one in which nothing stands, unless ``with_empty``."""
    widths = []
    for i, column in enumerate(columns):
        widest = max((width(row[i]) for row in rows), default=0)
        is_shown = widest or with_empty or not rows
        widths.append(max(widest, width(column.title)) if is_shown else 0)
    return tuple(widths)


def state_text(state: RunState) -> str:
    """Return a state with its mark, coloured."""
    return click.style(f"{STATE_MARKS[state]} {state}", fg=_STATE_COLOURS[state])


def outcome_text(outcome: Outcome, *, is_short: bool = False) -> str:
    """Return a verdict with its mark, coloured; in the word of a document, or in a shorter one."""
    word = OUTCOME_WORDS[outcome] if is_short else outcome
    return click.style(f"{OUTCOME_MARKS[outcome]} {word}", fg=OUTCOME_COLOURS[outcome])


def hypothesis_text(state: HypothesisState, words: str = "") -> str:
    """Return the state of a hypothesis, or of one of its claims, with its mark, coloured; ``words`` say it in its place."""
    said = words or str(state).replace("-", " ")
    return click.style(f"{HYPOTHESIS_MARKS[state]} {said}", fg=_HYPOTHESIS_COLOURS[state])

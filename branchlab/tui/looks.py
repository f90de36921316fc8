"""Marks, words and figures of the screens: a state is always a glyph and a word, colour only repeats it.

Everything shown is made of pieces, a text and a look, and becomes a widget's content in ``content`` or a table's line
in ``LineTable``: the two doors at which text passes ``safe_text``. Nothing is ever parsed as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from branchlab.domain import (
    Freshness,
    HypothesisState,
    Landed,
    MergeBack,
    Outcome,
    Recommendation,
    RunState,
)
from branchlab.lab.words import (
    HYPOTHESIS_MARKS,
    OUTCOME_MARKS,
    OUTCOME_WORDS,
    STATE_MARKS,
    old_text,
)
from branchlab.terminal_text import safe_text


class Look(StrEnum):
    """How a piece of text is drawn; the theme says in which colour."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    LIVE = "live"
    MARKED = "marked"
    ADDED = "added"
    REMOVED = "removed"
    KEYWORD = "keyword"
    STRING = "string"
    NUMBER = "number"
    NAME = "name"
    COMMENT = "comment"
    CURVE_1 = "curve-1"
    CURVE_2 = "curve-2"
    CURVE_3 = "curve-3"
    CURVE_4 = "curve-4"
    CURVE_5 = "curve-5"


CURVES = (Look.CURVE_1, Look.CURVE_2, Look.CURVE_3, Look.CURVE_4, Look.CURVE_5)
"""Of the curves in one chart; they differ by their dashes too."""

Piece = tuple[str, Look]
Line = tuple[Piece, ...]

# dim, not $text-muted: that is an "auto" colour, which a span draws brighter than plain text (Textual 8.2.8).
# The $text-* variables: $success itself has 1.1:1 contrast on the surface of some light themes.
STYLES = {
    Look.PLAIN: "",
    Look.STRONG: "bold",
    Look.DIM: "dim",
    Look.GOOD: "$text-success",
    Look.BAD: "$text-error",
    Look.WARN: "$text-warning",
    Look.LIVE: "$text-accent",
    Look.MARKED: "bold $text-accent",
    Look.ADDED: "$text-success",
    Look.REMOVED: "$text-error",
    Look.KEYWORD: "bold $text-primary",
    Look.STRING: "$text-warning",
    Look.NUMBER: "$text-accent",
    Look.NAME: "bold",
    Look.COMMENT: "dim italic",
    Look.CURVE_1: "$text-accent",
    Look.CURVE_2: "$text-success",
    Look.CURVE_3: "$text-warning",
    Look.CURVE_4: "$text-error",
    Look.CURVE_5: "$text-primary",
}
_STATES = {
    RunState.PLANNED: Look.DIM,
    RunState.RUNNING: Look.LIVE,
    RunState.DONE: Look.GOOD,
    RunState.FAILED: Look.BAD,
    RunState.CANCELLED: Look.WARN,
    RunState.LOST: Look.BAD,
}
_OUTCOMES = {
    Outcome.BETTER: Look.GOOD,
    Outcome.WORSE: Look.BAD,
    Outcome.NO_DIFFERENCE: Look.PLAIN,
    Outcome.UNDECIDED: Look.WARN,
}

_HYPOTHESES = {
    HypothesisState.SUPPORTED: Look.GOOD,
    HypothesisState.REFUTED: Look.BAD,
    HypothesisState.UNDECIDED: Look.WARN,
    HypothesisState.NOT_MEASURED: Look.DIM,
    HypothesisState.DAMAGED: Look.BAD,
}


def content(lines: Iterable[Iterable[Piece]]) -> Content:
    """Return lines of pieces as what a Static shows."""
    parts: list[tuple[str, str]] = []
    for number, line in enumerate(lines):
        if number:
            parts.append(("\n", ""))
        parts += [(safe_text(text), STYLES[look]) for text, look in line]
    return Content.assemble(*parts)


def plain(line: Iterable[Piece]) -> str:
    """Return the text of a line."""
    return "".join(text for text, _ in line)


def cut(line: Line, width: int) -> Line:
    """Return a line's pieces cut to a width, with an ellipsis where something is left out."""
    if sum(cell_len(text) for text, _ in line) <= width:
        return line
    left = width - 1
    kept: list[Piece] = []
    for text, look in line:
        size = cell_len(text)
        if size > left:
            kept.append((set_cell_size(text, left).rstrip() + "…", look))
            break
        kept.append((text, look))
        left -= size
    return tuple(kept)


def outcome_piece(outcome: Outcome, *, is_interim: bool = False) -> Piece:
    """Return a verdict as mark and word, with three dots while declared runs are still to come."""
    text = f"{OUTCOME_MARKS[outcome]} {OUTCOME_WORDS[outcome]}{'…' if is_interim else ''}"
    return text, _OUTCOMES[outcome]


def outcome_look(outcome: Outcome) -> Look:
    """Return how what is said of a verdict is drawn."""
    return _OUTCOMES[outcome]


def hypothesis_piece(state: HypothesisState, words: str = "") -> Piece:
    """Return the state of a hypothesis as its mark, with its words."""
    return f"{HYPOTHESIS_MARKS[state]} {words}".rstrip(), _HYPOTHESES[state]


def state_piece(state: RunState) -> Piece:
    """Return a run's state as mark and word."""
    mark, look = state_mark(state)
    return f"{mark} {state}", look


def state_mark(state: RunState) -> Piece:
    """Return a run's state as its mark alone."""
    return STATE_MARKS[state], _STATES[state]


def freshness_piece(freshness: Freshness, results_behind: int | None = None) -> Piece:
    """Return which present a result no longer speaks of, and by how many commits; empty while it is current."""
    return old_text(freshness, results_behind), Look.WARN


def merge_back_piece(merge_back: MergeBack | None, advice: Recommendation | None) -> Piece:
    """Return what a branch needs before it goes back to main; that it did well and waits stands out."""
    if merge_back is None:
        return "", Look.DIM
    if advice is not None and advice.action.is_waiting:
        return f"★ {merge_back}", Look.GOOD
    is_settled = merge_back in {MergeBack.LANDED, MergeBack.NOTHING}
    return str(merge_back), Look.DIM if is_settled else Look.PLAIN


def merge_piece(landed: Landed, conflicts: Sequence[str] | None, *, num_ahead: int | None) -> Piece:
    """Return what a merge into main would do, or by which road the branch is in main."""
    if landed.is_settled:
        return f"◆ {landed}", Look.WARN if landed is Landed.REVERTED else Look.DIM
    if conflicts is None:
        return "? unknown", Look.WARN
    if conflicts:
        return "✗ conflict", Look.BAD
    return ("✓ clean", Look.PLAIN) if num_ahead else ("", Look.DIM)

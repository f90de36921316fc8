"""Marks, words and figures of the screens: a state is always a glyph and a word, colour only repeats it.

Everything shown is made of pieces, a text and a look, and becomes a widget's content in ``content`` or a table's line
in ``LineTable``: the two doors at which text passes ``safe_text``. Nothing is ever parsed as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from branchlab.domain import Drift, Freshness, Landed, Outcome, RunState
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
}
STATE_MARKS = {
    RunState.PLANNED: ("○", Look.DIM),
    RunState.RUNNING: ("●", Look.LIVE),
    RunState.DONE: ("✓", Look.GOOD),
    RunState.FAILED: ("✗", Look.BAD),
    RunState.CANCELLED: ("-", Look.WARN),
    RunState.LOST: ("?", Look.BAD),
}
_OUTCOMES = {
    Outcome.BETTER: ("▲ better", Look.GOOD),
    Outcome.WORSE: ("▽ worse", Look.BAD),
    Outcome.NO_DIFFERENCE: ("= no diff", Look.PLAIN),
    Outcome.UNDECIDED: ("~ undecided", Look.WARN),
}
_FRESHNESS = {
    Freshness.CURRENT: "",
    Freshness.BRANCH_MOVED: "old tip",
    Freshness.MAIN_MOVED: "old main",
    Freshness.NONE: "",
}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


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


def outcome_piece(outcome: Outcome) -> Piece:
    """Return a verdict as mark and word."""
    return _OUTCOMES[outcome]


def state_piece(state: RunState) -> Piece:
    """Return a run's state as mark and word."""
    mark, look = STATE_MARKS[state]
    return f"{mark} {state}", look


def freshness_piece(freshness: Freshness) -> Piece:
    """Return which present a result no longer speaks of; empty while it is current."""
    return _FRESHNESS[freshness], Look.WARN


def drift_text(drift: Drift | None) -> str:
    """Return ``↑3 ↓5``, ``=`` for the same commit, ``?`` where git cannot know."""
    if drift is None:
        return "-"
    if drift.ahead is None or drift.behind is None:
        return "?" if drift.merge_base else "unrelated"
    parts = [f"↑{drift.ahead}" if drift.ahead else "", f"↓{drift.behind}" if drift.behind else ""]
    return " ".join(part for part in parts if part) or "="


def merge_piece(landed: Landed, conflicts: Sequence[str] | None, *, num_ahead: int | None) -> Piece:
    """Return what a merge into main would do, or by which road the branch is in main."""
    if landed not in {Landed.NO, Landed.UNKNOWN}:
        return f"◆ {landed}", Look.WARN if landed is Landed.REVERTED else Look.DIM
    if conflicts is None:
        return "? unknown", Look.WARN
    if conflicts:
        return "✗ conflict", Look.BAD
    return ("✓ clean", Look.PLAIN) if num_ahead else ("", Look.DIM)


def figure(value: float | None, *, sign: bool = False) -> str:
    """Return a metric's value with four digits after the point, or a dash."""
    if value is None:
        return "-"
    return f"{value:+.4f}" if sign else f"{value:.4f}"


def age(moment: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, as ``5m``, ``3h`` or ``12d``."""
    if moment is None:
        return "-"
    seconds = max(0.0, (now - moment).total_seconds())
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)}m"
    return f"{int(seconds // _HOUR_S)}h" if seconds < 2 * _DAY_S else f"{int(seconds // _DAY_S)}d"


def duration(seconds: float | None) -> str:
    """Return a duration in the largest unit that says enough."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f}s"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)}m{int(seconds % _MINUTE_S):02}s"
    return f"{int(seconds // _HOUR_S)}h{int(seconds % _HOUR_S // _MINUTE_S):02}m"

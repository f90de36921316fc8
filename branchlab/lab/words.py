"""Marks and figures in words that the command line and the screens share, so that both say a thing the same way."""

from __future__ import annotations

from datetime import datetime

from branchlab.domain import Drift, Freshness, Outcome, RunState

STATE_MARKS = {
    RunState.PLANNED: "○",
    RunState.RUNNING: "●",
    RunState.DONE: "✓",
    RunState.FAILED: "✗",
    RunState.CANCELLED: "-",
    RunState.LOST: "?",
}
OUTCOME_MARKS = {
    Outcome.BETTER: "▲",
    Outcome.WORSE: "▽",
    Outcome.NO_DIFFERENCE: "=",
    Outcome.UNDECIDED: "~",
}
FRESHNESS_WORDS = {
    Freshness.CURRENT: "",
    Freshness.BRANCH_MOVED: "old tip",
    Freshness.MAIN_MOVED: "old main",
    Freshness.NONE: "",
}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def drift_text(drift: Drift | None) -> str:
    """Return ``↑3 ↓5``, ``=`` for the same commit, ``?`` where git cannot know."""
    if drift is None:
        return "-"
    if drift.ahead is None or drift.behind is None:
        return "?" if drift.merge_base else "unrelated"
    parts = [f"↑{drift.ahead}" if drift.ahead else "", f"↓{drift.behind}" if drift.behind else ""]
    return " ".join(part for part in parts if part) or "="


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

"""Marks and figures in words that the command line and the screens share, so that both say a thing the same way."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from branchlab.domain import (
    Counterpart,
    Drift,
    Freshness,
    HypothesisState,
    JudgedHypothesis,
    Landed,
    Outcome,
    Registration,
    Relation,
    RunRecord,
    RunState,
    Standing,
)

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
OUTCOME_WORDS = {
    Outcome.BETTER: "better",
    Outcome.WORSE: "worse",
    Outcome.NO_DIFFERENCE: "no diff",
    Outcome.UNDECIDED: "undecided",
}
HYPOTHESIS_MARKS = {
    HypothesisState.SUPPORTED: "✓",
    HypothesisState.REFUTED: "✗",
    HypothesisState.UNDECIDED: "?",
    HypothesisState.NOT_MEASURED: "○",
    HypothesisState.DAMAGED: "!",
}
REGISTRATION_WORDS = {
    Registration.BEFORE_RUNS: "registered before its runs",
    Registration.POST_HOC: "post hoc",
    Registration.WITHDRAWN: "withdrawn after its first run",
    Registration.NOT_RUN: "not run yet",
}
RELATION_WORDS = {
    Relation.BUILDS_ON: "builds on",
    Relation.RELATES: "relates to",
    Relation.CONTRADICTS: "contradicts",
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


def notes(standing: Standing, *, main: str, root: Path) -> list[str]:
    """Return what else is to be known of a branch, in a few words each, the most pressing first.

    Args:
        standing: Where the branch stands.
        main: What main is called.
        root: The main work tree; places are said from there.
    """
    found = ["deleted"] if standing.branch.is_gone else []
    if standing.landed is Landed.PARTLY:
        found.append(f"{standing.landed_commits} of {standing.main.ahead} commits landed")
    found += [f"{place.operation} under way" for place in standing.checked_out if place.operation]
    if standing.base_branch != main:
        moved = ", which moved" if standing.is_base_moved else ""
        found.append(f"on {standing.base_branch} +{standing.num_own}{moved}")
    if standing.num_merge_bases == 0:
        found.append("no history in common")
    elif standing.num_merge_bases is not None and standing.num_merge_bases > 1:
        found.append(f"{standing.num_merge_bases} merge bases")
    if standing.counterpart is not None:
        found += _apart(standing.counterpart)
    if standing.branch.remote:
        found.append("not local")
    places = (place.path for place in standing.checked_out)
    found += [f"in {os.path.relpath(path, root)}" for path in places if path != root]
    return found


def _apart(counterpart: Counterpart) -> list[str]:
    if counterpart.is_gone:
        return [f"{counterpart.name} is gone"]
    drift = Drift(merge_base=None, ahead=counterpart.ahead, behind=counterpart.behind)
    return [f"{drift_text(drift)} {counterpart.name}"] if drift_text(drift) != "=" else []


def old_text(freshness: Freshness, results_behind: int | None) -> str:
    """Return which present a result no longer speaks of, with the commits that came since; empty while it is current."""
    word = FRESHNESS_WORDS[freshness]
    is_counted = freshness is Freshness.BRANCH_MOVED and results_behind
    return f"{word} -{results_behind}" if is_counted else word


def figure(value: float | None, *, sign: bool = False) -> str:
    """Return a metric's value with four digits after the point, or a dash."""
    if value is None:
        return "-"
    return f"{value:+.4f}" if sign else f"{value:.4f}"


def progress_text(record: RunRecord) -> str:
    """Return how far a run is; one that a time ends has no number of epochs, one of a script none of steps."""
    epochs = f" of {record.epochs}" if record.epochs else ""
    steps = f" of {record.steps}" if record.steps else ""
    return f"epoch {record.epoch}{epochs}, step {record.step}{steps}"


def usage_text(usage: Mapping[str, float]) -> str:
    """Return what a run takes of its machine, in a few words; empty where nothing is known."""
    parts = []
    if "cpu_percent" in usage:
        parts.append(f"{usage['cpu_percent'] / 100:.1f} cores")
    if "memory_gib_max" in usage:
        parts.append(f"{usage['memory_gib_max']:.2f} GiB at most")
    if "gpu_percent" in usage:
        total = usage.get("gpu_memory_gib_total", 0.0)
        parts.append(
            f"GPU {usage['gpu_percent']:.0f}%, {usage['gpu_memory_gib']:.1f} of {total:.0f} GiB, "
            f"{usage['gpu_temperature_c']:.0f} °C"
        )
    return " · ".join(parts)


def hypotheses_text(judged: Sequence[JudgedHypothesis]) -> str:
    """Return ``H1 ✓ H2 ✗``, with ``*`` for one that is post hoc and ``!`` behind one that breaks a guard; withdrawn ones are left out."""
    parts = []
    for one in judged:
        if one.registration is Registration.WITHDRAWN:
            continue
        late = "*" if one.registration is Registration.POST_HOC else ""
        broken = "!" if one.broken and one.state is not HypothesisState.DAMAGED else ""
        parts.append(f"{one.hypothesis.id} {HYPOTHESIS_MARKS[one.state]}{broken}{late}")
    return " ".join(parts)


def merge_words(standing: Standing) -> str:
    """Return what a merge into main would do, or by which road the branch is in main."""
    if standing.landed.is_settled:
        return str(standing.landed)
    if standing.conflicts is None:
        return "?"
    if not standing.conflicts:
        return ("clean" if standing.has_content else "nothing") if standing.main.ahead else "-"
    first, *more = standing.conflicts
    return f"conflict: {f'{len(standing.conflicts)} files' if more else first}"


def few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names with commas between, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


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

"""Branches as rows of the overview: columns, cells, and the orders in which they can stand. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Goal, RunState
from branchlab.lab.columns import Column
from branchlab.lab.words import age, drift_text, figure, hypotheses_text
from branchlab.tui.looks import (
    Line,
    Look,
    Piece,
    freshness_piece,
    merge_back_piece,
    merge_piece,
    outcome_piece,
    state_mark,
)
from branchlab.tui.rows import metric_title, progress_text, sorted_by
from branchlab.tui.views import BranchView, Role

Spark = tuple[str, bool]
"""A branch's curve in a line of blocks, and whether it is of runs that go on."""
Value = Callable[[BranchView], float | str | None]


class Sort(StrEnum):
    """What the overview is sorted by; ``s`` goes through them. Each is the id of a column."""

    DIFFERENCE = "difference"
    RESULT = "result"
    NAME = "name"
    AGE = "age"
    RUNNING = "runs"
    NEXT = "back"
    MERGE = "merge"
    BEHIND = "main"
    VERDICT = "verdict"
    HYPOTHESES = "hypotheses"
    REFERENCE = "reference"


SORT_WORDS = {
    Sort.DIFFERENCE: "difference from main",
    Sort.RESULT: "result",
    Sort.NAME: "name",
    Sort.AGE: "age",
    Sort.RUNNING: "runs that go on",
    Sort.NEXT: "what to do next",
    Sort.MERGE: "conflicts with main",
    Sort.BEHIND: "commits behind main",
    Sort.VERDICT: "verdict",
    Sort.HYPOTHESES: "hypotheses supported",
    Sort.REFERENCE: "commits ahead of the reference",
}


def branch_columns(
    metric: str, sort: Sort, *, is_reversed: bool = False, hidden: Collection[str] = ()
) -> tuple[Column, ...]:
    """Return the columns of the overview, which ``branch_cells`` fills; the one that is sorted by is marked."""
    columns = (
        Column(id="name", title="BRANCH", width_min=20),
        Column(id="main", title="MAIN", rank=5),
        Column(id="reference", title="REF", rank=8),
        Column(id="merge", title="MERGE", rank=3),
        Column(id="result", title=metric_title(metric), rank=1, is_right=True),
        Column(id="difference", title="Δ MAIN", rank=1, is_right=True),
        Column(id="interval", title="INTERVAL", rank=11),
        Column(id="curve", title="CURVE", rank=9),
        Column(id="verdict", title="VERDICT", width_min=11),
        Column(id="freshness", title="FRESH", rank=4),
        Column(id="hypotheses", title="HYPOTHESES", rank=10),
        Column(id="back", title="MERGE BACK", rank=6),
        Column(id="runs", title="RUNS", rank=2),
        Column(id="age", title="AGE", rank=7, is_right=True),
        Column(id="note", title="NOTE", rank=12),
    )
    shown = [replace(one, is_hidden=one.id in hidden and one.id != "name") for one in columns]
    return sorted_by(shown, sort, is_reversed=is_reversed)


def branch_cells(view: BranchView, now: datetime, spark: Spark | None = None) -> tuple[Line, ...]:
    """Return one branch as cells."""
    verdict = view.verdict
    is_experiment = view.role is Role.EXPERIMENT
    if verdict is not None:
        difference = difference_text(verdict)
        judged = outcome_piece(verdict.outcome, is_interim=verdict.is_interim)
    else:
        difference = "" if view.spread is None or is_experiment else f"±{view.spread:.4f}"
        judged = _without_verdict(view) if is_experiment else ("", Look.DIM)
    merge = merge_cell(view) if is_experiment else ("", Look.DIM)
    fresh = freshness_piece(view.freshness, view.results_behind)
    return (
        ((view.name, Look.PLAIN if is_experiment else Look.STRONG),),
        ((drift_text(view.main) if view.role is not Role.MAIN else "-", Look.PLAIN),),
        ((drift_text(view.reference), Look.PLAIN),),
        (merge,),
        ((figure(view.mean), Look.PLAIN if view.mean is not None else Look.DIM),),
        ((difference, judged[1] if verdict else Look.DIM),),
        ((interval_text(verdict) if verdict else "", Look.DIM),),
        ((spark[0], Look.LIVE if spark[1] else Look.DIM),) if spark else (("", Look.DIM),),
        (judged,),
        (fresh if fresh[0] or not view.is_stale else ("stale", Look.WARN),),
        ((hypotheses_text(view.hypotheses), Look.PLAIN),),
        (merge_back_piece(view.merge_back, view.recommendation),),
        runs_cell(view),
        ((age(view.last_commit_at, now), Look.DIM),),
        ((", ".join(view.notes), Look.DIM),),
    )


def merge_cell(view: BranchView) -> Piece:
    """Return what a merge into main would do."""
    ahead = view.main.ahead if view.main else None
    return merge_piece(view.landed, view.conflicts, num_ahead=ahead)


def runs_cell(view: BranchView) -> Line:
    """Return how many runs are done, running (with how far they are) and failed."""
    running = view.running
    counts = {
        RunState.DONE: view.count(RunState.DONE),
        RunState.RUNNING: len(running),
        RunState.PLANNED: len(view.open_runs) - len(running),
        RunState.FAILED: view.count(RunState.FAILED, RunState.LOST),
    }
    pieces: list[Piece] = []
    for state, number in counts.items():
        if number:
            mark, look = state_mark(state)
            how_far = f" {progress_text(running)}" if state is RunState.RUNNING else ""
            pieces.append((f"{' ' if pieces else ''}{mark}{number}{how_far}", look))
    return tuple(pieces) or (("none", Look.DIM),)


def _without_verdict(view: BranchView) -> Piece:
    """Return what stands where a verdict would: that all runs failed; a run that goes on says so in its own column."""
    if view.mean is None and not view.open_runs and view.count(RunState.FAILED, RunState.LOST):
        mark, look = state_mark(RunState.FAILED)
        return f"{mark} failed", look
    return "", Look.DIM


def sorted_views(
    views: Sequence[BranchView], sort: Sort, goal: Goal, *, is_reversed: bool = False
) -> list[BranchView]:
    """Return experiments in order, the best or most urgent first; what has no value stands behind, however it is turned.

    Branches of one value stand by age, the youngest first.
    """
    if sort is Sort.NAME:
        return sorted(views, key=attrgetter("name"), reverse=is_reversed)
    by_age = sorted(sorted(views, key=attrgetter("name")), key=_youngest_first)
    if sort is Sort.AGE:
        return by_age[::-1] if is_reversed else by_age
    value = _value_of(sort, goal)
    values = [value(view) for view in by_age]
    known = [number for number, found in enumerate(values) if found is not None]
    known.sort(key=values.__getitem__, reverse=is_reversed)  # type: ignore[arg-type]
    rest = [view for view, found in zip(by_age, values, strict=True) if found is None]
    return [*(by_age[number] for number in known), *rest]


def _youngest_first(view: BranchView) -> float:
    return -view.last_commit_at.timestamp() if view.last_commit_at else 0.0


def _value_of(sort: Sort, goal: Goal) -> Value:
    """Return by what branches are ordered, the smallest first."""
    sign = -1.0 if goal is Goal.MAX else 1.0
    values: dict[Sort, Value] = {
        Sort.RESULT: lambda view: None if view.mean is None else sign * view.mean,
        Sort.DIFFERENCE: lambda view: _signed(
            view.verdict.difference if view.verdict else None, sign
        ),
        Sort.RUNNING: lambda view: -1000.0 * len(view.running) - len(view.open_runs),
        Sort.NEXT: lambda view: float(view.next.step.rank) if view.next else None,
        Sort.MERGE: lambda view: None if view.conflicts is None else -float(len(view.conflicts)),
        Sort.BEHIND: lambda view: _signed(view.main.behind if view.main else None, -1.0),
        Sort.VERDICT: lambda view: str(view.verdict.outcome) if view.verdict else None,
        Sort.HYPOTHESES: lambda view: (
            -float(sum(one.state == "supported" for one in view.hypotheses))
            if view.hypotheses
            else None
        ),
        Sort.REFERENCE: lambda view: _signed(
            view.reference.ahead if view.reference else None, -1.0
        ),
    }
    return values[sort]


def _signed(value: float | None, sign: float) -> float | None:
    return None if value is None else sign * value

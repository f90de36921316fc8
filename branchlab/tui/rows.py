"""From branches to rows: cells, sort order, filter. Pure, so that a table's content is a test of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Goal, RunRecord, RunState
from branchlab.lab.columns import Column
from branchlab.lab.words import age, drift_text, duration, figure
from branchlab.tui.looks import (
    Line,
    Look,
    Piece,
    freshness_piece,
    merge_back_piece,
    merge_piece,
    outcome_piece,
    state_mark,
    state_piece,
)
from branchlab.tui.views import BranchView, Role


class Sort(StrEnum):
    """What the overview is sorted by; ``s`` goes through them."""

    DIFFERENCE = "Δ main"
    RESULT = "result"
    NAME = "name"
    AGE = "age"
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a table; ``key`` is kept selected over a refresh."""

    key: str
    cells: tuple[Line, ...]


def branch_columns(metric: str, sort: Sort) -> tuple[Column, ...]:
    """Return the columns of the overview, which ``branch_row`` fills."""
    name = metric.rsplit("/", 1)[-1]
    mark = {sort: "▾"}
    return (
        Column(title="BRANCH" + mark.get(Sort.NAME, ""), width_min=14),
        Column(title="MAIN", rank=4),
        Column(title="REF", rank=8),
        Column(title="MERGE", rank=5),
        Column(title=name[:10] + mark.get(Sort.RESULT, ""), rank=1, is_right=True),
        Column(title="Δ MAIN" + mark.get(Sort.DIFFERENCE, ""), rank=1, is_right=True),
        Column(title="95% INTERVAL", rank=10),
        Column(title="VERDICT", width_min=11),
        Column(title="FRESH", rank=3),
        Column(title="MERGE BACK", rank=11),
        Column(title="RUNS" + mark.get(Sort.RUNNING, ""), rank=2),
        Column(title="AGE" + mark.get(Sort.AGE, ""), rank=7, is_right=True),
        Column(title="NOTE", rank=12),
    )


def branch_row(view: BranchView, now: datetime, *, is_wide: bool) -> Row:
    """Return one branch as cells; where there is room, the counts of runs have words."""
    verdict = view.verdict
    is_experiment = view.role is Role.EXPERIMENT
    interval = interval_text(verdict) if verdict else ""
    if verdict is not None:
        difference = difference_text(verdict)
    else:
        difference = "" if view.spread is None or is_experiment else f"±{view.spread:.4f}"
    judged = (
        outcome_piece(verdict.outcome, is_interim=verdict.is_interim) if verdict else ("", Look.DIM)
    )
    merge = (
        merge_piece(view.landed, view.conflicts, num_ahead=view.main.ahead if view.main else None)
        if is_experiment
        else ("", Look.DIM)
    )
    fresh = freshness_piece(view.freshness, view.results_behind)
    name_look = Look.PLAIN if is_experiment else Look.STRONG
    cells: tuple[Line, ...] = (
        ((view.name, name_look),),
        ((drift_text(view.main) if view.role is not Role.MAIN else "-", Look.PLAIN),),
        ((drift_text(view.reference), Look.PLAIN),),
        (merge,),
        ((figure(view.mean), Look.PLAIN if view.mean is not None else Look.DIM),),
        ((difference, judged[1] if verdict else Look.DIM),),
        ((interval, Look.DIM),),
        (judged,),
        (fresh if fresh[0] or not view.is_stale else ("stale", Look.WARN),),
        (merge_back_piece(view.merge_back, view.recommendation),),
        runs_cell(view, is_wide=is_wide),
        ((age(view.last_commit_at, now), Look.DIM),),
        ((", ".join(view.notes), Look.DIM),),
    )
    return Row(key=view.name, cells=cells)


def runs_cell(view: BranchView, *, is_wide: bool) -> Line:
    """Return how many runs are done, running (with how far they are) and failed."""
    running = view.running
    counts = {
        RunState.DONE: view.count(RunState.DONE),
        RunState.RUNNING: len(running),
        RunState.FAILED: view.count(RunState.FAILED, RunState.LOST),
    }
    pieces: list[Piece] = []
    for state, number in counts.items():
        if number:
            mark, look = state_mark(state)
            how_far = f" {progress_text(running)}" if state is RunState.RUNNING else ""
            word = f" {state}" if is_wide else ""
            pieces.append((f"{' ' if pieces else ''}{mark}{number}{word}{how_far}", look))
    return tuple(pieces) or (("none", Look.DIM),)


def progress_text(running: Sequence[RunRecord]) -> str:
    """Return ``4/10`` epochs of a single run, or the share of all steps of several."""
    if len(running) == 1:
        return f"{running[0].epoch}/{running[0].epochs or '?'}"
    steps = sum(record.steps for record in running)
    return f"{sum(record.step for record in running) / steps:.0%}" if steps else "0%"


def run_columns(metric: str) -> tuple[Column, ...]:
    """Return the columns of a branch's runs, which ``run_row`` fills."""
    return (
        Column(title="RUN", width_min=12),
        Column(title="SEED", is_right=True),
        Column(title="STATE"),
        Column(title="EPOCH", rank=1, is_right=True),
        Column(title=metric.rsplit("/", 1)[-1][:10], is_right=True),
        Column(title="COUNTS", rank=4),
        Column(title="SCALE", rank=5),
        Column(title="COMMIT", rank=6),
        Column(title="TIME", rank=3, is_right=True),
        Column(title="AGE", rank=2, is_right=True),
        Column(title="REASON", width_min=0, rank=7),
    )


def run_row(record: RunRecord, view: BranchView, metric: str, now: datetime) -> Row:
    """Return one run as cells."""
    run = record.run
    epochs = f"{record.epoch}/{record.epochs}" if record.epochs else ""
    value = record.metrics.get(metric)
    look = Look.PLAIN if record.state is RunState.DONE else Look.DIM
    moment = record.ended_at or record.started_at or run.planned_at
    cells: tuple[Line, ...] = (
        ((run.id, Look.PLAIN),),
        ((str(run.seed), Look.PLAIN),),
        (state_piece(record.state),),
        ((epochs, Look.PLAIN),),
        ((figure(value), look),),
        (("yes" if run.id in view.counted else "no", Look.DIM),),
        ((str(run.scale), Look.DIM),),
        ((run.commit[:10], Look.DIM),),
        ((duration(record.duration_s), Look.DIM),),
        ((age(moment, now), Look.DIM),),
        ((record.reason, Look.BAD if record.state is not RunState.CANCELLED else Look.WARN),),
    )
    return Row(key=run.id, cells=cells)


def sorted_views(views: Sequence[BranchView], sort: Sort, goal: Goal) -> list[BranchView]:
    """Return experiments in order, the best first; what has no value stands behind, the youngest first."""
    by_age = sorted(views, key=_youngest_first)
    if sort is Sort.AGE:
        return by_age
    if sort is Sort.NAME:
        return sorted(views, key=lambda view: view.name)
    if sort is Sort.RUNNING:
        return sorted(by_age, key=lambda view: (-len(view.running), -len(view.open_runs)))
    value: Callable[[BranchView], float | None] = (
        (lambda view: view.mean)
        if sort is Sort.RESULT
        else (lambda view: view.verdict.difference if view.verdict else None)
    )
    sign = -1.0 if goal is Goal.MAX else 1.0
    known = [(found, view) for view in by_age if (found := value(view)) is not None]
    rest = [view for view in by_age if value(view) is None]
    return [view for _, view in sorted(known, key=lambda pair: sign * pair[0])] + rest


def _youngest_first(view: BranchView) -> tuple[float, str]:
    return -(view.last_commit_at.timestamp() if view.last_commit_at else 0.0), view.name


def matches(view: BranchView, wanted: str) -> bool:
    """Whether every word of a filter occurs in what is said of a branch; case does not matter."""
    return _has_words(searched_text(view), wanted)


def _has_words(text: str, wanted: str) -> bool:
    return all(word in text for word in wanted.casefold().split())


def searched_text(view: BranchView) -> str:
    """Return what a filter looks for its words in."""
    verdict = view.verdict
    said = [
        view.name,
        view.title,
        view.subject,
        f"{outcome_piece(verdict.outcome)[0]} {verdict.outcome}" if verdict else "",
        freshness_piece(view.freshness)[0],
        merge_piece(view.landed, view.conflicts, num_ahead=view.main.ahead if view.main else None)[
            0
        ],
        "running" if view.running else "",
        "failed" if view.count(RunState.FAILED, RunState.LOST) else "",
        "stale" if view.is_stale else "",
        str(view.merge_back or ""),
        *view.notes,
        "no runs" if not view.runs else "",
    ]
    return "\n".join(said).casefold()


class BranchRows:
    """Rows and searched texts of branches, made anew only for views that are other objects than last time.

    Of 10,000 branches making all takes 0.5 s; while runs go on a handful changes twice a second.
    """

    def __init__(self) -> None:
        self._rows: dict[str, tuple[BranchView, str, Row]] = {}
        self._texts: dict[str, tuple[BranchView, str]] = {}
        self._is_wide = False

    def rows(self, views: Iterable[BranchView], now: datetime, *, is_wide: bool) -> dict[str, Row]:
        """Return rows by the name of their branch, in the order of the views."""
        known = self._rows if is_wide == self._is_wide else {}
        self._rows, self._is_wide = {}, is_wide
        for view in views:
            # The age is all in a row that changes by itself.
            said, old = age(view.last_commit_at, now), known.get(view.name)
            if old is None or old[0] is not view or old[1] != said:
                old = view, said, branch_row(view, now, is_wide=is_wide)
            self._rows[view.name] = old
        return {name: row for name, (_, _, row) in self._rows.items()}

    def matching(self, views: Iterable[BranchView], wanted: str) -> list[BranchView]:
        """Return the views that a filter lets through, as ``matches`` says."""
        if not wanted.strip():
            return list(views)
        return [view for view in views if _has_words(self._text(view), wanted)]

    def _text(self, view: BranchView) -> str:
        known = self._texts.get(view.name)
        if known is None or known[0] is not view:
            known = self._texts[view.name] = view, searched_text(view)
        return known[1]

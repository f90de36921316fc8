"""Watching a batch of runs: one value that a terminal or a screen can draw."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from branchlab.domain import RunRecord, RunState
from branchlab.lab.project import Project
from branchlab.schedule.jobs import look_after
from branchlab.schedule.plan import Plan
from branchlab.schedule.pool import Change
from branchlab.store.index import Index

_LOOK_AT_JOBS_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A batch at one moment.

    Attributes:
        records: Every run of the plan, by id, in the plan's order.
        reused: Ids of runs whose result was known already.
        started: Records that have just begun; ``ended``: that have just ended.
        moved: Running records that have got on.
        remarks: What else has just happened to a run: it goes on after a kill, it is left out, its time is over.
        given: Runs that were handed over to a cluster, which carries them out by itself: what it calls each, by run.
    """

    records: Mapping[str, RunRecord]
    reused: frozenset[str]
    started: tuple[RunRecord, ...]
    ended: tuple[RunRecord, ...]
    moved: tuple[RunRecord, ...] = ()
    remarks: tuple[tuple[RunRecord, str], ...] = ()
    elapsed_s: float
    is_last: bool = False
    given: Mapping[str, str] = field(default_factory=dict)

    def count(self, *states: RunState) -> int:
        """Return how many runs are in one of some states."""
        return sum(record.state in states for record in self.records.values())

    @property
    def running(self) -> tuple[RunRecord, ...]:
        return tuple(record for record in self.records.values() if record.state is RunState.RUNNING)

    @property
    def fraction_done(self) -> float:
        """Share of the work to do that is done, by steps within runs."""
        to_do = [record for run_id, record in self.records.items() if run_id not in self.reused]
        if not to_do:
            return 1.0
        parts = [1.0 if r.state.is_over else (r.step / r.steps if r.steps else 0.0) for r in to_do]
        return sum(parts) / len(to_do)


def left_s(record: RunRecord, now: datetime) -> float | None:
    """Return how long a running run still takes at its speed so far; None before that can be told."""
    if record.run.budget_s is not None and record.steps and record.step:
        return record.run.budget_s * (1 - record.step / record.steps)
    if record.started_at is None or not record.step or not record.steps:
        return None
    elapsed_s = (now - record.started_at).total_seconds()
    return max(0.0, elapsed_s * (record.steps - record.step) / record.step)


def fraction_of(record: RunRecord) -> float | None:
    """Return which share of a run is done, by steps or else by epochs; None where its end is not known."""
    if record.state is RunState.DONE:
        return 1.0
    if record.steps:
        return min(1.0, record.step / record.steps)
    return min(1.0, record.epoch / record.epochs) if record.epochs else None


class Watcher:
    """Looks at a plan's runs through the index; one a batch, owned by the loop that carries it out.

    Runs that are ``left`` to others are shown as they were when they were planned.
    """

    def __init__(self, index: Index, plan: Plan, *, left: Container[str] = ()) -> None:
        self._index = index
        self._records = {
            p.run.id: p.known or RunRecord(run=p.run, state=RunState.PLANNED) for p in plan.runs
        }
        self._reused = frozenset(p.run.id for p in plan.runs if p.is_reused)
        self._open = {
            run.id: self._records[run.id].attempts for run in plan.to_start if run.id not in left
        }
        self._given: dict[str, str] = {}
        self._began = time.monotonic()
        self._steps: dict[str, tuple[int, int, int]] = {}
        for run_id in self._open:
            self._records[run_id] = replace(
                self._records[run_id], state=RunState.PLANNED, reason=""
            )

    def look(self, change: Change | None = None, *, is_last: bool = False) -> Progress:
        """Return the batch as it is now, with what a change of the pool brought."""
        change = change or Change()
        self._index.refresh()
        for run_id, earlier_attempts in self._open.items():
            record = self._index.run(run_id)
            # What an earlier attempt left is not this batch's doing.
            if record is not None and record.attempts > earlier_attempts:
                self._records[run_id] = record
        for run in change.elsewhere:
            # Another process works on it, or has finished it: whatever it shows is the truth of this batch too.
            self._records[run.id] = self._index.run(run.id) or self._records[run.id]
        self._given |= {run.id: job for run, job in change.handed_over}
        over = [
            *change.ended,
            *change.stillborn,
            *(run for run, _ in change.refused),
            *(run for run, _ in change.dropped),
            *change.elsewhere,
        ]
        for run in over:
            self._open.pop(run.id, None)
        return Progress(
            records=dict(self._records),
            reused=self._reused,
            started=tuple(self._records[run.id] for run in change.started),
            ended=tuple(self._records[run.id] for run in over),
            moved=_moved(self._records, self._steps),
            remarks=tuple((self._records[run.id], reason) for run, reason in change.again),
            elapsed_s=time.monotonic() - self._began,
            is_last=is_last,
            given=dict(self._given),
        )


def follow(
    project: Project, names: Sequence[str] = (), *, every_s: float = 0.3
) -> Iterator[Progress]:
    """Yield what runs of a repository do, whoever started them, until none runs and no command has more to start.

    Args:
        project: Whose.
        names: Branches to look at, as their runs call them; all where empty.
        every_s: Between two looks.
    """
    index, began = project.index(), time.monotonic()
    steps: dict[str, tuple[int, int, int]] = {}
    seen: dict[str, RunState] = {}
    looked_at = began
    while True:
        if time.monotonic() - looked_at > _LOOK_AT_JOBS_EVERY_S:
            look_after(project.state)
            looked_at = time.monotonic()
        is_more_to_come = project.state.is_at_work()
        index.refresh()
        found = [r for r in index.runs() if not names or r.run.branch in names]
        queued = {r.run.id for r in found if r.state is RunState.PLANNED and _is_queued(project, r)}
        is_more_to_come = is_more_to_come or bool(queued)
        records = {
            r.run.id: r
            for r in reversed(found)
            if r.run.id in seen
            or r.state is RunState.RUNNING
            or (r.state is RunState.PLANNED and is_more_to_come)
        }
        is_last = not is_more_to_come and all(
            r.state is not RunState.RUNNING for r in records.values()
        )
        before, seen = seen, {run_id: record.state for run_id, record in records.items()}
        began_to_run = {i for i, state in seen.items() if state is RunState.RUNNING} - {
            i for i, state in before.items() if state is RunState.RUNNING
        }
        open_before = {i for i, state in before.items() if not state.is_over}
        yield Progress(
            records=records,
            reused=frozenset(),
            started=tuple(r for i, r in records.items() if i in began_to_run),
            ended=tuple(r for i, r in records.items() if i in open_before and r.state.is_over),
            moved=_moved(records, steps),
            elapsed_s=time.monotonic() - began,
            is_last=is_last,
        )
        if is_last:
            index.close()
            return
        time.sleep(every_s)


def _is_queued(project: Project, record: RunRecord) -> bool:
    """Whether a cluster has been given the run."""
    return project.state.run(record.run.id).job.exists()


def _moved(
    records: Mapping[str, RunRecord], steps: dict[str, tuple[int, int, int]]
) -> tuple[RunRecord, ...]:
    """Return the running records that have got on since the last time; ``steps`` remembers how far they were."""
    moved = []
    for run_id, record in records.items():
        if record.state is RunState.RUNNING:
            now = (record.attempts, record.epoch, record.step)
            if steps.get(run_id, (record.attempts, 0, 0)) != now:
                moved.append(record)
            steps[run_id] = now
    return tuple(moved)

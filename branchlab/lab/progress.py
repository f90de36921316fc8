"""Watching a batch of runs: one value that a terminal or a screen can draw."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from branchlab.domain import RunRecord, RunState
from branchlab.schedule.plan import Plan
from branchlab.schedule.pool import Change
from branchlab.store.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A batch at one moment.

    Attributes:
        records: Every run of the plan, by id, in the plan's order.
        reused: Ids of runs whose result was known already.
        started: Records that have just begun; ``ended``: that have just ended.
    """

    records: Mapping[str, RunRecord]
    reused: frozenset[str]
    started: tuple[RunRecord, ...]
    ended: tuple[RunRecord, ...]
    elapsed_s: float
    is_last: bool = False

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


class Watcher:
    """Looks at a plan's runs through the index; one a batch, owned by the loop that carries it out."""

    def __init__(self, index: Index, plan: Plan) -> None:
        self._index = index
        self._records = {
            p.run.id: p.known or RunRecord(run=p.run, state=RunState.PLANNED) for p in plan.runs
        }
        self._reused = frozenset(p.run.id for p in plan.runs if p.is_reused)
        self._open = {run.id: self._records[run.id].attempts for run in plan.to_start}
        self._began = time.monotonic()
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
        over = [*change.ended, *(run for run, _ in change.refused), *change.elsewhere]
        for run in over:
            self._open.pop(run.id, None)
        return Progress(
            records=dict(self._records),
            reused=self._reused,
            started=tuple(self._records[run.id] for run in change.started),
            ended=tuple(self._records[run.id] for run in over),
            elapsed_s=time.monotonic() - self._began,
            is_last=is_last,
        )

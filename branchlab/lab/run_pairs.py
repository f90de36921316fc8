"""Of each run the one of main that it is held beside: the same seed under the same protocol, the latest that is done.

A screen that shows 10,000 runs asks again whenever one has got on, so what never changes of a run is kept.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from branchlab.analysis.results import protocol_of, when_planned
from branchlab.analysis.wording import amount, is_share
from branchlab.domain import RunRecord, RunState


class RunPairs:
    """Pairs of runs, brought up to date by ``look``."""

    def __init__(self) -> None:
        self._kinds: dict[str, Hashable] = {}
        self._mains: dict[Hashable, RunRecord] = {}

    def look(self, records: Iterable[RunRecord], *, main: str) -> bool:
        """Take in all runs; return whether main's are other ones than before."""
        found: dict[Hashable, RunRecord] = {}
        for record in records:
            # With flags it is a landed experiment, not what branches are held against.
            if record.run.branch == main and not record.run.flags:
                kind = self._kind(record)
                other = found.get(kind)
                if other is None or _weight(record) > _weight(other):
                    found[kind] = record
        is_same = found.keys() == self._mains.keys() and all(
            self._mains[kind] is record for kind, record in found.items()
        )
        self._mains = found
        return not is_same

    def of(self, record: RunRecord) -> RunRecord | None:
        """Return main's run beside a run; None where there is none, and for main's own."""
        found = self._mains.get(self._kind(record))
        is_own = found is not None and found.run.branch == record.run.branch
        return None if is_own and not record.run.flags else found

    def difference(self, record: RunRecord, metric: str) -> float | None:
        """Return how far a run is from main's in a metric; None until both are done."""
        values = self._values(record, metric)
        return values[0] - values[1] if values is not None else None

    def difference_text(self, record: RunRecord, metric: str) -> str:
        """Return the difference as it is said, in points where the metric is a share; empty where there is none."""
        values = self._values(record, metric)
        if values is None:
            return ""
        return apart_text(metric, *values)

    def _values(self, record: RunRecord, metric: str) -> tuple[float, float] | None:
        beside = self.of(record)
        if beside is None or not beside.state is record.state is RunState.DONE:
            return None
        here, there = record.metrics.get(metric), beside.metrics.get(metric)
        return (here, there) if here is not None and there is not None else None

    def _kind(self, record: RunRecord) -> Hashable:
        run = record.run
        kind = self._kinds.get(run.id)
        if kind is None:
            kind = self._kinds[run.id] = (run.seed, protocol_of(run))
        return kind


def apart_text(metric: str, here: float, there: float) -> str:
    """Return how far two values of a metric are apart, in points where it is a share."""
    in_points = is_share(metric, (here, there))
    return amount(here - there, in_points=in_points, sign=True) + ("pt" if in_points else "")


def queue_of(records: Sequence[RunRecord], *, main: str) -> list[RunRecord]:
    """Return the runs that wait, in the order of their plans: seed by seed, main first.

    Branches of one seed come by name; in which order their plan has them is not recorded.
    """
    waiting = [record for record in records if record.state is RunState.PLANNED]
    return sorted(
        waiting,
        key=lambda r: (when_planned(r), r.run.seed, r.run.branch != main, r.run.branch, r.run.id),
    )


def _weight(record: RunRecord) -> tuple[bool, bool, float]:
    return (
        record.state is RunState.DONE,
        record.state is RunState.RUNNING,
        when_planned(record),
    )

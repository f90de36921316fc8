"""All runs as values, of which only those are read again that have changed: what is watched may hold 10,000 of them.

Reading all of them takes 0.3 s (10,000 runs), reading the eight that train a millisecond. A record that has not changed
stays the same object, so that whoever draws it knows that by ``is``.
"""

from __future__ import annotations

from branchlab.domain import RunRecord
from branchlab.store.index import Index


class KnownRuns:
    """The runs of an index, brought up to date by ``look``. Belongs to the thread of its index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._by_id: dict[str, RunRecord] = {}
        self._stamp: tuple[int, int] | None = None
        self._change = -1
        self.records: tuple[RunRecord, ...] = ()

    def look(self) -> bool:
        """Read what has changed since the last look, the latest planned first; return whether anything has."""
        stamp = self._index.stamp()
        if stamp == self._stamp:
            return False
        if self._stamp is None or stamp[0] != self._stamp[0]:
            self._change = -1  # another file counts anew
        self._stamp = stamp
        changed, self._change = self._index.runs_since(self._change)
        known = self._by_id
        changed = [record for record in changed if known.get(record.run.id) != record]
        found = {**known, **{record.run.id: record for record in changed}}
        has_more = len(found) > len(known)
        if self._index.count() != len(found):
            ids = self._index.ids()
            found = {run_id: record for run_id, record in found.items() if run_id in ids}
        if not changed and len(found) == len(known):
            return False
        if has_more:
            found = {record.run.id: record for record in sorted(found.values(), key=_latest_first)}
        self._by_id = found
        self.records = tuple(found.values())
        return True


def _latest_first(record: RunRecord) -> tuple[float, str]:
    planned_at = record.run.planned_at
    return -(planned_at.timestamp() if planned_at is not None else 0.0), record.run.id

"""The curves of all branches at once, read in a thread: once with one query, then only those that have got on."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from branchlab.lab.curves import Curve, KnownCurves, curves_by_branch
from branchlab.lab.project import Project
from branchlab.store.index import Index
from branchlab.tui.asking import Read
from branchlab.tui.views import Snapshot


def curves_key(snapshot: Snapshot) -> Hashable:
    """Return what curves depend on: which runs count, and how far those that go on are."""
    going = tuple((r.run.id, r.epoch) for r in snapshot.records if not r.state.is_over)
    return id(snapshot.status), going


def reader_of() -> Callable[[Snapshot], Read]:
    """Return what makes readings of one lab; what one has read the next knows."""
    known = KnownCurves()
    last: dict[str, Curve] = {}

    def reading(snapshot: Snapshot) -> Read:
        status = snapshot.status
        results = {one.standing.branch.name: one.results for one in status.branches}
        results[status.overview.main.name] = status.main_results
        if status.overview.reference is not None:
            results[status.overview.reference.name] = status.reference_results

        def read(project: Project) -> object:
            index = Index(project.state)
            try:
                curves = known.read(index, status.metric, snapshot.records)
            finally:
                index.close()
            found = curves_by_branch(results, curves)
            # What is the same stays the same object: rows are kept by that.
            kept = {name: last[name] for name in found if last.get(name) == found[name]}
            last.clear()
            last.update(found | kept)
            return dict(last)

        return read

    return reading

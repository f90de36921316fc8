"""The curves of all branches at once, read in a thread: once with one query, then only those that have got on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from branchlab.lab.curves import (
    Curve,
    KnownCurves,
    curves_by_branch,
    sparklines,
    thinned_curve,
)
from branchlab.lab.project import Project
from branchlab.store.index import Index
from branchlab.tui.asking import Read
from branchlab.tui.views import Snapshot

_WIDTH = 8


class Curves:
    """The curve of each branch, and all in a line of blocks each, in one span."""

    def __init__(self, by_branch: Mapping[str, Curve] | None = None) -> None:
        self.by_branch = by_branch or {}
        said = sparklines(self.by_branch, _WIDTH)
        self.sparks = {name: (text, self.by_branch[name].is_running) for name, text in said.items()}


def curves_key(snapshot: Snapshot) -> Hashable:
    """Return what curves depend on: which runs count, and how far those that go on are."""
    going = tuple((r.run.id, r.epoch) for r in snapshot.records if not r.state.is_over)
    return id(snapshot.status), going


def reader_of() -> Callable[[Snapshot], Read]:
    """Return what makes readings of one lab; what one has read the next knows."""
    known = KnownCurves()

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
            return Curves({name: thinned_curve(one) for name, one in found.items()})

        return read

    return reading

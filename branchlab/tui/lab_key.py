"""When what is read beside the snapshot has to be read again."""

from __future__ import annotations

from collections.abc import Collection, Hashable

from branchlab.tui.views import Snapshot


def lab_key(snapshot: Snapshot, *, live: Collection[str] = ()) -> Hashable:
    """Return what changes when a branch moves or a run begins or ends.

    Args:
        snapshot: The lab as it is.
        live: Branches of which each epoch counts, too.
    """
    overview = snapshot.status.overview
    reference = overview.reference.tip if overview.reference is not None else ""
    tips = frozenset(
        (one.standing.branch.name, one.standing.branch.tip) for one in snapshot.status.branches
    )
    runs = frozenset(
        (r.run.id, r.state, r.attempts, r.epoch if r.run.branch in live else 0)
        for r in snapshot.records
    )
    return overview.main.tip, reference, tips, runs

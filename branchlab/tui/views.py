"""One branch as the screens show it: what ``lab.status`` found, joined with the runs as they are this second.

Git facts and verdicts are read when they can have changed; epochs go on meanwhile, so the records are newer than the
status that they are joined with.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from branchlab.domain import (
    Drift,
    FeatureVerdict,
    Flags,
    Freshness,
    JudgedHypothesis,
    Landed,
    MergeBack,
    Parity,
    Recommendation,
    RunRecord,
    RunState,
    Verdict,
)
from branchlab.lab.curves import is_comparable
from branchlab.lab.next_of_branch import NextStep, next_step

if TYPE_CHECKING:
    from branchlab.analysis.results import BranchResults
    from branchlab.lab.status import BranchStatus, Status


class Role(StrEnum):
    """What a branch is to the project."""

    MAIN = "main"
    REFERENCE = "reference"
    EXPERIMENT = "experiment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that the screens draw from, at one moment.

    Attributes:
        views: Main, the reference and every experiment, in this order.
    """

    status: Status
    records: tuple[RunRecord, ...]
    read_at: datetime
    views: tuple[BranchView, ...] = ()

    @property
    def num_running(self) -> int:
        return sum(record.state is RunState.RUNNING for record in self.records)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchView:
    """One row of the overview.

    Attributes:
        runs: Every run of the branch, by name or by content, the latest planned first.
        counted: Ids of those that its mean and verdict are made of.
        spread: Standard deviation over seeds; None below two.
        work_tree: Where it is checked out; None where it is not.
        flags: What its experiment switches on.
        features: How many have which verdict; None where the code has not been read yet.
        is_beside_main: Whether its runs may share a chart with main's.
        next: What comes next with it; None for what is no experiment.
    """

    name: str
    role: Role
    tip: str
    subject: str = ""
    title: str = ""
    last_commit_at: datetime | None = None
    main: Drift | None = None
    reference: Drift | None = None
    landed: Landed = Landed.NO
    conflicts: tuple[str, ...] | None = ()
    has_content: bool | None = True
    results_behind: int | None = None
    merge_back: MergeBack | None = None
    recommendation: Recommendation | None = None
    parity: Parity | None = None
    hypotheses: tuple[JudgedHypothesis, ...] = ()
    remark: str = ""
    notes: tuple[str, ...] = ()
    mean: float | None = None
    spread: float | None = None
    verdict: Verdict | None = None
    freshness: Freshness = Freshness.NONE
    is_stale: bool = False
    work_tree: Path | None = None
    runs: tuple[RunRecord, ...] = ()
    counted: frozenset[str] = frozenset()
    flags: Flags = field(default_factory=dict)
    features: Mapping[FeatureVerdict, int] | None = None
    is_beside_main: bool = False
    next: NextStep | None = None

    def count(self, *states: RunState) -> int:
        """Return how many of the runs that count are in one of some states."""
        return sum(run.state in states for run in self.runs if run.run.id in self.counted)

    @property
    def running(self) -> tuple[RunRecord, ...]:
        """All runs that go on, also those of other flags or another scale than the ones that count."""
        return tuple(run for run in self.runs if run.state is RunState.RUNNING)

    @property
    def open_runs(self) -> tuple[RunRecord, ...]:
        return tuple(run for run in self.runs if not run.state.is_over)


def snapshot_of(
    status: Status,
    records: tuple[RunRecord, ...],
    *,
    read_at: datetime,
    before: Snapshot | None = None,
) -> Snapshot:
    """Return the lab at one moment. What is as it was ``before`` stays the same object, so that only news is drawn."""
    if before is not None and status is not before.status:
        known = {branch.standing.branch.name: branch for branch in before.status.branches}
        settled = (known.get(one.standing.branch.name, one) for one in status.branches)
        branches = tuple(
            old if old == new else new for old, new in zip(settled, status.branches, strict=True)
        )
        status = replace(status, branches=branches)
    made = Snapshot(status=status, records=records, read_at=read_at)
    return replace(made, views=_views(made, before))


def branch_views(snapshot: Snapshot) -> tuple[BranchView, ...]:
    """Return main, the reference and every experiment, in this order."""
    return snapshot.views or _views(snapshot, None)


def _views(snapshot: Snapshot, before: Snapshot | None) -> tuple[BranchView, ...]:
    by_name: dict[str, list[RunRecord]] = defaultdict(list)
    for record in snapshot.records:
        by_name[record.run.branch].append(record)
    by_id = {record.run.id: record for record in snapshot.records}
    status = snapshot.status
    views = [_main_view(status, by_name, by_id)]
    if status.overview.reference is not None:
        views.append(_reference_view(status, by_name, by_id))
    known = _known_views(before, status)
    for branch in status.branches:
        runs = _runs(branch.standing.branch.name, branch.results, by_name, by_id)
        old = known.get(id(branch))
        if old is None or old.runs != runs:
            old = _experiment_view(branch, status, runs)
        views.append(old)
    same = {view.name: view for view in before.views[:2]} if before is not None else {}
    return tuple(same[view.name] if same.get(view.name) == view else view for view in views)


def _known_views(before: Snapshot | None, status: Status) -> dict[int, BranchView]:
    """Return the views of experiments by the identity of what they were made from, which ``before`` keeps alive."""
    if before is None or before.status.main_results != status.main_results:
        return {}
    views = [view for view in before.views if view.role is Role.EXPERIMENT]
    return {id(one): view for one, view in zip(before.status.branches, views, strict=True)}


def _main_view(
    status: Status, by_name: Mapping[str, list[RunRecord]], by_id: Mapping[str, RunRecord]
) -> BranchView:
    main, reference, results = status.overview.main, status.overview.reference, status.main_results
    drift = None
    if reference is not None:
        drift = Drift(
            merge_base=reference.tip, ahead=reference.main_ahead, behind=reference.main_behind
        )
    mean, spread = _mean_and_spread(results, status.metric)
    return BranchView(
        name=main.name,
        role=Role.MAIN,
        tip=main.tip,
        subject=main.subject,
        last_commit_at=main.last_commit_at,
        reference=drift,
        mean=mean,
        spread=spread,
        freshness=_freshness(results),
        runs=_runs(main.name, results, by_name, by_id),
        counted=_ids(results),
    )


def _reference_view(
    status: Status, by_name: Mapping[str, list[RunRecord]], by_id: Mapping[str, RunRecord]
) -> BranchView:
    reference, results = status.overview.reference, status.reference_results
    assert reference is not None
    mean, spread = _mean_and_spread(results, status.metric)
    return BranchView(
        name=reference.name,
        role=Role.REFERENCE,
        tip=reference.tip,
        main=Drift(
            merge_base=reference.tip, ahead=reference.main_behind, behind=reference.main_ahead
        ),
        mean=mean,
        spread=spread,
        freshness=_freshness(results),
        runs=_runs(reference.name, results, by_name, by_id),
        counted=_ids(results),
    )


def _experiment_view(
    branch: BranchStatus, status: Status, runs: tuple[RunRecord, ...]
) -> BranchView:
    standing = branch.standing
    num_open = sum(not one.state.is_over for one in runs)
    return BranchView(
        name=standing.branch.name,
        role=Role.EXPERIMENT,
        tip=standing.branch.tip,
        subject=standing.branch.subject,
        title=branch.title,
        last_commit_at=standing.branch.last_commit_at,
        main=standing.main,
        reference=standing.reference,
        landed=standing.landed,
        conflicts=standing.conflicts,
        has_content=standing.has_content,
        results_behind=standing.results_behind,
        merge_back=branch.merge_back,
        recommendation=branch.recommendation,
        parity=branch.parity,
        hypotheses=branch.hypotheses,
        remark=branch.remark,
        notes=branch.notes,
        mean=branch.mean,
        spread=_mean_and_spread(branch.results, status.metric)[1],
        verdict=branch.verdict,
        freshness=branch.freshness,
        is_stale=branch.is_stale,
        work_tree=next((place.path for place in standing.checked_out), None),
        runs=runs,
        counted=_ids(branch.results),
        flags=branch.flags,
        features=branch.features,
        is_beside_main=is_comparable(branch.results, status.main_results),
        next=next_step(branch, num_open=num_open),
    )


def _freshness(results: BranchResults) -> Freshness:
    if not results.count(RunState.DONE):
        return Freshness.NONE
    return Freshness.CURRENT if results.is_of_tip else Freshness.BRANCH_MOVED


def _mean_and_spread(results: BranchResults, metric: str) -> tuple[float | None, float | None]:
    values = list(results.seeds(metric).values())
    if not values:
        return None, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _ids(results: BranchResults) -> frozenset[str]:
    return frozenset(record.run.id for record in results.records)


def _runs(
    name: str,
    results: BranchResults,
    by_name: Mapping[str, list[RunRecord]],
    by_id: Mapping[str, RunRecord],
) -> tuple[RunRecord, ...]:
    """Return the runs of a name, after those that count but were planned for another name of the same content."""
    own = by_name.get(name, [])
    known = {record.run.id for record in own}
    others = [
        by_id.get(record.run.id, record) for record in results.records if record.run.id not in known
    ]
    return (*others, *own)

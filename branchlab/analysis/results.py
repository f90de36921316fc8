"""Which of the recorded runs speak for a branch, and whether they still do.

A run belongs to its tree: results follow content, not the branch name or the commit. Runs are only held against runs of
the same protocol (task, scale, sample, recipe overrides, environment).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from branchlab.domain import Flags, Freshness, Run, RunRecord, RunState, Scale

ProtocolKey = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A branch as its results are asked for: its name, its tip's tree, and the flags that it runs with."""

    branch: str
    tree: str
    flags: Flags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchResults:
    """The runs that speak for a branch.

    Attributes:
        records: Of one protocol, one a seed, by seed; done or not.
        is_of_tip: Whether they ran the branch's present content.
    """

    records: tuple[RunRecord, ...] = ()
    is_of_tip: bool = False

    def seeds(self, metric: str) -> dict[int, float]:
        """Return a metric's final value by seed, of the runs that are done and recorded a finite one."""
        done = [record for record in self.records if record.state is RunState.DONE]
        found = {r.run.seed: r.metrics.get(metric, math.nan) for r in done}
        return {seed: value for seed, value in found.items() if math.isfinite(value)}

    def count(self, *states: RunState) -> int:
        """Return how many of the runs are in one of some states."""
        return sum(record.state in states for record in self.records)

    @property
    def scale(self) -> Scale | None:
        return self.records[0].run.scale if self.records else None


def protocol_of(run: Run) -> ProtocolKey:
    """Return what must be equal for two runs to be comparable."""
    return (
        run.task,
        run.scale,
        run.sample if run.scale is Scale.SAMPLE else None,
        tuple(sorted(run.arguments.items())),
        run.epochs,
        run.deterministic,
        tuple(sorted(run.environment.items())),
    )


def results_of(
    subject: Subject,
    records: Sequence[RunRecord],
    *,
    scale: Scale | None = None,
    protocol: ProtocolKey | None = None,
) -> BranchResults:
    """Return the runs that speak for a branch.

    Runs of the tip's content come first; without any, the latest ones that were planned for the branch's name. Of
    several protocols the one that was planned last is taken, unless ``protocol`` names one.
    """
    wanted = [
        record
        for record in records
        if (scale is None or record.run.scale is scale)
        and (protocol is None or protocol_of(record.run) == protocol)
        and dict(record.run.flags) == dict(subject.flags)
    ]
    of_tip = [record for record in wanted if record.run.tree == subject.tree]
    if of_tip:
        return BranchResults(records=_one_protocol(of_tip), is_of_tip=True)
    of_name = [record for record in wanted if record.run.branch == subject.branch]
    if not of_name:
        return BranchResults()
    latest = max(of_name, key=_planned)
    same_tree = [record for record in of_name if record.run.tree == latest.run.tree]
    return BranchResults(records=_one_protocol(same_tree), is_of_tip=False)


def freshness(results: BranchResults, main: BranchResults) -> Freshness:
    """Return whether a branch's results speak of its tip and are held against today's main."""
    if not results.count(RunState.DONE):
        return Freshness.NONE
    if not results.is_of_tip:
        return Freshness.BRANCH_MOVED
    return (
        Freshness.CURRENT if main.is_of_tip and main.count(RunState.DONE) else Freshness.MAIN_MOVED
    )


def _one_protocol(records: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """Return the runs of the protocol that was planned last, the best-known one for each seed."""
    protocol = protocol_of(max(records, key=_planned).run)
    by_seed: dict[int, RunRecord] = {}
    for record in sorted(records, key=_planned):
        if protocol_of(record.run) == protocol:
            known = by_seed.get(record.run.seed)
            if known is None or record.state is RunState.DONE or known.state is not RunState.DONE:
                by_seed[record.run.seed] = record
    return tuple(by_seed[seed] for seed in sorted(by_seed))


def _planned(record: RunRecord) -> float:
    return record.run.planned_at.timestamp() if record.run.planned_at else 0.0

"""Which of the recorded runs speak for a branch, and whether they still do.

A run belongs to its tree: results follow content, not the branch name or the commit. Runs are only held against runs of
the same protocol (task or script, scale, sample, recipe overrides, environment).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.domain import Flags, Freshness, Run, RunRecord, RunState, Scale

ProtocolKey = tuple[object, ...]

_SEEDS_MIN = 2
"""Fewer common seeds are never a verdict."""
_OF_PACKAGES = {"packages", "python", "torch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A branch as its results are asked for: its name, its tip's tree, and the flags that it runs with.

    ``content`` is the id of the tree without the descriptions of experiments; the tree's own unless given.
    """

    branch: str
    tree: str
    content: str = ""
    flags: Flags = field(default_factory=dict)

    def is_of(self, run: Run) -> bool:
        """Whether a run trained the subject's content."""
        return run.tree == self.tree or content_of(run) == (self.content or self.tree)


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
        """Return the final value of a metric, or of a slice as ``val/accuracy[shirt]``, by seed.

        Of the runs that are done and recorded a finite one.
        """
        done = [record for record in self.records if record.state is RunState.DONE]
        found = {r.run.seed: value_of(r, metric) for r in done}
        return {
            seed: value
            for seed, value in found.items()
            if value is not None and math.isfinite(value)
        }

    def slices(self, metric: str) -> list[str]:
        """Return the names of a metric's slices that any of the runs has, in the order of the first that has them."""
        done = [record for record in self.records if record.state is RunState.DONE]
        names = (name for record in done for name in (*record.slices, *record.metrics))
        return list(dict.fromkeys(name for name in names if name.startswith(f"{metric}[")))

    def count(self, *states: RunState) -> int:
        """Return how many of the runs are in one of some states."""
        return sum(record.state in states for record in self.records)

    @property
    def scale(self) -> Scale | None:
        return self.records[0].run.scale if self.records else None


def value_of(record: RunRecord, metric: str) -> float | None:
    """Return what a run has of a metric or of a slice; None where it has not recorded it."""
    value = record.metrics.get(metric)
    # Whatever is no slice's name is not looked for among them: they are many, and read only when asked for.
    return record.slices.get(metric) if value is None and metric.endswith("]") else value


class Recorded:
    """Recorded runs by content and by branch, so that a subject's are found without looking at all of them."""

    def __init__(self, records: Sequence[RunRecord]) -> None:
        self._by_content: dict[str, list[RunRecord]] = {}
        self._by_branch: dict[str, list[RunRecord]] = {}
        for record in records:
            self._by_content.setdefault(content_of(record.run), []).append(record)
            self._by_branch.setdefault(record.run.branch, []).append(record)

    def about(self, subject: Subject) -> list[RunRecord]:
        """Return the runs of the subject's content, and those planned for its branch."""
        names = dict.fromkeys((subject.content or subject.tree, subject.tree))
        of_content = [record for name in names for record in self._by_content.get(name, [])]
        of_branch = self._by_branch.get(subject.branch, [])
        return of_content + [record for record in of_branch if not subject.is_of(record.run)]


def content_of(run: Run) -> str:
    """Return the id of what a run trained: its tree without the descriptions of experiments."""
    return run.content or run.tree


def protocol_of(run: Run) -> ProtocolKey:
    """Return what must be equal for two runs to be comparable."""
    return (
        run.task,
        run.script.protocol if run.script is not None else None,
        run.scale,
        run.sample if run.scale is Scale.SAMPLE else None,
        tuple(sorted(run.arguments.items())),
        run.epochs,
        run.budget_s,
        run.processes,
        run.deterministic,
        _comparable(run.environment),
    )


def _comparable(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what of an environment must be equal. Where branches have their own, packages are part of what is compared."""
    if "packages" not in environment:
        return tuple(sorted(environment.items()))
    kept = {name: value for name, value in environment.items() if name not in _OF_PACKAGES}
    return tuple(sorted({**kept, "packages": "own"}.items()))


def results_of(
    subject: Subject,
    records: Sequence[RunRecord],
    *,
    protocol: ProtocolKey | None = None,
    taken: Mapping[str, str] | None = None,
) -> BranchResults:
    """Return the runs that speak for a branch.

    Runs of the tip's content come first; without any, the latest ones that were planned for the branch's name. Of
    several protocols the one with most seeds done is taken, unless ``protocol`` names one; one on the full set only while
    none on a sample has seeds enough for a verdict.

    Args:
        subject: Whose.
        records: Where they are looked for.
        protocol: Only runs of this one.
        taken: Files of main's today that are the script of every branch: runs under these that are done go before any others.
    """
    wanted = [
        record
        for record in records
        if (protocol is None or protocol_of(record.run) == protocol)
        and dict(record.run.flags) == dict(subject.flags)
    ]
    of_tip = [record for record in wanted if subject.is_of(record.run)]
    if of_tip:
        return BranchResults(records=_one_protocol(of_tip, taken), is_of_tip=True)
    of_name = [record for record in wanted if record.run.branch == subject.branch]
    if not of_name:
        return BranchResults()
    latest = max(of_name, key=when_planned)
    then = Subject(branch=subject.branch, tree=latest.run.tree, content=latest.run.content)
    same = [record for record in of_name if then.is_of(record.run)]
    return BranchResults(records=_one_protocol(same, taken), is_of_tip=False)


def freshness(results: BranchResults, main: BranchResults) -> Freshness:
    """Return whether a branch's results speak of its tip and are held against today's main."""
    if not results.count(RunState.DONE):
        return Freshness.NONE
    if not results.is_of_tip:
        return Freshness.BRANCH_MOVED
    return (
        Freshness.CURRENT if main.is_of_tip and main.count(RunState.DONE) else Freshness.MAIN_MOVED
    )


def is_identical(one: BranchResults, other: BranchResults) -> bool:
    """Whether two or more common seeds are done and every metric that both record, the losses too, is equal to the bit.

    Then both did the same computation: a change of comments, or a flag that is off.
    """
    theirs = {r.run.seed: r.metrics for r in other.records if r.state is RunState.DONE}
    pairs = [
        (r.metrics, theirs[r.run.seed])
        for r in one.records
        if r.state is RunState.DONE and r.run.seed in theirs
    ]
    return len(pairs) > 1 and all(
        "train/loss" in a
        and "train/loss" in b
        and all(a[name] == b[name] for name in a.keys() & b.keys())
        for a, b in pairs
    )


def _one_protocol(
    records: Sequence[RunRecord], taken: Mapping[str, str] | None
) -> tuple[RunRecord, ...]:
    """Return the runs of one protocol: the one with most seeds done, of equals the one planned last.

    The sample goes before the full set: what has been promoted stays in one family with what has not, and under one verdict
    of the sample that the full set is held against. A quick try with one epoch therefore doesn't hide what three seeds have shown. But one seed that is done under main's
    script of today stands before three under an older one: nothing new will ever be held against those.
    """
    groups: dict[ProtocolKey, dict[int, RunRecord]] = {}
    for record in sorted(records, key=when_planned):
        by_seed = groups.setdefault(protocol_of(record.run), {})
        known = by_seed.get(record.run.seed)
        if known is None or record.state is RunState.DONE or known.state is not RunState.DONE:
            by_seed[record.run.seed] = record
    best = max(groups.values(), key=lambda by_seed: _weight(by_seed, taken))
    return tuple(best[seed] for seed in sorted(best))


def _weight(
    by_seed: Mapping[int, RunRecord], taken: Mapping[str, str] | None
) -> tuple[bool, bool, int, float]:
    num_done = sum(record.state is RunState.DONE for record in by_seed.values())
    scripts = [record.run.script for record in by_seed.values()]
    is_todays = bool(taken) and all(s is not None and dict(s.taken) == taken for s in scripts)
    is_on_sample = all(record.run.scale is Scale.SAMPLE for record in by_seed.values())
    return (
        is_todays and num_done > 0,
        is_on_sample and num_done >= _SEEDS_MIN,
        num_done,
        max(when_planned(record) for record in by_seed.values()),
    )


def when_planned(record: RunRecord) -> float:
    """Return when a run was planned, in seconds; 0 where nobody wrote it down."""
    return record.run.planned_at.timestamp() if record.run.planned_at else 0.0

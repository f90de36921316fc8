"""What runs have measured for the claims of a lab: values by seed, and differences with the noise of the whole comparison.

Branches are held against each other within one protocol, as ``compare`` does it. What a claim needs is computed once for all
branches, and curves are read once a metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from branchlab.analysis.claims.claim import (
    Amount,
    Claim,
    Estimand,
    Named,
    Point,
    Trend,
    first_epoch,
    is_rising_better,
    shifts_of,
)
from branchlab.analysis.claims.judging import Measured, Pairs, paired, shifted, slope, smallest_step
from branchlab.analysis.results import (
    BranchResults,
    ProtocolKey,
    Recorded,
    Subject,
    is_identical,
    protocol_of,
    results_of,
)
from branchlab.analysis.verdict import Noise, Question, Seeds, judged_by
from branchlab.domain import Goal, RunState, Scale
from branchlab.lab.judge import Judged
from branchlab.store.index import Index

Curve = list[tuple[int, float]]
_PERCENT_MAX = 10
"""By so much one side of a pool may be moved, and it is one pool still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that claims of a lab are held against.

    Attributes:
        judged: Every branch of the comparison with its results, by name.
        others: Branches by every name that a claim may call them: main, reference, experiments long and short.
        taken: Files of main's that are the script of every branch.
        metric: The project's own. ``goal``: which of its values are better.
    """

    judged: Mapping[str, Judged]
    others: Mapping[str, Subject]
    recorded: Recorded
    taken: Mapping[str, str]
    metric: str
    goal: Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """An estimand by seed; ``open_seeds`` never reached the level of ``epoch_to``, their value is a bound from below."""

    seeds: Seeds
    open_seeds: frozenset[int] = field(default_factory=frozenset)


class ClaimFigures:
    """Gathers what claims need; not to be kept for longer than the index stays as it is."""

    def __init__(self, index: Index, scene: Scene) -> None:
        self._index = index
        self._scene = scene
        self._curves: dict[str, dict[str, Curve]] = {}
        self._values: dict[tuple[int, str], _Values] = {}
        self._others: dict[tuple[str, ProtocolKey], BranchResults] = {}
        self._pairs: dict[tuple[object, ...], Mapping[str, Pairs]] = {}
        self._same: dict[tuple[str, str, ProtocolKey], bool] = {}
        self._groups: dict[ProtocolKey, list[str]] = {}
        self._names: set[str] | None = None
        for name, one in scene.judged.items():
            if one.results.records:
                protocol = protocol_of(one.results.records[0].run)
                self._groups.setdefault(protocol, []).append(name)

    def measured(self, branch: str, claim: Claim) -> Measured:
        """Return what the runs of a branch have measured for a claim."""
        judged = self._scene.judged.get(branch)
        if judged is None or not judged.results.count(RunState.DONE):
            return Measured(missing="no run of this branch is done")
        results = judged.results
        mains = {record.run.id for record in judged.against.records}
        if any(record.run.id in mains for record in results.records):
            return Measured(
                missing="its runs are those of main: it holds nothing that main does not"
            )
        if isinstance(claim, Trend):
            return self._slopes(results, claim.estimand)
        own = self._of(results, claim.estimand)
        if not own.seeds:
            return Measured(missing=self._lacking(claim.estimand))
        if isinstance(claim.target, Amount):
            step = self._step(results, claim.estimand)
            return Measured(own=own.seeds, step=step, open_own=own.open_seeds)
        return self._against(branch, results, claim, claim.target)

    def _against(
        self, branch: str, results: BranchResults, claim: Claim, target: Estimand | Named
    ) -> Measured:
        """Return a claim's estimand beside that of another branch, or beside another estimand of the same runs."""
        protocol = protocol_of(results.records[0].run)
        subject = self._scene.others.get(target.name) if isinstance(target, Named) else None
        if isinstance(target, Named) and subject is None:
            if not target.may_be_metric:
                return Measured(missing=f"there is no branch or experiment '{target.name}'")
            target = Estimand(metric=target.name, point=claim.estimand.point)
        if subject is not None:
            name, other_results, theirs = (
                subject.branch,
                self._results(subject, protocol),
                claim.estimand,
            )
            if name == branch:
                return Measured(missing="it is held against itself")
            if not other_results.count(RunState.DONE):
                return Measured(missing=f"no run of {name} like these is done")
        else:
            assert isinstance(target, Estimand)
            name, other_results, theirs = str(target), results, target
        own, other = self._of(results, claim.estimand), self._of(other_results, theirs)
        if not other.seeds:
            if subject is None and isinstance(target, Estimand):
                return Measured(missing=self._unknown(target))
            return Measured(missing=f"no run of {name} like these has recorded {theirs.name}")
        own, other, waiting = _without_open_pairs(own, other, claim.estimand)
        steps = (smallest_step(side.seeds.values()) for side in (own, other))
        is_epochs = claim.estimand.point is Point.EPOCH_TO
        step = 1.0 if is_epochs else min(filter(None, steps), default=0.0)
        pairs = {}
        for percent in shifts_of(claim):
            if subject is None or is_epochs or abs(percent) > _PERCENT_MAX:
                # Other estimands have other noise, epochs that were never reached are bounds, and a pool cannot be
                # moved by so much and stay one: then its own seeds speak alone.
                pairs[percent] = paired(own.seeds, shifted(other.seeds, percent), step=step)
            else:
                pairs[percent] = self._pooled(branch, claim.estimand, (name, protocol), percent)
        return Measured(
            own=own.seeds,
            other=name,
            pairs=pairs,
            open_own=own.open_seeds & other.seeds.keys(),
            open_other=other.open_seeds & own.seeds.keys(),
            waiting=waiting or ("" if pairs[0.0][0] else f"no seed that {name} has finished too"),
        )

    def _pooled(
        self, branch: str, estimand: Estimand, other: tuple[str, ProtocolKey], percent: float
    ) -> Pairs:
        """Return differences and noise, the noise pooled over all branches of the protocol."""
        name, protocol = other
        theirs = self._of(self._others[other], estimand).seeds
        moved = shifted(theirs, percent)
        own = self._of(self._scene.judged[branch].results, estimand).seeds
        if self._is_same(branch, other):
            differences = [own[seed] - moved[seed] for seed in sorted(own.keys() & moved.keys())]
            return differences, Noise(
                deviation=0.0, df=max(1, len(differences) - 1), num_branches=2
            )
        key = (str(estimand), name, protocol, percent)
        if key not in self._pairs:
            # What computed the same as the other is the other once more: pooled, its noise would count twice.
            pool = {
                member: values
                for member in self._groups[protocol]
                if member != name
                and not self._is_same(member, other)
                and (values := self._of(self._scene.judged[member].results, estimand).seeds)
            }
            question = Question(goal=Goal.MAX, min_effect=0.0, scale=Scale.SAMPLE, against=name)
            self._pairs[key] = {
                member: (differences, noise)
                for member, (differences, noise, _) in judged_by(pool, moved, question).items()
            }
        return self._pairs[key][branch]

    def _is_same(self, branch: str, other: tuple[str, ProtocolKey]) -> bool:
        key = (branch, *other)
        if key not in self._same:
            results = self._scene.judged[branch].results
            self._same[key] = is_identical(results, self._others[other])
        return self._same[key]

    def _results(self, subject: Subject, protocol: ProtocolKey) -> BranchResults:
        key = (subject.branch, protocol)
        if key not in self._others:
            records = self._scene.recorded.about(subject)
            self._others[key] = results_of(
                subject, records, protocol=protocol, taken=self._scene.taken
            )
        return self._others[key]

    def _of(self, results: BranchResults, estimand: Estimand) -> _Values:
        key = (id(results), str(estimand))
        if key not in self._values:
            self._values[key] = self._computed(results, estimand)
        return self._values[key]

    def _computed(self, results: BranchResults, estimand: Estimand) -> _Values:
        if estimand.point is Point.LAST:
            return _Values(seeds=results.seeds(estimand.name))
        curves = self._curves_of(results, estimand.name)
        if estimand.point is Point.EPOCH_TO:
            is_upward = (
                estimand.relation.is_upward
                if estimand.relation is not None
                else self._is_rising_better(estimand)
            )
            reached = {
                seed: first_epoch(curve, estimand.number, is_upward=is_upward)
                for seed, curve in curves.items()
            }
            return _Values(
                seeds={
                    seed: float(curves[seed][-1][0] + 1 if epoch is None else epoch)
                    for seed, epoch in reached.items()
                },
                open_seeds=frozenset(seed for seed, epoch in reached.items() if epoch is None),
            )
        found = {seed: self._at_point(curve, estimand) for seed, curve in curves.items()}
        return _Values(seeds={seed: v for seed, v in found.items() if v is not None})

    def _at_point(self, curve: Curve, estimand: Estimand) -> float | None:
        values = [value for _, value in curve]
        match estimand.point:
            case Point.EPOCH:
                return dict(curve).get(int(estimand.number))
            case Point.MEAN:
                return math.fsum(values) / len(values)
            case Point.MAX:
                return max(values)
            case Point.MIN:
                return min(values)
            case _:
                return max(values) if self._is_rising_better(estimand) else min(values)

    def _is_rising_better(self, estimand: Estimand) -> bool:
        scene = self._scene
        return is_rising_better(estimand.metric, metric_of_run=scene.metric, goal=scene.goal)

    def _curves_of(self, results: BranchResults, name: str) -> dict[int, Curve]:
        """Return the curves of runs that are done, by seed, without what is not finite."""
        if name not in self._curves:
            self._curves[name] = self._index.epoch_curves(name)
        done = [record.run for record in results.records if record.state is RunState.DONE]
        found = {run.seed: self._curves[name].get(run.id, []) for run in done}
        finite = {s: [(e, v) for e, v in curve if math.isfinite(v)] for s, curve in found.items()}
        return {seed: curve for seed, curve in finite.items() if curve}

    def _slopes(self, results: BranchResults, estimand: Estimand) -> Measured:
        curves = self._curves_of(results, estimand.name)
        slopes = {seed: slope(curve) for seed, curve in curves.items()}
        own = {seed: value for seed, value in slopes.items() if value is not None}
        if curves and not own:
            said = f"{estimand.name} is recorded at one epoch alone; a trend needs two"
            return Measured(missing=said)
        if not own:
            return Measured(missing=self._lacking(estimand, of_curve=True))
        return Measured(own=own)

    def _step(self, results: BranchResults, estimand: Estimand) -> float:
        """Return the smallest step between values of an estimand in the comparison."""
        members = self._groups[protocol_of(results.records[0].run)]
        found = [self._of(self._scene.judged[name].results, estimand).seeds for name in members]
        return smallest_step(value for seeds in found for value in seeds.values())

    def _lacking(self, estimand: Estimand, *, of_curve: bool = False) -> str:
        """Say why an estimand has no value, although runs are done."""
        if estimand.point is Point.EPOCH and self._index_knows(estimand.name):
            return f"{estimand.name} is not recorded at epoch {int(estimand.number)}"
        where = " by epoch" if of_curve or estimand.point is not Point.LAST else ""
        return f"no run of this branch has recorded {estimand.name}{where}"

    def _unknown(self, target: Estimand) -> str:
        if self._index_knows(target.name):
            return f"no run of this branch has recorded {target.name}"
        return f"'{target.name}' is neither a branch nor a metric that any run has recorded"

    def _index_knows(self, name: str) -> bool:
        if self._names is None:
            self._names = set(self._index.metric_names())
        return name in self._names


def _without_open_pairs(
    own: _Values, other: _Values, estimand: Estimand
) -> tuple[_Values, _Values, str]:
    """Leave out seeds at which neither side reached the level: nobody knows which would have been sooner."""
    both = own.open_seeds & other.open_seeds
    if not both:
        return own, other, ""
    kept = {seed: value for seed, value in own.seeds.items() if seed not in both}
    words = f"neither side reached {estimand.number:g} on {len(both)} of {len(own.seeds)} seeds"
    left = _Values(seeds=kept, open_seeds=own.open_seeds - both)
    return left, other, "" if kept else words

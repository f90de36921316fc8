"""How a metric went over the epochs: of each branch a mean over seeds with the lowest and the highest, beside main's.

Only runs that a verdict is made of are in a curve, and branches share a chart only where they can be compared.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from branchlab.analysis.results import BranchResults, ProtocolKey, protocol_of
from branchlab.domain import RunRecord, RunState, Scale
from branchlab.lab.judge import Judged
from branchlab.lab.project import Project
from branchlab.lab.sparkline import shared_span, sparkline
from branchlab.store.index import Index

_BRANCHES_MAX = 300
"""Curves of 1,000 branches with three runs each take 0.13 s on a busy core (2026-11-27), a tenth of all that ``status`` does."""

_Packed = tuple["array[int]", "array[float]"]
EpochCurves = Mapping[str, Sequence[tuple[int, float]]]
"""(epoch, value) pairs of one metric, by run, as the index gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One epoch of a curve: the mean over seeds, the lowest and the highest of them."""

    epoch: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One branch over the epochs; every point rests on the same seeds, so that none that drops out bends it."""

    branch: str
    points: tuple[Point, ...]
    num_seeds: int
    is_running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The curves of one protocol. ``main`` is None where it has none there; branches come as they were given."""

    scale: Scale
    main: Curve | None
    curves: tuple[Curve, ...]


def charts_of(judged: Sequence[Judged], curves: EpochCurves, *, main: str) -> tuple[Chart, ...]:
    """Return a chart for each protocol that any branch ran under, the one with most branches first."""
    groups: dict[ProtocolKey, list[Judged]] = {}
    for one in judged:
        if one.results.records:
            groups.setdefault(protocol_of(one.results.records[0].run), []).append(one)
    found = []
    for ones in groups.values():
        drawn = [
            curve
            for one in ones
            if (curve := curve_of(one.subject.branch, one.results, curves)) is not None
        ]
        beside = curve_of(main, ones[0].against, curves)
        if drawn:
            scale = ones[0].results.records[0].run.scale
            found.append(Chart(scale=scale, main=beside, curves=tuple(drawn)))
    return tuple(sorted(found, key=lambda chart: -len(chart.curves)))


def curves_of(
    project: Project, results: Mapping[str, BranchResults], metric: str
) -> dict[str, Curve]:
    """Return the curve of each branch that has one; of very many branches none.

    They are read at once from the index as it is: who asks has just brought it up to date.
    """
    if len(results) > _BRANCHES_MAX:
        return {}
    runs = [record.run.id for one in results.values() for record in one.records]
    if not runs:
        return {}
    index = Index(project.state)
    known = index.epoch_curves(metric, runs)
    index.close()
    return curves_by_branch(results, known)


def curves_by_branch(results: Mapping[str, BranchResults], curves: EpochCurves) -> dict[str, Curve]:
    """Return the curve of each branch that has one."""
    found = {name: curve_of(name, one, curves) for name, one in results.items()}
    return {name: curve for name, curve in found.items() if curve is not None}


class KnownCurves:
    """The epoch curves of all runs, kept from one reading to the next: only runs that have got on are read again.

    They are kept as arrays: while eight runs write for hours, pairs took ten times the memory.
    """

    def __init__(self) -> None:
        self._metric = ""
        self._curves: dict[str, _Packed] = {}
        self._read_at: dict[str, tuple[RunState, int, int]] = {}

    def read(self, index: Index, metric: str, records: Sequence[RunRecord]) -> EpochCurves:
        """Return the curves of one metric, by run."""
        if metric != self._metric:
            self._metric, self._curves, self._read_at = metric, {}, {}
        now = {r.run.id: (r.state, r.epoch, r.attempts) for r in records if r.attempts}
        moved = [run_id for run_id, where in now.items() if self._read_at.get(run_id) != where]
        for run_id, pairs in index.epoch_curves(metric, moved).items() if moved else ():
            epochs, values = zip(*pairs, strict=True)
            self._curves[run_id] = array("q", epochs), array("d", values)
        self._curves = {run_id: kept for run_id, kept in self._curves.items() if run_id in now}
        self._read_at = now
        return _Unpacked(self._curves)


class _Unpacked(Mapping[str, Sequence[tuple[int, float]]]):
    """Curves as pairs, one at a time."""

    def __init__(self, packed: Mapping[str, _Packed]) -> None:
        self._packed = packed

    def __getitem__(self, run_id: str) -> Sequence[tuple[int, float]]:
        return list(zip(*self._packed[run_id], strict=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def thinned_curve(curve: Curve, num_max: int = 400) -> Curve:
    """Return a curve of at most about ``num_max`` points; the lowest and the highest of every stretch stay."""
    points = curve.points
    if len(points) <= num_max:
        return curve
    size = -(-len(points) * 4 // num_max)
    kept: set[int] = set()
    for start in range(0, len(points), size):
        part = range(start, min(start + size, len(points)))
        low = min(part, key=lambda i: points[i].low)
        high = max(part, key=lambda i: points[i].high)
        kept |= {part[0], low, high, part[-1]}
    return replace(curve, points=tuple(points[i] for i in sorted(kept)))


def is_comparable(one: BranchResults, other: BranchResults) -> bool:
    """Whether both ran under one protocol, so that their curves may share a chart."""
    if not one.records or not other.records:
        return False
    return protocol_of(one.records[0].run) == protocol_of(other.records[0].run)


def sparklines(curves: Mapping[str, Curve], width: int) -> dict[str, str]:
    """Return each branch's means in a line of blocks, all in one span."""
    drawn = {name: [(p.epoch, p.mean) for p in one.points] for name, one in curves.items()}
    span = shared_span(drawn.values())
    return {name: sparkline(points, width, span=span) for name, points in drawn.items()}


def curve_of(branch: str, results: BranchResults, curves: EpochCurves) -> Curve | None:
    """Return the curve of the runs that are done, of those that run while none is; None without a value."""
    for state in (RunState.DONE, RunState.RUNNING):
        ids = [record.run.id for record in results.records if record.state is state]
        seeds = [values for run_id in ids if (values := _finite(curves.get(run_id, ())))]
        if not seeds:
            continue
        common = sorted(set.intersection(*(set(values) for values in seeds)))
        points = tuple(_point(epoch, [values[epoch] for values in seeds]) for epoch in common)
        if points:
            is_running = state is RunState.RUNNING
            return Curve(branch=branch, points=points, num_seeds=len(seeds), is_running=is_running)
    return None


def _finite(values: Sequence[tuple[int, float]]) -> dict[int, float]:
    return {epoch: value for epoch, value in values if math.isfinite(value)}


def _point(epoch: int, values: Sequence[float]) -> Point:
    mean = sum(values) / len(values)
    return Point(epoch=epoch, mean=mean, low=min(values), high=max(values))

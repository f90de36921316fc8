"""How one branch went beside main: any metric that its runs have logged, over epochs or steps, live while they go on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from branchlab.analysis.results import BranchResults, protocol_of
from branchlab.domain import RunState
from branchlab.lab.curves import Curve, EpochCurves, curve_of
from branchlab.lab.project import Project


class Axis(StrEnum):
    """What is counted along a curve."""

    EPOCH = "epoch"
    STEP = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A branch's curve and main's.

    Attributes:
        metric: What is drawn: the one that was asked for, else the first there is.
        metrics: All that its runs have logged, the project's own first.
        running: Of runs that go on while others are done, a curve each, named by the seed.
        said: Why main is not beside it; empty where it is.
    """

    metric: str
    axis: Axis
    metrics: tuple[str, ...] = ()
    curve: Curve | None = None
    main: Curve | None = None
    running: tuple[Curve, ...] = ()
    said: str = ""


def beside_main(
    project: Project,
    branch: tuple[str, BranchResults],
    main: tuple[str, BranchResults],
    *,
    metric: str,
    axis: Axis = Axis.EPOCH,
) -> Beside:
    """Return the curves of the runs that speak for a branch and for main, each given as its name and results."""
    ids = [record.run.id for record in branch[1].records]
    index = project.index()
    try:
        logged = index.metric_names_of(ids)
        own = project.config.run.metric
        names = (*([own] if own in logged else []), *(name for name in logged if name != own))
        if not names:
            return Beside(metric=metric, axis=axis)
        wanted = metric if metric in names else names[0]
        others = [record.run.id for record in main[1].records]
        points = {run: index.points(run, wanted) for run in (*ids, *others)}
    finally:
        index.close()
    curves = {run: _along(axis, found) for run, found in points.items() if found}
    said = _why_alone(branch[1], main, curves, wanted)
    curve = curve_of(branch[0], branch[1], curves)
    return Beside(
        metric=wanted,
        axis=axis,
        metrics=names,
        curve=curve,
        running=_running(branch[1], curves) if curve is not None and not curve.is_running else (),
        main=None if said else curve_of(main[0], main[1], curves),
        said=said,
    )


def _along(axis: Axis, points: list[tuple[int, int, float]]) -> list[tuple[int, float]]:
    """Return points over steps, or the last of each epoch."""
    if axis is Axis.STEP:
        return [(step, value) for step, _, value in points]
    return sorted({epoch: value for _, epoch, value in points}.items())


def _running(results: BranchResults, curves: EpochCurves) -> tuple[Curve, ...]:
    """Return a curve for each run that goes on: it is in no mean yet, and is what somebody watches."""
    found = []
    for record in results.records:
        if record.state is RunState.RUNNING:
            alone = curve_of(f"seed {record.run.seed}", BranchResults(records=(record,)), curves)
            found += [alone] if alone is not None else []
    return tuple(found)


def _why_alone(
    branch: BranchResults, main: tuple[str, BranchResults], curves: EpochCurves, metric: str
) -> str:
    name, results = main
    if not results.records:
        return f"{name} has no runs to show beside it"
    if branch.records and protocol_of(branch.records[0].run) != protocol_of(results.records[0].run):
        return f"the latest runs of {name} were trained in another way, and are not shown beside it"
    if not any(curves.get(record.run.id) for record in results.records):
        return f"the runs of {name} have not logged {metric}"
    return ""

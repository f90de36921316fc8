"""The curves of one run: any metric by step, by epoch or by the time that it has trained."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from branchlab.lab.project import Project
from branchlab.lab.sparkline import Points
from branchlab.run_folder import from_text, read_events
from branchlab.store.index import Index


class Axis(StrEnum):
    """What a curve is drawn over; ``time`` is in seconds of training, without what lay between two attempts."""

    STEP = "step"
    EPOCH = "epoch"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCurves:
    """What a run has recorded.

    Attributes:
        names: Of all its metrics.
        points: (place on the axis, value) of those that were asked for, by metric.
    """

    run_id: str
    axis: Axis
    names: tuple[str, ...]
    points: Mapping[str, Points]


def run_curves(project: Project, run_id: str, metrics: Sequence[str], axis: Axis) -> RunCurves:
    """Return curves of one run as the index has them; it is not brought up to date here."""
    index = Index(project.state)
    try:
        names = tuple(index.metric_names_of([run_id]))
        rows = {name: index.points(run_id, name) for name in metrics if name in names}
    finally:
        index.close()
    seconds = _seconds(project, run_id) if axis is Axis.TIME and rows else {}
    points: dict[str, Points] = {}
    for name, found in rows.items():
        match axis:
            case Axis.STEP:
                points[name] = [(step, value) for step, _, value in found]
            case Axis.EPOCH:
                points[name] = sorted({epoch: value for _, epoch, value in found}.items())
            case Axis.TIME:
                points[name] = [(seconds[s], value) for s, _, value in found if s in seconds]
    return RunCurves(run_id=run_id, axis=axis, names=names, points=points)


def loss_of(names: Iterable[str]) -> str:
    """Return which of some metrics is the training loss; empty where none is called so."""
    found = sorted(name for name in names if "loss" in name.casefold() and "[" not in name)
    return min(found, key=lambda name: (not name.startswith("train"), len(name)), default="")


def value_at(points: Points, place: int) -> float | None:
    """Return what a curve said last at a place of its axis; None before it begins."""
    number = bisect.bisect_right(points, place, key=lambda point: point[0])
    return points[number - 1][1] if number else None


def _seconds(project: Project, run_id: str) -> dict[int, int]:
    """Return after how many seconds of training each step was told, over all attempts."""
    folder = project.state.run(run_id)
    found: dict[int, int] = {}
    before = 0.0
    for number in range(1, folder.attempts() + 1):
        began: datetime | None = None
        passed = 0.0
        for event in read_events(folder.attempt(number).events).events:
            at = from_text(event.get("at"))
            if at is None:
                continue
            began = began or at
            passed = (at - began).total_seconds()
            if isinstance(event.get("step"), int):
                found[event["step"]] = round(before + passed)
        before += passed
    return found

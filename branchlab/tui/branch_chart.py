"""A branch's curve over main's, as a chart or in one line; pure."""

from __future__ import annotations

from dataclasses import dataclass

from branchlab.lab.curves import Curve
from branchlab.lab.sparkline import sparkline
from branchlab.lab.words import figure
from branchlab.tui.chart import Series, legend, plot
from branchlab.tui.looks import Line, Look
from branchlab.tui.views import BranchView, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What is drawn of a branch beside what is said of it: its curve, and main's where both may share a chart."""

    metric: str
    curve: Curve | None = None
    main: Curve | None = None
    main_mean: float | None = None


def chart_lines(view: BranchView, drawn: Drawn, *, width: int, height: int) -> list[Line]:
    """Return the branch's curve over main's, with the band between its lowest and highest seed; none without room."""
    series = _series(view, drawn)
    if not series or height < 5:  # noqa: PLR2004  axis, legend and three lines of curve
        return []
    lines = plot(series, width=width, height=height - 2)
    if not lines:
        return []
    num = drawn.curve.num_seeds if drawn.curve else 0
    seeds = f"{num} seed{'s' if num != 1 else ''}"
    title: Line = ((f"{drawn.metric}  ", Look.DIM), *legend(series), (seeds, Look.DIM))
    return [(), title, *lines]


def _series(view: BranchView, drawn: Drawn) -> list[Series]:
    found = []
    for curve, look in ((drawn.curve, Look.CURVE_1), (drawn.main, Look.CURVE_2)):
        if curve is None or not curve.points:
            continue
        is_own = curve is drawn.curve
        band = [(p.epoch, p.low, p.high) for p in curve.points] if curve.num_seeds > 1 else []
        found.append(
            Series(
                name=view.name if is_own else curve.branch,
                points=[(point.epoch, point.mean) for point in curve.points],
                look=look,
                band=band if is_own else (),
            )
        )
    return found


def spark_line(view: BranchView, drawn: Drawn, width: int) -> Line:
    """Return the curve in one line, between main's mean and its own."""
    if drawn.curve is None:
        return ()
    points = [(point.epoch, point.mean) for point in drawn.curve.points]
    name = f"{drawn.metric} "
    last = f" {figure(points[-1][1])}"
    is_held = view.role is Role.EXPERIMENT and drawn.main_mean is not None
    beside = f"  main {figure(drawn.main_mean)}" if is_held else ""
    going = "  so far" if drawn.curve.is_running else ""
    room = width - len(name) - len(last) - len(beside) - len(going)
    return (
        (name, Look.DIM),
        (sparkline(points, min(room, 40)), Look.LIVE),
        (f"{last}{going}", Look.PLAIN),
        (beside, Look.DIM),
    )

"""Curves of one run as text, over those of main's run of the same seed, with what they say now in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from branchlab.lab.run_curves import Axis, RunCurves, value_at
from branchlab.lab.sparkline import thinned
from branchlab.lab.words import figure
from branchlab.tui.chart import Series, legend, plot, smoothed
from branchlab.tui.looks import Line, Look, cut

_SMOOTH = (0.0, 0.6, 0.9)
_ZOOM_MIN = 0.02
_UNITS = {Axis.STEP: "step", Axis.EPOCH: "epoch", Axis.TIME: "second"}
_HEIGHT_MIN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """How curves are looked at.

    Attributes:
        smooth: Weight of what came before, 0 for the values themselves.
        start: Share of the axis at which the chart begins. ``end``: at which it ends.
    """

    axis: Axis = Axis.STEP
    smooth: float = 0.0
    start: float = 0.0
    end: float = 1.0

    def smoother(self) -> ChartView:
        """Return the next smoothing; after the strongest none."""
        return replace(self, smooth=_SMOOTH[(_SMOOTH.index(self.smooth) + 1) % len(_SMOOTH)])

    def next_axis(self) -> ChartView:
        """Return the view over the next axis, all of it."""
        axes = list(Axis)
        axis = axes[(axes.index(self.axis) + 1) % len(axes)]
        return replace(self, axis=axis, start=0.0, end=1.0)

    def zoomed(self, by: float) -> ChartView:
        """Return the view with its width multiplied, its end kept where it was."""
        width = min(1.0, max(_ZOOM_MIN, (self.end - self.start) * by))
        end = max(self.end, width)
        return replace(self, start=end - width, end=end)

    def moved(self, by: float) -> ChartView:
        """Return the view moved along the axis by a share of its width."""
        width = self.end - self.start
        start = min(1.0 - width, max(0.0, self.start + by * width))
        return replace(self, start=start, end=start + width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """What was read for a chart: of the run, and of main's run beside it where there is one."""

    own: RunCurves
    beside: RunCurves | None = None
    beside_id: str = ""


def chart_lines(
    curves: Curves, metric: str, view: ChartView, *, width: int, height: int, notice: str = ""
) -> list[Line]:
    """Return a title with the present values, and the chart below it."""
    own = curves.own.points.get(metric, ())
    beside = curves.beside.points.get(metric, ()) if curves.beside is not None else ()
    title: Line = ((metric or "no metric", Look.STRONG),)
    said = [f"smooth {view.smooth:g}"] if view.smooth else []
    said += [f"{view.start:.0%} to {view.end:.0%}"] if view.end - view.start < 1 else []
    if said:
        title = (*title, (f" [{', '.join(said)}]", Look.WARN))
    if own:
        title = (*title, (f"  now {figure(own[-1][1])}", Look.PLAIN))
        there = value_at(beside, own[-1][0])
        if there is not None:
            title = (*title, (f"  main at this {_UNITS[view.axis]} {figure(there)}", Look.DIM))
    lines = [cut(title, width)]
    if not own:
        return [*lines, ((notice or "nothing recorded yet", Look.DIM),)]
    series = [Series(name=curves.own.run_id, points=smoothed(own, view.smooth), look=Look.CURVE_1)]
    if beside:
        series.append(
            Series(
                name=f"main: {curves.beside_id}",
                points=smoothed(beside, view.smooth),
                look=Look.CURVE_2,
            )
        )
    has_legend = height > _HEIGHT_MIN + 1
    drawn = plot(
        series,
        width=width,
        height=height - 1 - has_legend,
        unit=_UNITS[view.axis],
        window=(view.start, view.end),
    )
    if not drawn:
        return [*lines, (("no finite value in this part; - shows more", Look.DIM),)]
    return [*lines, *drawn, *([cut(legend(series), width)] if has_legend else [])]


def thin(curves: RunCurves) -> RunCurves:
    """Return curves of as many points as a chart can show."""
    return replace(curves, points={name: thinned(points) for name, points in curves.points.items()})


def next_metric(names: Sequence[str], metric: str) -> str:
    """Return the metric after one, round again at the end."""
    if not names:
        return metric
    return names[(names.index(metric) + 1) % len(names)] if metric in names else names[0]

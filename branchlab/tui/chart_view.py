"""Curves of several branches in one chart, and how one looks at them: over what, how smooth, how close. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from branchlab.lab.curves import Curve
from branchlab.lab.sparkline import Points
from branchlab.tui.chart import Series, key_of, plot, smoothed
from branchlab.tui.looks import CURVES, Line, Look
from branchlab.tui.memory import Memory
from branchlab.tui.wrapping import in_columns

_SMOOTH = (0.0, 0.6, 0.9)
_AXES = ("epoch", "step")
_WINDOW_MIN = 1 / 16
_FRAME = 4
"""Lines of the frame: header, places, status line, keys."""
_HEIGHT_MIN, _HEIGHT_MAX = 5, 16
_TALL = 30
_TEXT_MIN, _TEXT_ROOMY = 6, 14


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """How charts are looked at.

    Attributes:
        unit: Over what. ``smooth``: the weight of a moving average. ``window``: between which shares of the axis.
        banded: Of which branches the lowest and the highest of the seeds are drawn: more than two bands hide one another.
    """

    unit: str = "epoch"
    smooth: float = 0.0
    window: tuple[float, float] = (0.0, 1.0)
    banded: frozenset[str] = frozenset()

    @property
    def said(self) -> str:
        """What differs from the whole of a plain chart, in a few words."""
        parts = []
        if self.smooth:
            parts.append(f"o smooth {self.smooth:g}")
        if self.window != (0.0, 1.0):
            parts.append(f"+ {self.window[0]:.0%} to {self.window[1]:.0%}")
        return " · ".join(parts)

    def smoother(self) -> ChartView:
        """Return the view with the next weight of the smoothing."""
        at = _SMOOTH.index(self.smooth)
        return replace(self, smooth=_SMOOTH[(at + 1) % len(_SMOOTH)])

    def over_next(self) -> ChartView:
        """Return the view over the next axis."""
        return replace(self, unit=_AXES[(_AXES.index(self.unit) + 1) % len(_AXES)])

    def closer(self, by: int) -> ChartView:
        """Return the view of half of the stretch, its end kept, or of twice of it for a negative number."""
        start, end = self.window
        size = max(_WINDOW_MIN, min(1.0, (end - start) * (0.5 if by > 0 else 2.0)))
        start = max(0.0, end - size)
        return replace(self, window=(start, start + size))

    def panned(self, by: int) -> ChartView:
        """Return the view moved by halves of its stretch."""
        start, end = self.window
        size = end - start
        start = max(0.0, min(1.0 - size, start + by * size / 2))
        return replace(self, window=(start, start + size))

    def whole(self) -> ChartView:
        """Return the view of the whole axis."""
        return replace(self, window=(0.0, 1.0))


def kept_view(memory: Memory) -> ChartView:
    """Return how charts were looked at when the screens were last open."""
    smooth = memory.text("compare.smooth", "0", among=frozenset(f"{s:g}" for s in _SMOOTH))
    return ChartView(
        unit=memory.text("compare.axis", _AXES[0], among=frozenset(_AXES)), smooth=float(smooth)
    )


def keep_view(memory: Memory, view: ChartView) -> None:
    """Remember how charts are looked at; the stretch is of these runs alone."""
    memory.keep("compare.smooth", f"{view.smooth:g}")
    memory.keep("compare.axis", view.unit)


def chart_lines(
    metric: str,
    curves: Sequence[Curve],
    order: Sequence[str],
    view: ChartView,
    *,
    width: int,
    height: int,
) -> list[Line]:
    """Return a chart under its name and legend; ``order`` gives each branch its dashes, drawn here or not."""
    by_branch = {curve.branch: curve for curve in curves}
    series = [_series(name, by_branch.get(name), i, view) for i, name in enumerate(order)]
    head: Line = ((f"{metric}  ", Look.STRONG),)
    names: list[tuple[str, Look]] = []
    for number, one in enumerate(series):
        if one.points:
            name = (short(one.name) + ("…" if by_branch[one.name].is_running else ""), Look.PLAIN)
            names += [(f"{key_of(number)} ", one.look), name, ("  ", Look.PLAIN)]
    said = view.said
    room = width - len(said) - 1
    top = in_columns([(*head, *names)], [max(10, room)]) if room > 10 else head  # noqa: PLR2004
    lines: list[Line] = [(*top, (" ", Look.PLAIN), (said, Look.DIM))]
    drawn = plot(series, width=width, height=height - 1, unit=view.unit, window=view.window)
    if not drawn:
        why = f"no run here has recorded {metric}" if not curves else "no room for a chart"
        drawn = [((f"  {why}", Look.DIM),)]
    return [*lines, *drawn][:height]


def _series(name: str, curve: Curve | None, number: int, view: ChartView) -> Series:
    means, band = curve_points(curve, view.smooth)
    is_banded = curve is not None and curve.num_seeds > 1 and name in view.banded
    return Series(name=name, points=means, look=look_of(number), band=band if is_banded else ())


def curve_points(
    curve: Curve | None, smooth: float
) -> tuple[Points, list[tuple[int, float, float]]]:
    """Return a curve's means, and the lowest and the highest of its seeds; smoothed alike."""
    points = curve.points if curve is not None else ()
    means = smoothed([(p.epoch, p.mean) for p in points], smooth)
    low = smoothed([(p.epoch, p.low) for p in points], smooth)
    high = smoothed([(p.epoch, p.high) for p in points], smooth)
    band = [(at, one, other) for (at, one), (_, other) in zip(low, high, strict=True)]
    return means, band


def chart_height(height: int, num_rows: int, *, is_alone: bool) -> int:
    """Return the lines of the charts on a screen: what the table and some text leave; 0 where that is too little."""
    body = height - _FRAME
    if is_alone:
        return body
    text = _TEXT_ROOMY if height >= _TALL else _TEXT_MIN
    found = min(_HEIGHT_MAX, body - num_rows - 2 - text)
    return found if found >= _HEIGHT_MIN else 0


def look_of(number: int) -> Look:
    """Return how the curve of a member is drawn: the one that the others are held against in the colour of text."""
    return Look.STRONG if not number else CURVES[(number - 1) % len(CURVES)]


def short(name: str) -> str:
    """Return a branch's name without what stands before its last stroke."""
    return name.rsplit("/", 1)[-1]

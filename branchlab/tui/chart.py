"""Curves as text: one or several in braille dots over one axis; in a line of blocks ``lab.sparkline`` draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from branchlab.lab.sparkline import Points, thinned
from branchlab.lab.words import figure
from branchlab.tui.looks import Line, Look, Piece

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800
_DASHES = ((1, 0), (4, 2), (2, 2), (1, 2), (6, 2), (3, 1))
"""Dots drawn, dots left out; no two curves of a chart look alike without colour."""
_KEYS = ("──", "╌╌", "┄┄", "··", "—·", "··─")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A curve of a chart.

    Attributes:
        points: (step or epoch, value) pairs in order; what is not finite is left out.
        band: The lowest and the highest of several seeds, by step; empty where there is no band.
    """

    name: str
    points: Points
    look: Look = Look.LIVE
    band: Sequence[tuple[int, float, float]] = ()


def plot(
    series: Sequence[Series],
    *,
    width: int,
    height: int,
    unit: str = "epoch",
    window: tuple[float, float] = (0.0, 1.0),
) -> list[Line]:
    """Return curves over one another with an axis, the first on top; no line where there is nothing to draw.

    Args:
        series: The curves; each has dashes of its own, so that they are told apart without colour.
        width: In cells, the axis included.
        height: In lines, the axis included.
        unit: What is counted along the axis.
        window: The shares of the steps between which curves are drawn.
    """
    drawn = [_windowed(one, _span(series), window) for one in series]
    values = [v for one in drawn for _, v in one.points]
    values += [v for one in drawn for _, low, high in one.band for v in (low, high)]
    if not values or width < 16 or height < 3:  # noqa: PLR2004  narrower is no chart
        return []
    low, high = min(values), max(values)
    steps = [step for one in drawn for step, _ in one.points]
    first, last = min(steps, default=0), max(steps, default=1)
    top, middle, bottom = (figure(v) for v in (high, (high + low) / 2, low))
    margin = max(len(text) for text in (top, middle, bottom)) + 1
    canvas = _Canvas(width - margin - 1, height - 1, (first, last), (low, high))
    for number, one in reversed(list(enumerate(drawn))):
        canvas.shade(one.band, Look.DIM)
        canvas.draw(thinned(one.points), one.look, _DASHES[number % len(_DASHES)])
    labels = {0: top, height - 2: bottom}
    if height > 6:  # noqa: PLR2004  room for a third label
        labels[(height - 2) // 2] = middle
    lines: list[Line] = []
    for number, row in enumerate(canvas.rows()):
        label = labels.get(number, "").rjust(margin)
        lines.append(((f"{label}┤", Look.DIM), *row))
    ends = (f"{unit} {first}", str(last))
    rule = "─" * max(1, width - margin - 1 - len(ends[0]) - len(ends[1]))
    lines.append(((" " * margin + "└" + ends[0] + rule + ends[1], Look.DIM),))
    return lines


def legend(series: Sequence[Series]) -> Line:
    """Return the names of curves with their dashes."""
    pieces: list[Piece] = []
    for number, one in enumerate(series):
        pieces += [(f"{_KEYS[number % len(_KEYS)]} ", one.look), (f"{one.name}   ", Look.PLAIN)]
    return tuple(pieces)


def key_of(number: int) -> str:
    """Return the dashes of a chart's curve, as the legend draws them."""
    return _KEYS[number % len(_KEYS)]


def smoothed(points: Points, weight: float) -> Points:
    """Return an exponential moving average without the pull to zero at its start (Kingma and Ba, 2015)."""
    if not weight:
        return points
    found: list[tuple[int, float]] = []
    mean = scale = 0.0
    for step, value in points:
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            scale = weight * scale + (1 - weight)
            found.append((step, mean / scale))
    return found


def _span(series: Sequence[Series]) -> tuple[int, int]:
    steps = [step for one in series for step, _ in one.points]
    return min(steps, default=0), max(steps, default=1)


def _windowed(one: Series, span: tuple[int, int], window: tuple[float, float]) -> Series:
    start, end = (span[0] + share * (span[1] - span[0]) for share in window)
    points = [(s, v) for s, v in one.points if start <= s <= end and math.isfinite(v)]
    band = [
        (s, low, high)
        for s, low, high in one.band
        if start <= s <= end and math.isfinite(low) and math.isfinite(high)
    ]
    return Series(name=one.name, points=points, look=one.look, band=band)


class _Canvas:
    """Braille dots with a look a cell; what is drawn later lies on top."""

    def __init__(
        self, width: int, height: int, steps: tuple[int, int], values: tuple[float, float]
    ) -> None:
        self._columns, self._rows = width * 2, height * 4
        self._steps, self._values = steps, values
        self._dots = [[0] * width for _ in range(height)]
        self._looks = [[Look.PLAIN] * width for _ in range(height)]

    def draw(self, points: Points, look: Look, dash: tuple[int, int]) -> None:
        """Draw a line through points."""
        at = [(self._x(step), self._y(value)) for step, value in points]
        if len(at) == 1:
            self._put(*at[0], look)
        for (x0, y0), (x1, y1) in pairwise(at):
            before = y0
            for x in range(x0, x1 + 1):
                y = round(y0 + (y1 - y0) * ((x - x0) / (x1 - x0) if x1 > x0 else 1.0))
                # A jump is never left out between two dashes: a spike of one step has to be seen.
                if abs(y - before) > 3 or x % sum(dash) < dash[0]:  # noqa: PLR2004
                    for row in range(min(before, y), max(before, y) + 1):
                        self._put(x, row, look)
                before = y

    def shade(self, band: Sequence[tuple[int, float, float]], look: Look) -> None:
        """Draw every other dot between the lowest and the highest."""
        for (s0, l0, h0), (s1, l1, h1) in pairwise(band):
            x0, x1 = self._x(s0), self._x(s1)
            for x in range(x0, x1 + 1):
                share = (x - x0) / (x1 - x0) if x1 > x0 else 0.0
                upper, lower = self._y(h0 + (h1 - h0) * share), self._y(l0 + (l1 - l0) * share)
                for row in range(upper, lower + 1):
                    if (x + row) % 2 == 0 and x % 2 == 0:
                        self._put(x, row, look)

    def rows(self) -> list[Line]:
        """Return the drawing, line by line."""
        lines: list[Line] = []
        for dots, looks in zip(self._dots, self._looks, strict=True):
            pieces: list[Piece] = []
            for cell, look in zip(dots, looks, strict=True):
                text = chr(_BRAILLE + cell) if cell else " "
                if pieces and (pieces[-1][1] is look or not cell):
                    pieces[-1] = (pieces[-1][0] + text, pieces[-1][1])
                else:
                    pieces.append((text, look))
            lines.append(tuple(pieces))
        return lines

    def _x(self, step: int) -> int:
        first, last = self._steps
        return (step - first) * (self._columns - 1) // ((last - first) or 1)

    def _y(self, value: float) -> int:
        low, high = self._values
        return round((high - value) / ((high - low) or 1.0) * (self._rows - 1))

    def _put(self, x: int, y: int, look: Look) -> None:
        if 0 <= x < self._columns and 0 <= y < self._rows:
            self._dots[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
            self._looks[y // 4][x // 2] = look

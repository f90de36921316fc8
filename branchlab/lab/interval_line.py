"""Intervals drawn as lines, below each other on one axis: a forest plot of text.

Zero and the difference that matters stand as upright lines through all rows, so that one sees at a glance which
intervals reach across. One that is far wider or far off would flatten all others: the axis ends at a few times the
middle reach, and what goes on beyond it ends in an arrow.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from branchlab.domain import Verdict

POINT, PROVISIONAL, LINE, BEYOND_LOW, BEYOND_HIGH = "●○─◂▸"
ACROSS = "┼"
ZERO, MARGIN = "│┊"
_FARTHEST = 4.0
_PADDING = 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What a line of text spans, in the metric's unit; ``margin`` is the difference that matters."""

    low: float
    high: float
    margin: float
    width: int

    def place(self, value: float) -> int:
        """Return the column of a value, the nearest end for one beyond."""
        # From zero, which is given a column: what is as far on either side of it stands as far on either side.
        per_column = (self.high - self.low) / max(1, self.width - 1)
        place = round(-self.low / per_column) + round(value / per_column)
        return min(max(place, 0), self.width - 1)

    def holds(self, value: float) -> bool:
        """Whether the axis reaches as far as a value."""
        return self.low <= value <= self.high


def axis_of(verdicts: Sequence[Verdict], *, margin: float, width: int) -> Axis | None:
    """Return the axis of some verdicts: zero, the margin and the intervals; None where there is nothing to draw."""
    drawn = [ends for verdict in verdicts if (ends := _ends(verdict)) is not None]
    if not drawn or width < 1:
        return None
    reaches = [reach for low, _, high in drawn if (reach := max(abs(low), abs(high)))]
    most = max(_FARTHEST * statistics.median(reaches or [0.0]), margin)
    low = max(min(-margin, *(low for low, _, _ in drawn)), -most)
    high = min(max(margin, *(high for _, _, high in drawn)), most)
    padding = _PADDING * (high - low) or 1.0
    return Axis(low=low - padding, high=high + padding, margin=margin, width=width)


def interval_line(verdict: Verdict | None, axis: Axis) -> str:
    """Return a verdict's interval as ``axis.width`` characters; only the upright lines where it has none."""
    cells = [" "] * axis.width
    for value in (-axis.margin, axis.margin):
        cells[axis.place(value)] = MARGIN
    cells[axis.place(0.0)] = ZERO
    ends = _ends(verdict) if verdict is not None else None
    if ends is None or verdict is None:
        return "".join(cells)
    low, middle, high = ends
    for place in range(axis.place(low), axis.place(high) + 1):
        cells[place] = LINE if cells[place] == " " else ACROSS
    if axis.holds(middle):
        cells[axis.place(middle)] = POINT if verdict.p_better is not None else PROVISIONAL
    if low < axis.low:
        cells[0] = BEYOND_LOW
    if high > axis.high:
        cells[-1] = BEYOND_HIGH
    return "".join(cells)


def axis_title(axis: Axis, *, low: str, high: str) -> str:
    """Return a header for the column: what its ends stand for, and zero where it stands; less where that would touch."""
    zero = axis.place(0.0)
    left, right = len(low), axis.width - len(high)
    if left + 1 > right:
        return ""
    middle = "0" if left < zero < right - 1 else ""
    text = low.ljust(zero) + middle if middle else low
    return text.ljust(right) + high


def _ends(verdict: Verdict) -> tuple[float, float, float] | None:
    """Return low end, difference and high end; None where one of them is not a finite number."""
    if verdict.interval is None or verdict.difference is None:
        return None
    low, high = verdict.interval
    ends = (low, verdict.difference, high)
    return ends if all(map(math.isfinite, ends)) else None

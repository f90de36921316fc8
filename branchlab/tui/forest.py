"""Intervals of differences on one axis, as cells: a line a branch, with nothing and the effect that matters marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from branchlab.analysis.wording import amount
from branchlab.domain import Verdict
from branchlab.tui.looks import Line, Look, Piece

_MARGIN = 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestAxis:
    """The axis that all intervals share: from ``low`` to ``high`` in ``width`` cells."""

    low: float
    high: float
    width: int
    min_effect: float
    in_points: bool

    def cell(self, value: float) -> int:
        """Return the cell of a difference."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return max(0, min(self.width - 1, round(share * (self.width - 1))))

    @property
    def title(self) -> str:
        """What stands above: both ends, in the unit of differences."""
        unit = "pt" if self.in_points else ""
        left = amount(self.low, in_points=self.in_points, sign=True)
        right = amount(self.high, in_points=self.in_points, sign=True) + unit
        return left + right.rjust(self.width - len(left)) if self.width > len(left + right) else ""


def forest_axis(verdicts: Iterable[Verdict], *, min_effect: float, width: int) -> ForestAxis:
    """Return the axis on which the intervals of verdicts fit, with the effect that matters on either side of nothing."""
    known = list(verdicts)
    ends = [0.0, -min_effect, min_effect]
    ends += [end for one in known for end in one.interval or ()]
    ends += [one.difference for one in known if one.difference is not None]
    low, high = min(ends), max(ends)
    room = _MARGIN * ((high - low) or 1.0)
    return ForestAxis(
        low=low - room,
        high=high + room,
        width=width,
        min_effect=min_effect,
        in_points=all(one.is_share for one in known),
    )


def forest_line(verdict: Verdict | None, axis: ForestAxis, look: Look) -> Line:
    """Return an interval as ``├──●──┤``; without one the marks of the axis alone."""
    cells: list[Piece] = [(" ", Look.PLAIN)] * axis.width
    for value, mark in ((-axis.min_effect, "┊"), (axis.min_effect, "┊"), (0.0, "│")):
        cells[axis.cell(value)] = (mark, Look.DIM)
    if verdict is not None and verdict.difference is not None:
        if verdict.interval is not None:
            first, last = (axis.cell(end) for end in verdict.interval)
            for i in range(first, last + 1):
                is_crossed = cells[i][0] != " "
                cells[i] = ("┼" if is_crossed else "─", look)
            if last > first:
                cells[first], cells[last] = ("├", look), ("┤", look)
        cells[axis.cell(verdict.difference)] = ("●", look)
    return joined(cells)


def joined(pieces: Iterable[Piece]) -> Line:
    """Return pieces with neighbours of one look made one."""
    found: list[Piece] = []
    for text, look in pieces:
        if found and found[-1][1] is look:
            found[-1] = (found[-1][0] + text, look)
        else:
            found.append((text, look))
    return tuple(found)

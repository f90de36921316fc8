"""Curves as text: a line of blocks, or braille dots.

``thinned`` keeps the smallest and the largest value of every stretch, so that a spike of one step stays visible in a
curve of a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Points = Sequence[tuple[int, float]]

_BLOCKS = "▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800


def thinned(points: Points, num_max: int = 800) -> Points:
    """Return at most about ``num_max`` points: first, smallest, largest and last of equal stretches."""
    if len(points) <= num_max:
        return points
    size = -(-len(points) * 4 // num_max)
    kept: list[tuple[int, float]] = []
    for start in range(0, len(points), size):
        part = range(start, min(start + size, len(points)))
        low = min(part, key=lambda i: points[i][1])
        high = max(part, key=lambda i: points[i][1])
        kept += [points[i] for i in sorted({part[0], low, high, part[-1]})]
    return kept


def sparkline(points: Points, width: int) -> str:
    """Return the last value of each of at most ``width`` bins as blocks."""
    if not points or width < 1:
        return ""
    values = [value for _, value in points]
    num_bins = min(width, len(values))
    last = [values[(i + 1) * len(values) // num_bins - 1] for i in range(num_bins)]
    low, high = min(last), max(last)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((value - low) * scale)] for value in last)


def braille(points: Points, width: int, height: int) -> list[str]:
    """Return ``height`` lines of ``width`` cells; the curve spans its own range of steps and values."""
    if len(points) < 2 or width < 1 or height < 1:  # noqa: PLR2004  a line needs two points
        return []
    columns, rows = width * 2, height * 4
    steps, values = [step for step, _ in points], [value for _, value in points]
    low, high = min(values), max(values)
    reach, span = (high - low) or 1.0, (steps[-1] - steps[0]) or 1
    dots = [[0] * width for _ in range(height)]
    at = [
        ((step - steps[0]) * (columns - 1) // span, round((high - value) / reach * (rows - 1)))
        for step, value in points
    ]
    for (x0, y0), (x1, y1) in pairwise(at):
        for x in range(x0, x1 + 1):
            share = (x - x0) / (x1 - x0) if x1 > x0 else 1.0
            y = round(y0 + (y1 - y0) * share)
            before = round(y0 + (y1 - y0) * max(0.0, share - 1 / (x1 - x0))) if x1 > x0 else y0
            for row in range(min(before, y), max(before, y) + 1):
                dots[row // 4][x // 2] |= _DOTS[row % 4][x % 2]
    return ["".join(chr(_BRAILLE + cell) if cell else " " for cell in line) for line in dots]

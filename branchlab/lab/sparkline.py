"""A curve in one line of blocks, for the command line and the screens alike.

``thinned`` keeps the smallest and the largest value of every stretch, so that a spike of one step stays visible in a
curve of a hundred thousand. Curves that stand below each other share one span: each in its own, a curve that is flat
but for noise would look like one that climbs.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

Points = Sequence[tuple[int, float]]
Span = tuple[float, float]
"""The smallest and the largest value that are told apart."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_FENCE = 3.0
_QUARTILES_MIN = 4


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


def sparkline(points: Points, width: int, *, span: Span | None = None) -> str:
    """Return the last value of each of at most ``width`` bins as blocks, within ``span`` or else the curve's own."""
    if not points or width < 1:
        return ""
    values = [value for _, value in points]
    num_bins = min(width, len(values))
    last = [values[(i + 1) * len(values) // num_bins - 1] for i in range(num_bins)]
    low, high = span or (min(last), max(last))
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((min(max(v, low), high) - low) * scale)] for v in last)


def shared_span(curves: Iterable[Points]) -> Span | None:
    """Return the span that several curves are drawn in; a curve that runs away is cut, so that it flattens no other."""
    values = [value for points in curves for _, value in points]
    if not values:
        return None
    low, high = min(values), max(values)
    if len(values) < _QUARTILES_MIN:
        return low, high
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    reach = _FENCE * (third - first)
    return max(low, first - reach), min(high, third + reach)

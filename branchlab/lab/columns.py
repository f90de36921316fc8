"""Which columns of a table a terminal has room for: the same rule for the command line and for the screens.

Flexible columns are cut first, then whole columns are left out, by rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        rank: The higher, the earlier it is left out where the terminal is narrow; 0 stays always.
        width_min: Down to this it may be cut; as wide as its content otherwise.
        id: What it is called where it is chosen or sorted by.
        is_hidden: It is left out whatever room there is.
    """

    title: str
    rank: int = 0
    width_min: int | None = None
    is_right: bool = False
    id: str = ""
    is_hidden: bool = False


def fit(
    columns: Sequence[Column], natural: Sequence[int], width: int, *, gap: int
) -> tuple[int, ...]:
    """Return the columns' widths within ``width``: flexible ones are cut, then columns left out, by rank."""
    widths = list(natural)
    for rank in sorted({column.rank for column in columns}, reverse=True):
        over = _width(widths, gap) - width
        if over <= 0:
            break
        least = [_least(column, full) for column, full in zip(columns, widths, strict=True)]
        if _width(least, gap) <= width:
            break
        if rank:
            widths = [
                0 if column.rank == rank else full
                for column, full in zip(columns, widths, strict=True)
            ]
    over = _width(widths, gap) - width
    for i, column in reversed(list(enumerate(columns))):
        if over > 0 and widths[i]:
            least_width = _least(column, widths[i])
            less = min(over, widths[i] - least_width)
            widths[i] -= less
            over -= less + (gap if widths[i] == 0 else 0)
    return tuple(widths)


def _least(column: Column, full: int) -> int:
    return full if column.width_min is None else min(full, column.width_min)


def _width(widths: Sequence[int], gap: int) -> int:
    return sum(width + gap for width in widths if width) - gap

"""How wide a table's columns are: as their content, and within a terminal that is too narrow for all of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from branchlab.terminal_text import safe_text
from branchlab.tui.looks import Line
from branchlab.tui.rows import AnyRow, Column


def natural_widths(columns: Sequence[Column], rows: Sequence[AnyRow]) -> tuple[int, ...]:
    """Return how wide each column's content is; 0 for a column in which nothing stands."""
    return widest(columns, [widths_of(row) for row in rows])


def widths_of(row: AnyRow) -> tuple[int, ...]:
    """Return how wide each cell of a row is."""
    return tuple([_cell_width(cell) for cell in row.cells])


def widest(columns: Sequence[Column], sizes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the widest of some rows' cells, their titles included; 0 for a column in which nothing stands, or hidden."""
    most = list(map(max, zip(*sizes, strict=True))) if sizes else [0] * len(columns)
    return tuple(
        max(size, cell_len(column.title)) if (size or not sizes) and not column.is_hidden else 0
        for column, size in zip(columns, most, strict=True)
    )


def _cell_width(cell: Line) -> int:
    # Of a text in ASCII, which nearly all are, the length is the width: ten times faster than to ask.
    return sum(
        len(text) if text.isascii() and text.isprintable() else cell_len(safe_text(text))
        for text, _ in cell
    )


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
    # What was left out for a wider one, and still has room, comes back.
    for i in sorted(range(len(columns)), key=lambda i: columns[i].rank):
        added = [natural[j] if j == i else size for j, size in enumerate(widths)]
        if not widths[i] and natural[i] and _width(added, gap) <= width:
            widths = added
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

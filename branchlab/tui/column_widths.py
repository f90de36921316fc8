"""How wide a table's columns are: as their content, and within a terminal that is too narrow for all of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from branchlab.lab.columns import Column, fit
from branchlab.terminal_text import safe_text
from branchlab.tui.looks import Line
from branchlab.tui.rows import AnyRow


def natural_widths(columns: Sequence[Column], rows: Sequence[AnyRow]) -> tuple[int, ...]:
    """Return how wide each column's content is; 0 for a column in which nothing stands."""
    return widest(columns, [cell_widths(row) for row in rows])


def cell_widths(row: AnyRow) -> tuple[int, ...]:
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


def fitted(
    columns: Sequence[Column], natural: Sequence[int], width: int, *, gap: int
) -> tuple[int, ...]:
    """Return what ``fit`` does, and where a wide column was left out what finds room in its place."""
    widths = list(fit(columns, natural, width, gap=gap))
    for i in sorted(range(len(columns)), key=lambda i: columns[i].rank):
        added = [natural[j] if j == i else size for j, size in enumerate(widths)]
        needed = sum(size + gap for size in added if size) - gap
        if not widths[i] and natural[i] and needed <= width:
            widths = added
    return tuple(widths)

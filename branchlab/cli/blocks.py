"""A picture in a terminal, in half blocks."""

from __future__ import annotations

import shutil
from pathlib import Path

from branchlab.lab.blocks import BLOCK, Cell, picture_cells

_RESET = "\x1b[0m"


def picture_in_blocks(path: Path, *, columns: int | None = None) -> str:
    """Return a picture as text in true colour, as wide as the terminal at most."""
    width = columns or shutil.get_terminal_size().columns
    rows = picture_cells(path, columns=width)
    return "\n".join("".join(map(_cell, row)) + _RESET for row in rows)


def _cell(cell: Cell) -> str:
    over, under = (";".join(map(str, colour)) for colour in cell)
    return f"\x1b[38;2;{over};48;2;{under}m{BLOCK}"

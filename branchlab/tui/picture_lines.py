"""Pictures in half blocks, as lines to scroll through, each under a line that says what it shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from branchlab.tui.looks import Line, Look
from branchlab.tui.wrapping import wrapped

if TYPE_CHECKING:
    from branchlab.lab.blocks import Cell
    from branchlab.lab.pictures import Pictures

_PICTURE_ROWS = 28


def drawn_pictures(found: Pictures, width: int) -> tuple[Line | Strip, ...]:
    """Return pictures as lines; decoding them takes a while, so it is done in a thread."""
    lines: list[Line | Strip] = []
    for picture in found.taken:
        caption = f"{picture.what}, {picture.width}x{picture.height}: {picture.source}"
        lines += [(), *wrapped(((caption, Look.STRONG),), width), *_drawn(picture.content, width)]
    if found.num_left_out:
        lines.append(((f"{found.num_left_out} more pictures are not shown here", Look.DIM),))
    return tuple(lines)


def _drawn(content: bytes, width: int) -> list[Line | Strip]:
    """Return a picture's rows, or in a line why it cannot be drawn."""
    from branchlab.lab.blocks import picture_cells

    if os.environ.get("NO_COLOR"):
        return [(("a picture is drawn in colours, which NO_COLOR has switched off", Look.DIM),)]
    try:
        rows = picture_cells(content, columns=max(8, width), rows=_PICTURE_ROWS)
    except (OSError, ValueError, SyntaxError) as error:  # what PIL raises for damaged files
        return [((f"it cannot be drawn: {error}", Look.BAD),)]
    return [_strip(row) for row in rows]


def _strip(row: Sequence[Cell]) -> Strip:
    from branchlab.lab.blocks import BLOCK

    return Strip(
        [
            Segment(BLOCK, Style(color=Color.from_rgb(*over), bgcolor=Color.from_rgb(*under)))
            for over, under in row
        ],
        len(row),
    )

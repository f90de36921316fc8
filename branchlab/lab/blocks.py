"""A picture for a terminal, two pixels a character: an upper half block in the colour of one, on the colour of the other.

The command line and the screens draw the same cells; how a colour reaches the terminal is theirs.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

BLOCK = "▀"
PIXELS_MAX = 25_000_000
"""A picture is decoded whole; one beyond that would take a tenth of a gigabyte."""

Colour = tuple[int, int, int]
Cell = tuple[Colour, Colour]
"""The colours of the upper and the lower pixel."""


def picture_cells(
    picture: Path | bytes, *, columns: int, rows: int | None = None
) -> list[Sequence[Cell]]:
    """Return the rows of a picture, made smaller where it must be, its sides in proportion.

    Args:
        picture: A file, or its content.
        columns: So many cells wide at most. ``rows``: and so many high.
        rows: None for as many as it takes.

    Raises:
        OSError: It is no picture, or a damaged one. ValueError: It has too many pixels.
    """
    from PIL import Image

    with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as opened:
        if opened.width * opened.height > PIXELS_MAX:
            raise ValueError(f"it has {opened.width}x{opened.height} pixels: too many to draw here")
        image = opened.convert("RGB")
    share = min(1.0, columns / image.width, rows * 2 / image.height if rows else 1.0)
    if share < 1:
        image = image.resize(
            (max(1, round(image.width * share)), max(2, round(image.height * share)))
        )
    if image.height % 2:
        image = image.crop((0, 0, image.width, image.height + 1))
    content = image.tobytes()
    stride = image.width * 3
    colours = [
        [(line[at], line[at + 1], line[at + 2]) for at in range(0, stride, 3)]
        for start in range(0, len(content), stride)
        if (line := content[start : start + stride])
    ]
    return [
        list(zip(upper, lower, strict=True))
        for upper, lower in zip(colours[::2], colours[1::2], strict=True)
    ]

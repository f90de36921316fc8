"""A picture in a terminal, two pixels a character: the upper half block in the colour of one, on the colour of the other."""

from __future__ import annotations

import shutil
from pathlib import Path

_RESET = "\x1b[0m"


def picture_in_blocks(path: Path, *, columns: int | None = None) -> str:
    """Return a picture as text in true colour, as wide as the terminal at most."""
    from PIL import Image

    width = columns or shutil.get_terminal_size().columns
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.width > width:
        image = image.resize((width, max(2, round(image.height * width / image.width))))
    if image.height % 2:
        image = image.crop((0, 0, image.width, image.height + 1))
    pixels = image.load()
    assert pixels is not None
    lines = []
    for row in range(0, image.height, 2):
        cells = (_cell(pixels[x, row], pixels[x, row + 1]) for x in range(image.width))
        lines.append("".join(cells) + _RESET)
    return "\n".join(lines)


def _cell(upper: object, lower: object) -> str:
    assert isinstance(upper, tuple)
    assert isinstance(lower, tuple)
    over, under = (";".join(map(str, colour[:3])) for colour in (upper, lower))
    return f"\x1b[38;2;{over};48;2;{under}m▀"

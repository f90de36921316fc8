"""Lines of pieces wrapped by word, and cells side by side; widths are those of a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

from branchlab.tui.looks import Line, Look, Piece, cut

_WORDS = re.compile(" +|[^ ]+ *")


def wrapped(line: Line, width: int, *, indent: int = 0, num_max: int = 0) -> list[Line]:
    """Return a line broken between words into lines of a width, all but the first indented; looks are kept.

    What is more than ``num_max`` lines is cut with an ellipsis; 0 is any number.
    """
    parts: list[list[Piece]] = [[]]
    used = 0
    for text, look in line:
        for word in _words(text, max(1, width - indent)):
            if used and used + cell_len(word.rstrip(" ")) > width:
                parts.append([(" " * indent, Look.PLAIN)] if indent else [])
                used = indent
            parts[-1].append((word, look))
            used += cell_len(word)
    lines = [tuple(part) for part in parts]
    if not num_max or len(lines) <= num_max:
        return [_without_end(line) for line in lines]
    rest = tuple(piece for part in lines[num_max - 1 :] for piece in part)
    return [*(_without_end(line) for line in lines[: num_max - 1]), cut(rest, width)]


def _without_end(line: Line) -> Line:
    """Return a line without the blanks at its end, for which there may be no room."""
    return (*line[:-1], (line[-1][0].rstrip(" "), line[-1][1])) if line else line


def _words(text: str, width: int) -> Iterator[str]:
    """Yield words with the blanks behind them; one that no line has room for, a path perhaps, in parts."""
    for word in _WORDS.findall(text):
        if cell_len(word.rstrip(" ")) > width:
            yield from chop_cells(word, width)
        else:
            yield word


def blocks(*parts: Sequence[Line]) -> list[Line]:
    """Return blocks of lines with an empty line between those in which something stands."""
    lines: list[Line] = []
    for part in parts:
        if part:
            lines += [(), *part] if lines else part
    return lines


def in_columns(cells: Sequence[Line], widths: Sequence[int], *, gap: int = 1) -> Line:
    """Return cells cut and padded to their widths, with a gap between."""
    pieces: list[Piece] = []
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        shown = cut(cell, width)
        space = width - sum(cell_len(text) for text, _ in shown)
        space += gap if number + 1 < len(widths) else 0
        pieces += [*shown, (" " * space, Look.PLAIN)]
    return tuple(pieces)


def beside(left: Sequence[Line], right: Sequence[Line], width: int) -> list[Line]:
    """Return two blocks of lines beside each other; the left one takes ``width`` cells."""
    height = max(len(left), len(right))
    rows = zip(
        (*left, *([()] * (height - len(left)))),
        (*right, *([()] * (height - len(right)))),
        strict=True,
    )
    return [(*in_columns([one], [width]), *other) for one, other in rows]

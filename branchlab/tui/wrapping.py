"""Lines of pieces wrapped by word, and cells side by side; widths are those of a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from branchlab.tui.looks import Line, Look, Piece, cut


def wrapped(line: Line, width: int, *, num_max: int) -> list[Line]:
    """Return a line wrapped to a width, cut with an ellipsis after ``num_max`` lines; looks are kept by word."""
    words = [(word, look) for text, look in line for word in _words(text)]
    lines: list[list[Piece]] = [[]]
    used = 0
    for word, look in words:
        if used and used + cell_len(word.rstrip()) > width:
            if len(lines) == num_max:
                lines[-1].append(("…", Look.DIM))
                break
            lines.append([])
            used = 0
        lines[-1].append((word, look))
        used += cell_len(word)
    return [(*part[:-1], (part[-1][0].rstrip(), part[-1][1])) for part in lines if part]


def _words(text: str) -> list[str]:
    """Return words with the blanks behind them, so that joined they are the text."""
    found = [f"{part} " for part in text.split(" ")]
    found[-1] = found[-1][:-1]
    return [word for word in found if word]


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

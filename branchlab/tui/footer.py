"""The last line: ``?`` and ``q`` always, then what fits by priority, then how many keys are left out.

Textual's own footer cuts off silently at 80 columns, and with it the two keys that a lost user needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.widgets import Static

from branchlab.tui.keys import GLOBAL, Key
from branchlab.tui.looks import Line, Look, Piece, content


class KeyBar(Static):
    """Keys of a screen in one line."""

    DEFAULT_CSS = "KeyBar { height: 1; text-wrap: nowrap; background: $panel; }"

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(markup=False)
        self._keys = keys

    def on_resize(self) -> None:
        self.update(content([footer_line(self._keys, self.size.width)]))


def footer_line(keys: Sequence[Key], width: int) -> Line:
    """Return the footer for a width."""
    pieces: list[Piece] = [(" ", Look.PLAIN)]
    for key in GLOBAL:
        pieces += _pieces(key)
    pieces.append(("│ ", Look.DIM))
    used = sum(cell_len(text) for text, _ in pieces)
    for number, key in enumerate(keys):
        shown = _pieces(key)
        size = sum(cell_len(text) for text, _ in shown)
        num_left = len(keys) - number
        rest = 0 if num_left == 1 else len(f"+{num_left - 1}")
        if used + size + rest > width:
            pieces.append((f"+{num_left}", Look.DIM))
            break
        pieces += shown
        used += size
    return tuple(pieces)


def _pieces(key: Key) -> list[Piece]:
    return [(key.label, Look.STRONG), (f" {key.word}  ", Look.DIM)]

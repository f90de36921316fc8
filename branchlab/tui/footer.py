"""The last line: ``?``, ``:`` and ``q`` always, then what fits by priority, then how many keys are left out.

Textual's own footer cuts off silently at 80 columns, and with it the keys that a lost user needs. Every entry can be
clicked.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.events import Click
from textual.widgets import Static

from branchlab.tui.keys import PINNED, Key
from branchlab.tui.looks import Line, Look, Piece, content


class KeyBar(Static):
    """Keys of a screen in one line."""

    DEFAULT_CSS = "KeyBar { height: 1; text-wrap: nowrap; background: $panel; }"

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(markup=False)
        self._keys = keys

    def on_resize(self) -> None:
        self.update(content([footer_line(self._keys, self.size.width)]))

    async def on_click(self, event: Click) -> None:
        key = key_at(self._keys, self.size.width, event.x)
        if key is not None:
            await self.screen.run_action(key.action)


def footer_line(keys: Sequence[Key], width: int) -> Line:
    """Return the footer for a width."""
    pieces: list[Piece] = [(" ", Look.PLAIN)]
    for key in PINNED:
        pieces += _pieces(key)
    pieces.append(("│ ", Look.DIM))
    shown, num_left = _that_fit(keys, width)
    for key in shown:
        pieces += _pieces(key)
    if num_left:
        pieces.append((f"+{num_left}", Look.DIM))
    return tuple(pieces)


def key_at(keys: Sequence[Key], width: int, x: int) -> Key | None:
    """Return the key that stands at a column of the footer."""
    start = 1
    for key in (*PINNED, None, *_that_fit(keys, width)[0]):
        size = _size(key) if key is not None else len("│ ")
        if start <= x < start + size:
            return key
        start += size
    return None


def _that_fit(keys: Sequence[Key], width: int) -> tuple[list[Key], int]:
    """Return the keys for which there is room, and how many are left out."""
    wanted = [key for key in keys if key.word]
    used = 1 + sum(_size(key) for key in PINNED) + len("│ ")
    shown: list[Key] = []
    for number, key in enumerate(wanted):
        num_left = len(wanted) - number
        rest = 0 if num_left == 1 else len(f"+{num_left - 1}")
        if used + _size(key) + rest > width:
            return shown, num_left
        shown.append(key)
        used += _size(key)
    return shown, 0


def _size(key: Key) -> int:
    return sum(cell_len(text) for text, _ in _pieces(key))


def _pieces(key: Key) -> list[Piece]:
    return [(key.label, Look.STRONG), (f" {key.word}  ", Look.DIM)]

"""Lines of text that are drawn when they are others than before; where their number may change, the screen is laid out anew.

While runs write and `j` is held down, layouts that moved nothing took a third of all CPU time (2026-11-28).
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.widgets import Static

from branchlab.tui.looks import Line, content


class Lines(Static):
    """Text in looks, never markup. ``is_fixed``: the style sheet alone says how high it is."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002  Textual's name
        classes: str | None = None,
        is_fixed: bool = False,
    ) -> None:
        super().__init__(markup=False, id=id, classes=classes)
        self._is_fixed = is_fixed
        self._shown: tuple[Line, ...] = ()

    def show(self, lines: Iterable[Line]) -> None:
        """Show lines."""
        lines = tuple(lines)
        if lines != self._shown:
            self._shown = lines
            self.update(content(lines), layout=not self._is_fixed)

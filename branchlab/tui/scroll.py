"""Text that is longer than its place: scrolled by the keys that move in tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from branchlab.tui.looks import Line, content


class TextPane(VerticalScroll, can_focus=True):
    """Lines that one scrolls through."""

    DEFAULT_CSS = """
    TextPane { padding: 0 1; scrollbar-size-vertical: 1; }
    TextPane:focus { background: $boost; }
    TextPane > Static { width: 100%; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("ctrl+d", "page_down", show=False),
        Binding("ctrl+u", "page_up", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def show(self, lines: Iterable[Line], *, from_top: bool = False) -> None:
        """Show lines.

        Args:
            lines: What is shown.
            from_top: Whether they are about something else than those before.
        """
        self.query_one(Static).update(content(lines))
        if from_top:
            self.scroll_home(animate=False)

    @property
    def room(self) -> int:
        """How many cells a line has."""
        return max(20, self.size.width - 2 - 1)


def blocks(*parts: Sequence[Line]) -> list[Line]:
    """Return blocks of lines with an empty line between those in which something stands."""
    lines: list[Line] = []
    for part in parts:
        if part:
            lines += [(), *part] if lines else part
    return lines

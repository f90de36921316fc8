"""One of many names, found as one types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key as KeyEvent
from textual.events import Paste
from textual.screen import ModalScreen
from textual.widgets import Static

from branchlab.lab.columns import Column
from branchlab.terminal_text import safe_text
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Line, Look, content, plain
from branchlab.tui.rows import Row

_LENGTH_MAX = 100


class ChooserScreen(ModalScreen[str | None]):
    """A list that what is typed narrows; returns the key of the row that was chosen."""

    DEFAULT_CSS = """
    ChooserScreen { align: center middle; }
    ChooserScreen > Vertical {
        width: 76; max-width: 96%; height: 80%; padding: 0 1; border: round $primary; background: $surface;
    }
    ChooserScreen Static { width: 100%; height: auto; }
    ChooserScreen LineTable { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", show=False)]
    AUTO_FOCUS = "LineTable"

    def __init__(self, title: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        super().__init__()
        self._heading = title
        self._columns, self._rows = tuple(columns), tuple(rows)
        self._wanted = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(id="heading", markup=False)
            yield LineTable()

    def on_mount(self) -> None:
        self._draw()

    def on_key(self, event: KeyEvent) -> None:
        if event.key == "backspace":
            self._type(self._wanted[:-1])
        elif event.is_printable and event.character:
            self._type(self._wanted + event.character)
        else:
            return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: Paste) -> None:
        self._type(self._wanted + (event.text.splitlines() or [""])[0])

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self.dismiss(event.key)

    def action_close(self) -> None:
        if self._wanted:
            self._type("")
        else:
            self.dismiss(None)

    def _type(self, wanted: str) -> None:
        self._wanted = safe_text(wanted, length_max=_LENGTH_MAX)
        self._draw()

    def _draw(self) -> None:
        typed: Line = (("   type to find one, ⏎ takes it, Esc leaves", Look.DIM),)
        if self._wanted:
            typed = ((f"   [{self._wanted}]", Look.WARN), (" Esc clears", Look.DIM))
        self.query_one("#heading", Static).update(content([((self._heading, Look.STRONG), *typed)]))
        kept = narrowed(self._rows, self._wanted)
        notice = "" if kept else f"nothing has '{self._wanted}'"
        self.query_one(LineTable).show(self._columns, kept, notice=notice, measured=self._rows)


def narrowed(rows: Sequence[Row], wanted: str) -> list[Row]:
    """Return the rows in which every word stands; case does not matter."""
    words = wanted.casefold().split()
    return [
        row
        for row in rows
        if all(word in " ".join(map(plain, row.cells)).casefold() for word in words)
    ]

"""All keys of the screen that one came from; typing narrows the list, Enter does what is selected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key as KeyEvent
from textual.screen import ModalScreen
from textual.widgets import Static

from branchlab.lab.columns import Column
from branchlab.tui.keys import GLOBAL, MOVES, PLACES, Key
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Line, Look, content
from branchlab.tui.rows import Row

_COLUMNS = (Column(title="KEY"), Column(title="DOES", width_min=20))


class HelpScreen(ModalScreen[str | None]):
    """The list of keys; returns the action that was chosen. ?, Esc and q close it while nothing is typed."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > Vertical {
        width: 76; max-width: 96%; height: 96%; padding: 0 1; border: round $primary; background: $surface;
    }
    HelpScreen Static { width: 100%; height: auto; }
    HelpScreen LineTable { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", show=False)]
    AUTO_FOCUS = "LineTable"

    def __init__(self, title: str, keys: Sequence[Key]) -> None:
        super().__init__()
        self._heading = title
        self._keys = keys
        self._wanted = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(id="heading", markup=False)
            yield LineTable()
            yield Static(
                content(
                    [(("Capitals change something: they show the command, y confirms.", Look.DIM),)]
                ),
                markup=False,
            )

    def on_mount(self) -> None:
        self._draw()

    def on_key(self, event: KeyEvent) -> None:
        is_closing = event.key in {"question_mark", "q"} and not self._wanted
        if is_closing:
            self.dismiss(None)
        elif event.key == "backspace":
            self._wanted = self._wanted[:-1]
        elif event.is_printable and event.character:
            self._wanted += event.character
        else:
            return
        event.stop()
        event.prevent_default()
        if not is_closing:
            self._draw()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self.dismiss(event.key if not event.key.startswith("move ") else None)

    def action_close(self) -> None:
        if self._wanted:
            self._wanted = ""
            self._draw()
        else:
            self.dismiss(None)

    def _draw(self) -> None:
        heading: Line = ((self._heading, Look.STRONG),)
        if self._wanted:
            heading = (*heading, (f"   [{self._wanted}]", Look.WARN), (" Esc clears", Look.DIM))
        else:
            heading = (*heading, ("   type to narrow, ⏎ does it", Look.DIM))
        self.query_one("#heading", Static).update(content([heading]))
        rows = help_rows(self._keys, self._wanted)
        self.query_one(LineTable).show(
            _COLUMNS, rows, notice="" if rows else f"no key has '{self._wanted}'"
        )


def help_rows(keys: Sequence[Key], wanted: str = "") -> list[Row]:
    """Return every key with what it does, of those in which a text stands."""
    shown = [(key.action, key.label, key.says) for key in (*keys, *GLOBAL, *PLACES)]
    shown += [(f"move {label}", label, says) for label, says in MOVES]
    return [
        Row(key=action, cells=(((label, Look.LIVE),), ((says, Look.PLAIN),)))
        for action, label, says in shown
        if wanted.lower() in f"{label} {says}".lower()
    ]

"""Which columns a table shows: typing narrows the list, Space switches one on or off, Enter is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key as KeyEvent
from textual.screen import ModalScreen
from textual.widgets import Static

from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Line, Look, content
from branchlab.tui.rows import Column, Row

_COLUMNS = (Column(title="SHOWN"), Column(title="COLUMN", width_min=10), Column(title="IS"))


class ColumnsScreen(ModalScreen[None]):
    """The list of columns; every change is told at once, so that one sees it behind the dialog."""

    DEFAULT_CSS = """
    ColumnsScreen { align: right middle; background: transparent; }
    ColumnsScreen > Vertical {
        width: 58; max-width: 96%; height: auto; max-height: 96%; padding: 0 1; border: round $primary; background: $surface;
    }
    ColumnsScreen Static { width: 100%; height: auto; }
    ColumnsScreen LineTable { background: $surface; height: auto; max-height: 16; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter", "close", show=False)]
    AUTO_FOCUS = "LineTable"

    def __init__(
        self,
        columns: Sequence[Column],
        words: dict[str, str],
        tell: Callable[[frozenset[str]], object],
    ) -> None:
        """Make the dialog.

        Args:
            columns: Of the table; the first always stays.
            words: What a column is, by its id.
            tell: Hears the ids of the columns that are hidden.
        """
        super().__init__()
        self._columns, self._words, self._tell = tuple(columns[1:]), words, tell
        self._hidden = frozenset(column.id for column in columns if column.is_hidden)
        self._wanted = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(id="heading", markup=False)
            yield LineTable()

    def on_mount(self) -> None:
        self._draw()

    def on_key(self, event: KeyEvent) -> None:
        table = self.query_one(LineTable)
        if event.key == "space":
            if table.selected is not None:
                self._hidden ^= {table.selected}
                self._tell(self._hidden)
        elif event.key == "backspace":
            self._wanted = self._wanted[:-1]
        elif event.is_printable and event.character:
            self._wanted += event.character
        else:
            return
        event.stop()
        event.prevent_default()
        self._draw()

    def on_line_table_opened(self) -> None:
        self.dismiss()

    def action_close(self) -> None:
        if self._wanted:
            self._wanted = ""
            self._draw()
        else:
            self.dismiss()

    def _draw(self) -> None:
        heading: Line = (("Columns", Look.STRONG),)
        typed = f"   [{self._wanted}] Esc clears" if self._wanted else "   type to narrow"
        self.query_one("#heading", Static).update(
            content([(*heading, (f"{typed}, Space shows or hides, ⏎ done", Look.DIM))])
        )
        rows = column_rows(self._columns, self._words, self._hidden, self._wanted)
        self.query_one(LineTable).show(
            _COLUMNS, rows, notice="" if rows else f"no column has '{self._wanted}'"
        )


def column_rows(
    columns: Sequence[Column], words: dict[str, str], hidden: Collection[str], wanted: str = ""
) -> list[Row]:
    """Return a row a column, of those in which a text stands."""
    return [
        Row(
            key=column.id,
            cells=(
                (("○ no", Look.DIM) if column.id in hidden else ("● yes", Look.LIVE),),
                ((column.title.rstrip("▾▴"), Look.PLAIN),),
                ((words.get(column.id, ""), Look.DIM),),
            ),
        )
        for column in columns
        if wanted.lower() in f"{column.title} {words.get(column.id, '')}".lower()
    ]

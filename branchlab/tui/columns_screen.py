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

from branchlab.lab.columns import Column
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Line, Look, Piece, content
from branchlab.tui.rows import Row

_COLUMNS = (Column(title="SHOWN"), Column(title="COLUMN"), Column(title="IS", width_min=20))


class ColumnsScreen(ModalScreen[None]):
    """The list of columns; every change is told at once, so that one sees it behind the dialog."""

    DEFAULT_CSS = """
    ColumnsScreen { align: right middle; background: transparent; }
    ColumnsScreen > Vertical {
        width: 58; max-width: 96%; height: auto; max-height: 96%; padding: 0 1; border: round $primary; background: $surface;
    }
    ColumnsScreen Static { width: 100%; height: 1; text-wrap: nowrap; }
    ColumnsScreen LineTable { background: $surface; height: auto; min-height: 3; max-height: 16; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", show=False)]
    AUTO_FOCUS = "LineTable"

    def __init__(
        self,
        columns: Sequence[Column],
        words: dict[str, str],
        tell: Callable[[frozenset[str]], Collection[str]],
    ) -> None:
        """Make the dialog.

        Args:
            columns: Of the table; the first always stays.
            words: What a column is, by its id.
            tell: Hears the ids of the columns that are hidden, and returns those for which there is no room.
        """
        super().__init__()
        self._columns, self._words, self._tell = tuple(columns[1:]), words, tell
        self._hidden = frozenset(column.id for column in columns if column.is_hidden)
        self._crowded: Collection[str] = ()
        self._wanted = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(id="heading", markup=False)
            yield LineTable()

    def on_mount(self) -> None:
        self._crowded = self._tell(self._hidden)
        self._draw()

    def on_key(self, event: KeyEvent) -> None:
        table = self.query_one(LineTable)
        if event.key == "enter":
            self.dismiss()
        elif event.key == "space":
            if table.selected is not None:
                self._hidden ^= {table.selected}
                self._crowded = self._tell(self._hidden)
        elif event.key == "backspace":
            self._wanted = self._wanted[:-1]
        elif event.is_printable and event.character:
            self._wanted += event.character
        else:
            return
        event.stop()
        event.prevent_default()
        if self.is_current:
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
            content([(*heading, (f"{typed}, Space switches, ⏎ done", Look.DIM))])
        )
        rows = column_rows(
            self._columns, self._words, self._hidden, self._wanted, crowded=self._crowded
        )
        self.query_one(LineTable).show(
            _COLUMNS, rows, notice="" if rows else f"no column has '{self._wanted}'"
        )


def column_rows(
    columns: Sequence[Column],
    words: dict[str, str],
    hidden: Collection[str],
    wanted: str = "",
    *,
    crowded: Collection[str] = (),
) -> list[Row]:
    """Return a row a column, of those in which a text stands; ``crowded`` are shown as soon as there is room."""

    def shown(column: Column) -> Piece:
        if column.id in hidden:
            return "○ no", Look.DIM
        return ("◌ no room", Look.WARN) if column.id in crowded else ("● yes", Look.LIVE)

    return [
        Row(
            key=column.id,
            cells=(
                (shown(column),),
                ((column.title.rstrip("▾▴"), Look.PLAIN),),
                ((words.get(column.id, ""), Look.DIM),),
            ),
        )
        for column in columns
        if wanted.lower() in f"{column.title} {words.get(column.id, '')}".lower()
    ]

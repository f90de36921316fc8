"""What the overview is compared with: ``textual_peer.py one`` shows one line, ``textual_peer.py table 1000`` a DataTable.

Imports nothing but Textual, for it is the floor of anything that Textual draws.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

_TITLES = ("BRANCH", "MAIN", "REF", "MERGE", "accuracy", "Δ MAIN", "VERDICT", "RUNS", "AGE")


class Line(App[None]):
    """One line of text."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit")]

    def compose(self) -> ComposeResult:
        from textual.widgets import Static

        yield Static("exp/idea-000")


class Table(App[None]):
    """Rows of text that are there from the start, in Textual's own table."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit"), Binding("s", "sort")]

    def __init__(self, num_rows: int) -> None:
        super().__init__()
        self._num_rows = num_rows
        self._is_reversed = False

    def compose(self) -> ComposeResult:
        from textual.widgets import DataTable

        class Rows(DataTable[str]):
            BINDINGS: ClassVar[list[BindingType]] = [
                Binding("j", "cursor_down"),
                Binding("g", "scroll_top"),
            ]

        table = Rows(cursor_type="row", id="rows")
        for title in _TITLES:
            table.add_column(title, key=title)
        table.add_rows(_rows(self._num_rows))
        yield table

    def action_sort(self) -> None:
        from textual.widgets import DataTable

        self._is_reversed = not self._is_reversed
        self.query_one(DataTable).sort("AGE", reverse=self._is_reversed)


def _rows(num_rows: int) -> Iterator[tuple[str, ...]]:
    for n in range(num_rows):
        yield (
            f"exp/idea-{n:03d}",
            f"↑{n % 7}",
            f"↑{n}",
            "✓ clean",
            f"{0.6 + n % 90 / 1000:.4f}",
            f"+{n % 90 / 1000:.4f}",
            "undecided",
            "✓3",
            f"{n % 40}d",
        )


if __name__ == "__main__":
    app = Line() if sys.argv[1] == "one" else Table(int(sys.argv[2]))
    app.run()

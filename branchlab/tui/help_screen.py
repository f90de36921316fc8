"""All keys of the screen that one came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from branchlab.tui.keys import GLOBAL, MOVES, Key
from branchlab.tui.looks import Line, Look, content


class HelpScreen(ModalScreen[None]):
    """The list of keys; any of ?, Esc, q and Enter closes it."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 72; max-width: 94%; height: auto; max-height: 96%; padding: 0 2; border: round $primary;
        background: $surface;
    }
    HelpScreen Static { width: 100%; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "close", show=False),
    ]

    def __init__(self, title: str, keys: Sequence[Key]) -> None:
        super().__init__()
        self._heading = title
        self._keys = keys

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(content(help_lines(self._heading, self._keys)), markup=False)

    def action_close(self) -> None:
        self.dismiss(None)


def help_lines(title: str, keys: Sequence[Key]) -> list[Line]:
    """Return every key with what it does."""
    lines: list[Line] = [((title, Look.STRONG),)]
    lines += [_line(key.label, key.says) for key in (*keys, *GLOBAL)]
    lines += [(), (("Moving", Look.STRONG),)]
    lines += [_line(label, says) for label, says in MOVES]
    lines += [(), (("Capitals change something: they show the command, y confirms.", Look.DIM),)]
    return lines


def _line(label: str, says: str) -> Line:
    return (f"  {label:16}", Look.LIVE), (says, Look.PLAIN)

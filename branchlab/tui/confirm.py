"""The dialog before anything is written: the exact command, what it does, and ``y``."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from branchlab.tui.commands import Command
from branchlab.tui.looks import Line, Look, content

_SHOWN_MAX = 400


class ConfirmScreen(ModalScreen[bool]):
    """Asks; True only for ``y``."""

    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > Vertical {
        width: 76; max-width: 94%; height: auto; padding: 1 2; border: round $warning; background: $surface;
    }
    ConfirmScreen Static { width: 100%; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("escape,n", "answer(False)", show=False),
    ]

    def __init__(self, command: Command) -> None:
        super().__init__()
        self._command = command

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = None
            yield Static(content(confirm_lines(self._command)), markup=False)

    def action_answer(self, is_yes: bool) -> None:  # noqa: FBT001  Textual calls it with what the binding says
        self.dismiss(is_yes)


def confirm_lines(command: Command) -> list[Line]:
    """Return the text of the dialog; all keys but y and Esc do nothing."""
    text = command.text
    shown = text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}… ({len(text)} characters)"
    return [
        ((command.title, Look.STRONG),),
        (),
        (("$ ", Look.DIM), (shown, Look.LIVE)),
        (),
        ((command.effect, Look.PLAIN),),
        (),
        (
            ("y", Look.STRONG),
            (" start it    ", Look.DIM),
            ("Esc", Look.STRONG),
            (" leave", Look.DIM),
        ),
    ]

"""What a verb has to be told before its command stands, in lines to be typed in; the command is seen as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from branchlab.terminal_text import safe_text
from branchlab.tui.commands import Command
from branchlab.tui.looks import Line, Look, content
from branchlab.tui.verbs import Verb, command_of


class SafeInput(Input):
    """An input into which no control character gets: Textual's shows what is pasted as it is."""

    def insert_text_at_cursor(self, text: str) -> None:
        super().insert_text_at_cursor(safe_text(text))

    def replace(self, text: str, start: int, end: int) -> None:
        super().replace(safe_text(text), start, end)


class FormScreen(ModalScreen[Command | None]):
    """Asks for the fields of a verb; returns the command that came of them."""

    DEFAULT_CSS = """
    FormScreen { align: center middle; }
    FormScreen > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 100%; padding: 0 2; border: round $primary; background: $surface;
    }
    FormScreen VerticalScroll { height: auto; max-height: 14; }
    FormScreen Horizontal { height: 1; }
    FormScreen Label { width: 20; }
    FormScreen Input { width: 1fr; height: 1; border: none; padding: 0; background: $boost; }
    FormScreen Static { width: 100%; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, verb: Verb, names: Sequence[str]) -> None:
        super().__init__()
        self._verb, self._names = verb, tuple(names)

    def compose(self) -> ComposeResult:
        about = f" {', '.join(self._names)}" if self._names else ""
        with Vertical():
            heading: list[Line] = [
                ((f"{self._verb.title}{about}", Look.STRONG),),
                ((self._verb.effect, Look.DIM),),
                (),
            ]
            yield Static(content(heading), markup=False)
            with VerticalScroll(can_focus=False):
                for number, field in enumerate(self._verb.fields):
                    with Horizontal():
                        yield Label(f"{field.name}{' *' if field.is_needed else ''}", markup=False)
                        yield SafeInput(placeholder=field.hint, compact=True, id=f"field-{number}")
            yield Static(id="command", markup=False)

    def on_mount(self) -> None:
        self._show_command()

    def on_input_changed(self) -> None:
        self._show_command()

    def on_input_submitted(self) -> None:
        """Go on to the next line; from the last one with the command."""
        inputs = list(self.query(SafeInput))
        if self.focused in inputs[:-1]:
            self.focus_next(SafeInput)
            return
        try:
            self.dismiss(self._command())
        except ValueError as error:
            self._show_command(str(error))

    def action_leave(self) -> None:
        self.dismiss(None)

    def _command(self) -> Command:
        inputs = self.query(SafeInput)
        answers = {
            field.name: one.value for field, one in zip(self._verb.fields, inputs, strict=True)
        }
        return command_of(self._verb, self._names, answers)

    def _show_command(self, refused: str = "") -> None:
        try:
            shown, wrong = self._command().text, refused
        except ValueError as error:
            shown, wrong = "", refused and str(error)
        lines: list[Line] = [
            (),
            (("$ ", Look.DIM), (shown or "…", Look.LIVE)),
            ((f"✗ {wrong}", Look.BAD),) if wrong else (),
            (
                ("⏎", Look.STRONG),
                (" next, then on    ", Look.DIM),
                ("Esc", Look.STRONG),
                (" leave", Look.DIM),
            ),
        ]
        self.query_one("#command", Static).update(content(lines))

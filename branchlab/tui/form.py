"""What a verb has to be told before its command stands, in lines to be typed in; the command is seen as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click, Paste
from textual.events import Key as KeyEvent
from textual.screen import ModalScreen
from textual.widgets import Static

from branchlab.tui.commands import Command
from branchlab.tui.looks import Line, Look, content
from branchlab.tui.typed import Typed
from branchlab.tui.verbs import Verb, command_of

_NAME_WIDTH = 20


class FormScreen(ModalScreen[Command | None]):
    """Asks for the fields of a verb; returns the command that came of them."""

    DEFAULT_CSS = """
    FormScreen { align: center middle; }
    FormScreen > Vertical {
        width: 76; max-width: 96%; height: auto; padding: 0 2; border: round $primary; background: $surface;
    }
    FormScreen Static { width: 100%; height: auto; }
    FormScreen #fields { text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, verb: Verb, names: Sequence[str]) -> None:
        super().__init__()
        self._verb, self._names = verb, tuple(names)
        self._typed = [Typed() for _ in verb.fields]
        self._here = 0

    def compose(self) -> ComposeResult:
        about = f" {', '.join(self._names)}" if self._names else ""
        heading: list[Line] = [
            ((f"{self._verb.title}{about}", Look.STRONG),),
            ((self._verb.effect, Look.DIM),),
            (),
        ]
        with Vertical():
            yield Static(content(heading), markup=False)
            yield Static(id="fields", markup=False)
            yield Static(id="command", markup=False)

    def on_mount(self) -> None:
        self._draw()

    def on_key(self, event: KeyEvent) -> None:
        refused = ""
        if event.key in {"down", "tab"}:
            self._here = (self._here + 1) % len(self._typed)
        elif event.key in {"up", "shift+tab"}:
            self._here = (self._here - 1) % len(self._typed)
        elif event.key == "enter":
            if self._here + 1 == len(self._typed):
                refused = self._finish()
            else:
                self._here += 1
        elif not self._typed[self._here].take(event):
            return
        event.stop()
        event.prevent_default()
        self._draw(refused)

    def on_paste(self, event: Paste) -> None:
        event.stop()  # it would come back from the app, and be pasted twice
        self._typed[self._here].insert(event.text)
        self._draw()

    def on_click(self, event: Click) -> None:
        if event.widget is self.query_one("#fields") and event.y < len(self._typed):
            self._here = event.y
            self._draw()

    def action_leave(self) -> None:
        self.dismiss(None)

    def _finish(self) -> str:
        """Leave with the command; return why it does not stand yet."""
        try:
            command = self._command()
        except ValueError as error:
            return str(error)
        self.dismiss(command)
        return ""

    def _command(self) -> Command:
        pairs = zip(self._verb.fields, self._typed, strict=True)
        return command_of(self._verb, self._names, {field.name: one.text for field, one in pairs})

    def _draw(self, refused: str = "") -> None:
        self.query_one("#fields", Static).update(content(self._field_lines()))
        try:
            shown = self._command().text
        except ValueError:
            shown = "…"
        lines: list[Line] = [
            (),
            (("$ ", Look.DIM), (shown, Look.LIVE)),
            ((f"✗ {refused}", Look.BAD),) if refused else (),
            (
                ("⏎", Look.STRONG),
                (" next; at the last field: to the command    ", Look.DIM),
                ("Esc", Look.STRONG),
                (" leave", Look.DIM),
            ),
        ]
        self.query_one("#command", Static).update(content(lines))

    def _field_lines(self) -> list[Line]:
        lines: list[Line] = []
        for number, (field, typed) in enumerate(zip(self._verb.fields, self._typed, strict=True)):
            is_here = number == self._here
            name = f"{field.name}{' *' if field.is_needed else ''}"
            mark = ("▌" if is_here else " ", Look.LIVE)
            label = (name.ljust(_NAME_WIDTH), Look.STRONG if is_here else Look.PLAIN)
            before, after = typed.text[: typed.at], typed.text[typed.at :]
            cursor = ("▏" if is_here else "", Look.LIVE)
            hint = (f" {field.hint}" if not typed.text else "", Look.DIM)
            # A long text is seen around its cursor.
            shown = before if len(before) <= 40 else f"…{before[-39:]}"  # noqa: PLR2004
            lines.append((mark, label, (shown, Look.PLAIN), cursor, (after, Look.PLAIN), hint))
        return lines

"""The filter while it is typed, with what is wrong with it, and what screens that have one share."""

from __future__ import annotations

from textual.events import Key as KeyEvent
from textual.events import Paste, Resize
from textual.widgets import Static

from branchlab.terminal_text import safe_text
from branchlab.tui.frame import LabScreen
from branchlab.tui.looks import Line, Look, content, cut

_LENGTH_MAX = 200
_LOW = 20
_MOVES = {"up", "down", "pageup", "pagedown", "ctrl+c"}
_HELP = "   ⏎ keep  Esc clear"


class FilterLine(Static):
    """A line to type in. Textual's Input would show pasted control characters as they are.

    It never has the focus: a focus moves later than keys are dealt out, so that what is typed fast after ``/`` would
    go to the table. The screen, which every key passes in order, hands keys in while the line is open.
    """

    DEFAULT_CSS = "FilterLine { height: 1; background: $boost; }"

    def __init__(self, terms: str = "") -> None:
        super().__init__(markup=False)
        self._terms = terms
        self.text = ""
        self.wrong = ""
        self.display = False

    def open(self) -> None:
        """Begin to type."""
        self.display = True
        self._draw()

    def take(self, event: KeyEvent) -> bool:
        """Take a key; return whether the text is another one."""
        before = self.text
        if event.key in {"enter", "escape"}:
            self.display = False
            if event.key == "escape":
                self.set_text("")
        elif event.key == "backspace":
            self.set_text(self.text[:-1])
        elif event.key == "ctrl+u":
            self.set_text("")
        elif event.is_printable and event.character:
            self.set_text(self.text + event.character)
        return self.text != before

    def set_text(self, text: str) -> None:
        """Set the filter."""
        self.text = safe_text(text, length_max=_LENGTH_MAX)
        self._draw()

    def complain(self, wrong: str) -> None:
        """Say what cannot be read; nothing where all can."""
        self.wrong = wrong
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        said = (
            (f"   ▲ {self.wrong}", Look.WARN)
            if self.wrong
            else (f"{_HELP}   {self._terms}", Look.DIM)
        )
        line: Line = ((" / ", Look.STRONG), (f"{self.text}▏", Look.LIVE), said)
        self.update(content([cut(line, max(10, self.size.width))]))


class FilteredScreen(LabScreen):
    """A screen whose list is filtered, or whose log is searched, as one types; it yields a ``FilterLine`` in its body.

    On a terminal of few lines it has the class ``-low``, so that the list gets most of them.
    """

    def filter_changed(self) -> None:
        """Draw what is wanted now."""
        raise NotImplementedError

    @property
    def wanted(self) -> str:
        """What is typed."""
        return self.query_one(FilterLine).text

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.height < _LOW, "-low")

    def on_key(self, event: KeyEvent) -> None:
        line = self.query_one(FilterLine)
        if line.display:
            if event.key in _MOVES:
                return
            if line.take(event):
                self.filter_changed()
        elif event.key == "slash":
            line.open()
        else:
            return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: Paste) -> None:
        line = self.query_one(FilterLine)
        event.stop()  # it would come back from the app, and be pasted twice
        if line.display:
            line.set_text(line.text + (event.text.splitlines() or [""])[0])
            self.filter_changed()

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def clear_filter(self) -> bool:
        """Forget the filter; return whether there was one."""
        line = self.query_one(FilterLine)
        if not line.text:
            return False
        line.set_text("")
        self.filter_changed()
        return True

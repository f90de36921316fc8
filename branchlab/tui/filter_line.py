"""The filter while it is typed, with what is wrong with it."""

from __future__ import annotations

from textual.events import Key as KeyEvent
from textual.widgets import Static

from branchlab.terminal_text import safe_text
from branchlab.tui.looks import Line, Look, content, cut

_LENGTH_MAX = 200
_HELP = "   ⏎ keep  Esc clear   words, or: verdict:better !merge:conflict delta>1 age<3d"


class FilterLine(Static):
    """A line to type in. Textual's Input would show pasted control characters as they are.

    It never has the focus: a focus moves later than keys are dealt out, so that what is typed fast after ``/`` would
    go to the table. The screen, which every key passes in order, hands keys in while the line is open.
    """

    DEFAULT_CSS = "FilterLine { height: 1; background: $boost; }"

    def __init__(self) -> None:
        super().__init__(markup=False)
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
        said = (f"   ▲ {self.wrong}", Look.WARN) if self.wrong else (_HELP, Look.DIM)
        line: Line = ((" / ", Look.STRONG), (f"{self.text}▏", Look.LIVE), said)
        self.update(content([cut(line, max(10, self.size.width))]))

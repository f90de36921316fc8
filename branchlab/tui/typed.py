"""A line that is being typed, without a focus of its own.

Textual's Input shows pasted control characters as they are, and a focus moves later than keys are dealt out: what is
typed fast after Enter would go into the line before. A screen, which every key passes in order, hands keys in here.
"""

from __future__ import annotations

from textual.events import Key as KeyEvent

from branchlab.terminal_text import safe_text

_LENGTH_MAX = 2000


class Typed:
    """A text with a cursor."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.at = len(text)

    def take(self, event: KeyEvent) -> bool:
        """Take a key; return whether it was one for a line of text."""
        match event.key:
            case "backspace":
                self._replace(max(0, self.at - 1), self.at)
            case "delete":
                self._replace(self.at, self.at + 1)
            case "ctrl+u":
                self._replace(0, self.at)
            case "ctrl+w":
                kept = self.text[: self.at].rstrip().rpartition(" ")
                self._replace(len(kept[0]) + len(kept[1]), self.at)
            case "left":
                self.at = max(0, self.at - 1)
            case "right":
                self.at = min(len(self.text), self.at + 1)
            case "home" | "ctrl+a":
                self.at = 0
            case "end" | "ctrl+e":
                self.at = len(self.text)
            case _:
                if not (event.is_printable and event.character):
                    return False
                self.insert(event.character)
        return True

    def insert(self, text: str) -> None:
        """Put a text in at the cursor; of several lines the first, with nothing in it that can act."""
        first = safe_text((text.splitlines() or [""])[0])
        self._replace(self.at, self.at, first[: _LENGTH_MAX - len(self.text)])

    def _replace(self, start: int, end: int, text: str = "") -> None:
        self.text = self.text[:start] + text + self.text[end:]
        self.at = start + len(text)

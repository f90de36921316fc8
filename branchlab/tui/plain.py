"""``--ascii``: everything that is drawn, borders and charts too, in the characters that every terminal has."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from branchlab.terminal_text import plain_characters


class PlainCharacters(LineFilter):
    """Puts a plain character in the place of each mark, when a line is drawn."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        del background
        return [
            Segment(plain_characters(text), style, control) if not text.isascii() else segment
            for segment in segments
            for text, style, control in (segment,)
        ]

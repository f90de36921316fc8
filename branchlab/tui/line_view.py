"""Lines to scroll through, of which only those that one sees are drawn: a diff, facts, notes, pictures.

A line is pieces of text with looks, or a strip that is drawn already (a picture's row).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from branchlab.terminal_text import safe_text
from branchlab.tui.looks import STYLES, Line, Look

Row = Line | Strip

_ATTRIBUTES = {"bold", "dim", "italic", "reverse", "underline"}


def _rule(look: Look) -> str:
    """Return the CSS of a look, which is written as a style in ``looks``."""
    words = STYLES[look].split()
    style = " ".join(word for word in words if word in _ATTRIBUTES)
    colour = "".join(word for word in words if word not in _ATTRIBUTES)
    rules = (f"text-style: {style};" if style else "") + (f"color: {colour};" if colour else "")
    return f"LineView > .line-view--{look} {{ {rules} }}"


class LineView(ScrollView, can_focus=True):
    """Lines; what is shown anew keeps its place unless told otherwise."""

    DEFAULT_CSS = "\n".join(
        (
            "LineView { height: 1fr; padding: 0 0 0 1; scrollbar-size: 1 1; overflow-x: hidden; }",
            "LineView:focus { background: $boost; }",
            "LineView > .line-view--tint-added { background: $success 14%; }",
            "LineView > .line-view--tint-removed { background: $error 14%; }",
            "LineView:ansi > .line-view--tint-added { background: ansi_default; }",
            "LineView:ansi > .line-view--tint-removed { background: ansi_default; }",
            *(_rule(look) for look in Look),
        )
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "line-view--tint-added",
        "line-view--tint-removed",
        *(f"line-view--{look}" for look in Look),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "by(1)", show=False),
        Binding("up,k", "by(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("home,g", "to_line(0)", show=False),
        Binding("end,G", "to_line(1000000000)", show=False),
        Binding("right,l", "aside(8)", show=False),
        Binding("left,h", "aside(-8)", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.lines: tuple[Row, ...] = ()
        self._tints: Mapping[int, Look] = {}
        self._left = 0
        self._marked: int | None = None
        self._styles: dict[tuple[Look, Look | None], Style] = {}

    @property
    def top(self) -> int:
        """The number of the first line that one sees."""
        return round(self.scroll_offset.y)

    @property
    def room(self) -> int:
        """How many cells a line has."""
        return max(20, self.size.width - 2)

    def show(
        self,
        lines: Sequence[Row],
        *,
        tints: Mapping[int, Look] | None = None,
        is_new: bool = False,
    ) -> None:
        """Show lines.

        Args:
            lines: What is shown.
            tints: Look of the ground of some lines, by number: added or removed.
            is_new: Whether it is something else than before, which is looked at from its beginning.
        """
        self.lines, self._tints = tuple(lines), tints or {}
        self.virtual_size = Size(self.size.width, len(self.lines))
        if is_new:
            self._left = 0
            self.scroll_to(y=0, animate=False)
        self.refresh()

    def mark(self, number: int | None) -> None:
        """Let a line stand out by a bar at its beginning."""
        self._marked = number
        self.refresh()

    def action_by(self, number: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + number, animate=False)

    def action_page(self, by: int) -> None:
        self.action_by(by * max(1, self.size.height - 1))

    def action_to_line(self, number: int) -> None:
        self.scroll_to(y=min(number, len(self.lines)), animate=False)

    def action_aside(self, by: int) -> None:
        widest = max((_width(line) for line in self.lines), default=0)
        self._left = max(0, min(self._left + by, widest - self.size.width))
        self.refresh()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.lines))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        number, width = y + self.top, self.size.width
        tint = self._tints.get(number)
        blank = self._style(Look.PLAIN, tint)
        if number >= len(self.lines):
            return Strip.blank(width, blank)
        line = self.lines[number]
        if isinstance(line, Strip):
            return line.crop_extend(0, width, blank)
        segments = [Segment(safe_text(text), self._style(look, tint)) for text, look in line]
        strip = Strip(segments).crop_extend(self._left, self._left + width, blank)
        if number != self._marked:
            return strip
        bar = Segment("▌", self._style(Look.MARKED, tint))
        return Strip.join([Strip([bar], 1), strip.crop(1, width)])

    def _style(self, look: Look, tint: Look | None) -> Style:
        known = self._styles.get((look, tint))
        if known is None:
            known = self.rich_style + self.get_component_rich_style(
                f"line-view--{look}", partial=True
            )
            if tint is not None:
                ground = self.get_component_rich_style(f"line-view--tint-{tint}", partial=False)
                known += Style(bgcolor=ground.bgcolor)
            self._styles[look, tint] = known
        return known


def _width(line: Row) -> int:
    return line.cell_length if isinstance(line, Strip) else sum(cell_len(text) for text, _ in line)

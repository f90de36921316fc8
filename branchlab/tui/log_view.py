"""A log that is drawn line by line: 100,000 lines need as little as ten, and what is appended draws only itself.

It gets its lines as ``lab.run_log`` reads them, in which nothing can act on the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from branchlab.lab.run_log import LogPart

LINES_MAX = 200_000
_SIDE_STEP = 8


class LogView(ScrollView, can_focus=True):
    """The lines of a log; follows its end until one scrolls away from it, and again from ``.`` or ``G`` on."""

    DEFAULT_CSS = """
    LogView { height: 1fr; scrollbar-size: 1 1; overflow-x: hidden; background: $background; }
    LogView > .log-view--found { text-style: reverse; }
    LogView > .log-view--here { text-style: reverse bold; color: $text-warning; }
    LogView > .log-view--notice { text-style: dim; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log-view--found",
        "log-view--here",
        "log-view--notice",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "go(1)", show=False),
        Binding("up,k", "go(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("home,g", "go(-1000000000)", show=False),
        Binding("end,G", "go(1000000000)", show=False),
        Binding("left,h", "side(-1)", show=False),
        Binding("right,l", "side(1)", show=False),
    ]

    class Following(Message):
        """Whether the end is followed has changed."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.is_following = True
        self.is_left_out = False
        self.notice = "reading…"
        self._lines: list[str] = []
        self._unfinished = ""
        self._is_read = False
        self._widest = 0
        self._left = 0
        self._wanted = ""
        self._found: list[int] = []
        self._looked_at = 0
        self._here: int | None = None

    @property
    def is_read(self) -> bool:
        """Whether a part of the log has come."""
        return self._is_read

    @property
    def num_lines(self) -> int:
        return len(self._lines) + bool(self._unfinished)

    def clear(self, notice: str = "") -> None:
        """Forget all lines."""
        self._lines, self._unfinished, self._widest, self._left = [], "", 0, 0
        self._found, self._looked_at, self._here = [], 0, None
        self.notice, self._is_read = notice, False
        self._changed()

    def take(self, part: LogPart) -> None:
        """Append what a log has new, or begin anew."""
        if part.is_anew:
            self.is_left_out = part.is_left_out
            self._lines, self._widest, self._left = [], 0, 0
            self._found, self._looked_at, self._here = [], 0, None
        elif not part.lines and part.unfinished == self._unfinished:
            return
        self._is_read = True
        self._lines += part.lines
        self._unfinished = part.unfinished
        self.notice = "the log is empty" if part.attempt else "it has not begun"
        if len(self._lines) > LINES_MAX:
            num_cut = len(self._lines) - LINES_MAX
            del self._lines[:num_cut]
            self.is_left_out = True
            self._found = [number - num_cut for number in self._found if number >= num_cut]
            self._looked_at = max(0, self._looked_at - num_cut)
            self._here = None
        shown = (*part.lines, part.unfinished)
        self._widest = max(self._widest, *(len(line) for line in shown))
        self._look_for()
        self._changed()

    def follow(self, *, is_on: bool) -> None:
        """Follow the end, or stay where one is."""
        if is_on != self.is_following:
            self.is_following = is_on
            self.post_message(self.Following())
        if is_on:
            self._changed()

    def find(self, wanted: str) -> None:
        """Look for a text without regard to case; go to its last place, for the end is what one looks at."""
        self._wanted = wanted.casefold()
        self._found, self._looked_at, self._here = [], 0, None
        self._look_for()
        if self._found:
            self.follow(is_on=False)
            self._show(self._found[-1])
        self.refresh()

    def find_next(self, by: int) -> None:
        """Go to the next place of what is looked for, or the one before; round again at the end."""
        if not self._found:
            return
        self.follow(is_on=False)
        at = self._found.index(self._here) if self._here in self._found else -1
        self._show(self._found[(at + by) % len(self._found)])
        self.refresh()

    def found_text(self) -> str:
        """Return which of how many places one is at; empty while nothing is looked for."""
        if not self._wanted:
            return ""
        at = self._found.index(self._here) + 1 if self._here in self._found else 0
        return f"{at} of {len(self._found)}" if self._found else "not found"

    def action_go(self, by: int) -> None:
        self._go(round(self.scroll_offset.y) + by)

    def action_page(self, by: int) -> None:
        self._go(round(self.scroll_offset.y) + by * max(1, self.size.height - 1))

    def action_side(self, by: int) -> None:
        self._left = max(0, min(self._left + by * _SIDE_STEP, self._widest - _SIDE_STEP))
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and round(new_value) < self.max_scroll_y:
            self.follow(is_on=False)

    def on_resize(self) -> None:
        self._changed()

    def render_line(self, y: int) -> Strip:
        number = y + round(self.scroll_offset.y)
        width = self.size.width
        plain = self.rich_style
        if not self.num_lines:
            style = plain + self.get_component_rich_style("log-view--notice", partial=True)
            text = f" {self.notice}" if y == 0 else ""
            return Strip([Segment(text, style)]).adjust_cell_length(width, plain)
        if number >= self.num_lines:
            return Strip.blank(width, plain)
        text = self._lines[number] if number < len(self._lines) else self._unfinished
        segments = [Segment(" ", plain), *self._segments(text, number, plain)]
        strip = Strip(segments)
        if self._left:
            strip = Strip([Segment("<", plain), *strip.crop(self._left + 1, None)])
        if strip.cell_length > width:
            strip = Strip([*strip.crop(0, width - 1), Segment(">", plain)])
        return strip.adjust_cell_length(width, plain)

    def _segments(self, text: str, number: int, plain: Style) -> Sequence[Segment]:
        folded = text.casefold()
        if not self._wanted or self._wanted not in folded or len(folded) != len(text):
            is_here = number == self._here
            return [Segment(text, plain + self._style("here") if is_here else plain)]
        style = plain + self._style("here" if number == self._here else "found")
        segments: list[Segment] = []
        start = 0
        while (at := folded.find(self._wanted, start)) >= 0:
            end = at + len(self._wanted)
            segments += [Segment(text[start:at], plain), Segment(text[at:end], style)]
            start = end
        return [*segments, Segment(text[start:], plain)]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"log-view--{name}", partial=True)

    def _look_for(self) -> None:
        """Look through the lines that have come since."""
        if self._wanted:
            new = range(self._looked_at, len(self._lines))
            self._found += [i for i in new if self._wanted in self._lines[i].casefold()]
        self._looked_at = len(self._lines)

    def _show(self, number: int) -> None:
        self._here = number
        line = self._lines[number].casefold()
        at = cell_len(line[: line.find(self._wanted)])
        self._left = max(0, at - self.size.width // 2) if at > self.size.width - _SIDE_STEP else 0
        self.scroll_to(y=max(0, number - self.size.height // 2), animate=False)

    def _go(self, top: int) -> None:
        last = max(0, self.num_lines - self.size.height)
        top = max(0, min(top, last))
        self.scroll_to(y=top, animate=False)
        self.follow(is_on=top == last)

    def _changed(self) -> None:
        self.virtual_size = Size(self.size.width, self.num_lines)
        if self.is_following:
            self.scroll_to(y=max(0, self.num_lines - self.size.height), animate=False, force=True)
        self.refresh()

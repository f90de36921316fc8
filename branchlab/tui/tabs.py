"""The places that one goes to by digit, in one line; each keeps what is open in it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from rich.cells import cell_len
from textual.events import Click

from branchlab.tui.lines import Lines
from branchlab.tui.looks import Line, Look, Piece, cut


class Place(StrEnum):
    """Where one can be; the digit of a place is its number here."""

    BRANCHES = "branches"
    RUNS = "runs"
    COMPARE = "compare"
    MAP = "map"
    JOURNAL = "journal"


class TabLine(Lines):
    """The places, the present one marked; on the right what a screen has to say of its list."""

    DEFAULT_CSS = "TabLine { height: 1; width: 100%; text-wrap: nowrap; }"

    def __init__(self) -> None:
        super().__init__(id="tabs", is_fixed=True)
        self._right: Line = ()
        self._place: Place | None = None

    def say(self, place: Place | None, right: Line = ()) -> None:
        """Say where one is."""
        self._place, self._right = place, right
        self.on_resize()

    def on_resize(self) -> None:
        self.show([tab_line(self._place, self._right, self.size.width)])

    async def on_click(self, event: Click) -> None:
        for place, start, end in _spans():
            if start <= event.x < end:
                await self.screen.run_action(f"app.place('{place}')")


def tab_line(place: Place | None, right: Line, width: int) -> Line:
    """Return the line for a width; what stands right is cut before the places are."""
    left: list[Piece] = []
    for one in Place:
        is_here = one is place
        left.append((_text(one, is_here=is_here), Look.STRONG if is_here else Look.DIM))
    used = sum(cell_len(text) for text, _ in left)
    right = cut(right, max(0, width - used - 2)) if right else ()
    room = width - used - sum(cell_len(text) for text, _ in right) - 1
    return (*left, (" " * max(1, room), Look.PLAIN), *right)


def _text(place: Place, *, is_here: bool) -> str:
    number = list(Place).index(place) + 1
    inner = f"{number} {place.capitalize()}"
    return f"[{inner}]" if is_here else f" {inner} "


def _spans() -> Iterator[tuple[Place, int, int]]:
    start = 0
    for place in Place:
        end = start + len(_text(place, is_here=False))
        yield place, start, end
        start = end

"""Two parts of a branch's screen that keep a place of their own: the hunks of a file, and curves with what is drawn of them."""

from __future__ import annotations

from collections.abc import Sequence

from branchlab.domain import Feature
from branchlab.lab.branch_curves import Axis
from branchlab.tui.branch_drawing import chart_lines
from branchlab.tui.branch_reads import Drawn
from branchlab.tui.diff_lines import DrawnPatch, annotated
from branchlab.tui.line_view import LineView
from branchlab.tui.looks import Look
from branchlab.tui.memory import Memory

_ABOVE = 3
"""Lines that stay above one that is jumped to."""
_WINDOW_MIN = 1 / 64


class Hunks(LineView):
    """The changes of one file, with a place that ``step`` moves from change to change."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.patch: DrawnPatch | None = None
        self._row = 0
        self._row_top = 0

    def show_patch(self, patch: DrawnPatch | None, features: Sequence[Feature] = ()) -> None:
        """Show a file, with what was found in its code; another one is looked at from its beginning."""
        is_new = patch is None or self.patch is None or patch.path != self.patch.path
        if patch is None:
            self.patch = None
            self.show([(("reading…", Look.DIM),)], is_new=True)
            return
        self.patch = annotated(patch, features, max(20, self.size.width - 2))
        self.show(self.patch.lines, tints=self.patch.tints, is_new=is_new)
        if is_new:
            self._row = self._row_top = 0

    def show_nothing(self) -> None:
        """Show that there is no file."""
        self.patch = None
        self.show([], is_new=True)

    def step(self, by: int) -> bool:
        """Go to the next change, or to the one before; return whether there is one."""
        if self.patch is None:
            return False
        here = self._here()
        after = [row for row in self.patch.changes if (row > here if by > 0 else row < here)]
        if not after:
            return False
        self._jump(after[0] if by > 0 else after[-1])
        return True

    def to_end(self, by: int) -> None:
        """Go to the first change, or to the last one when one came from below."""
        if self.patch is not None and self.patch.changes:
            self._jump(self.patch.changes[0] if by > 0 else self.patch.changes[-1])

    def to_source(self, line: int) -> None:
        """Go to a line of the file."""
        row = self.patch.row_of(line) if self.patch is not None else None
        if row is not None:
            self._jump(row)

    def source_line(self) -> int:
        """Return the line of the file at the place, 1 where there is none."""
        if self.patch is None or not self.patch.numbers:
            return 1
        here = max(self._here(), 0)
        row = min(self.patch.numbers, key=lambda one: (abs(one - here), one))
        return self.patch.numbers[row]

    def _here(self) -> int:
        """Return the row that was jumped to, unless somebody has scrolled since."""
        return self._row if self.top == self._row_top else self.top + (_ABOVE if self.top else -1)

    def _jump(self, row: int) -> None:
        self.scroll_to(y=max(0, row - _ABOVE), animate=False, force=True)
        self._row, self._row_top = row, self.top


class Curves(LineView):
    """A branch's curve over main's: of which metric, over what, smoothed or not, and which part of it."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._metric = ""
        self._axis = Axis.EPOCH
        self._is_smooth = False
        self._window = (0.0, 1.0)
        self._drawn: Drawn | None = None

    @property
    def how(self) -> tuple[str, Axis, bool]:
        """What is to be read."""
        return self._metric, self._axis, self._is_smooth

    @property
    def metric(self) -> str:
        """The metric that is drawn."""
        return self._drawn.beside.metric if self._drawn is not None else self._metric

    def recall(self, memory: Memory) -> None:
        """Take what was chosen last."""
        self._metric = memory.text("branch.metric")
        self._axis = Axis(memory.text("branch.axis", Axis.EPOCH, among=frozenset(Axis)))
        self._is_smooth = memory.is_set("branch.smooth")

    def keep(self, memory: Memory) -> None:
        """Remember what is chosen."""
        memory.keep("branch.metric", self._metric)
        memory.keep("branch.axis", str(self._axis))
        memory.keep("branch.smooth", self._is_smooth)

    def draw(self, drawn: Drawn | None) -> None:
        """Draw curves."""
        self._drawn = drawn
        self._redraw()

    def on_resize(self) -> None:
        super().on_resize()
        self._redraw()

    def turn_metric(self) -> None:
        """Go to the next metric."""
        if self._drawn is None or not self._drawn.beside.metrics:
            return
        names = self._drawn.beside.metrics
        at = names.index(self._drawn.beside.metric)
        self._metric = names[(at + 1) % len(names)]

    def turn_axis(self) -> None:
        """Go from epochs to steps, or back."""
        self._axis = Axis.STEP if self._axis is Axis.EPOCH else Axis.EPOCH

    def turn_smooth(self) -> None:
        """Smooth, or show what was logged."""
        self._is_smooth = not self._is_smooth

    def zoom(self, by: float) -> None:
        """Show a smaller part, which keeps the end where that is seen, or a larger one."""
        start, end = self._window
        size = min(1.0, max(_WINDOW_MIN, (end - start) * by))
        end = 1.0 if end == 1.0 else min(1.0, (start + end + size) / 2)
        self._window = (max(0.0, end - size), max(end, size))
        self._redraw()

    def action_aside(self, by: int) -> None:
        """Move the part that is shown."""
        start, end = self._window
        shift = (end - start) / 2 * (1 if by > 0 else -1)
        shift = min(max(shift, -start), 1.0 - end)
        self._window = (start + shift, end + shift)
        self._redraw()

    def _redraw(self) -> None:
        width, height = self.size.width - 2, self.size.height
        if width > 0:
            lines = chart_lines(
                self._drawn,
                width=width,
                height=height,
                window=self._window,
                is_smooth=self._is_smooth,
            )
            self.show(lines)

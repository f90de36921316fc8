"""Curves with what is chosen of them: which metric, over what, smoothed or not, and which part."""

from __future__ import annotations

from branchlab.lab.branch_curves import Axis
from branchlab.tui.branch_drawing import chart_lines
from branchlab.tui.branch_reads import Drawn
from branchlab.tui.line_view import LineView
from branchlab.tui.memory import Memory

_WINDOW_MIN = 1 / 64


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

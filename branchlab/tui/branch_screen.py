"""One branch: what is said of it, and all its runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from branchlab.lab.sparkline import sparkline
from branchlab.lab.words import figure
from branchlab.tui import keys
from branchlab.tui.detail import head_lines, hypothesis_lines, merge_line, verdict_line
from branchlab.tui.frame import LabScreen
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Line, Look, content, state_piece
from branchlab.tui.messages import CurveRead
from branchlab.tui.rows import run_columns, run_row
from branchlab.tui.views import BranchView, Role, Snapshot, branch_views


class BranchScreen(LabScreen):
    """The runs of one branch."""

    DEFAULT_CSS = """
    BranchScreen #facts { height: auto; max-height: 12; padding: 0 1; }
    BranchScreen #curve { height: auto; max-height: 4; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.BRANCH)
    KEYS = keys.BRANCH
    NAME = "One branch"
    AUTO_FOCUS = "#runs"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._branch = name
        self._metric = ""
        self._view: BranchView | None = None
        self._curve: CurveRead | None = None

    def body(self) -> Iterable[Widget]:
        yield Static(id="facts", markup=False)
        yield LineTable(id="runs")
        yield Static(id="curve", markup=False)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        metric = self._metric = snapshot.status.metric
        found = {view.name: view for view in branch_views(snapshot)}
        view = self._view = found.get(self._branch) or _gone(self._branch, snapshot)
        self.show_header(snapshot)
        self.show_place(((view.name, Look.LIVE),))
        self.show_warnings(snapshot.status.warnings)
        said = (verdict_line(view), *hypothesis_lines(view), merge_line(view))
        lines = [*head_lines(view), *said]
        self.query_one("#facts", Static).update(content([line for line in lines if line]))
        now = self.lab.now()
        self.query_one(LineTable).show(
            run_columns(metric),
            [run_row(record, view, metric, now) for record in view.runs],
            notice="" if view.runs else f"no runs yet; R runs it: branchlab run {view.name}",
        )
        self._draw_curve()

    def show_curve(self, read: CurveRead) -> None:
        self._curve = read
        self._draw_curve()

    def on_line_table_selected(self) -> None:
        self._draw_curve()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self.lab.open_run(event.key)

    def action_open(self) -> None:
        self.query_one(LineTable).action_open()

    def action_back(self) -> None:
        self.lab.pop_screen()

    def equivalent(self) -> str:
        return f"branchlab status {self._branch}"

    def chosen(self) -> BranchView | None:
        return self._view

    def _draw_curve(self) -> None:
        run_id = self.query_one(LineTable).selected
        self.lab.feed.watch_run(run_id)
        lines: list[Line] = []
        record = (
            next((r for r in self._view.runs if r.run.id == run_id), None) if self._view else None
        )
        if record is not None and record.reason:
            lines.append((state_piece(record.state), (f"  {record.reason}", Look.PLAIN)))
        if self._curve is not None and self._curve.run_id == run_id and self._curve.points:
            points = self._curve.points
            room = min(100, self.size.width - len(self._metric) - 14)
            lines.append(
                (
                    (f"{self._metric} ", Look.DIM),
                    (sparkline(points, room), Look.LIVE),
                    (f" {figure(points[-1][1])}", Look.PLAIN),
                )
            )
        self.query_one("#curve", Static).update(content(lines))


def _gone(name: str, snapshot: Snapshot) -> BranchView:
    """A branch that was deleted keeps its runs."""
    runs = tuple(record for record in snapshot.records if record.run.branch == name)
    return BranchView(
        name=name,
        role=Role.EXPERIMENT,
        tip="",
        title="the branch is gone; its runs stay",
        runs=runs,
    )

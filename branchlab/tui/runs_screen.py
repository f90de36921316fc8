"""All runs of the lab, live: what goes on, what waits, what ended and how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from branchlab.tui import keys
from branchlab.tui.frame import LabScreen
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Look
from branchlab.tui.rows import run_columns, run_row
from branchlab.tui.tabs import Place
from branchlab.tui.views import Snapshot, branch_views


class RunsScreen(LabScreen):
    """The runs of all branches, the latest planned first."""

    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.RUNS)
    KEYS = keys.RUNS
    NAME = "Runs"
    PLACE = Place.RUNS
    AUTO_FOCUS = "#runs"

    def body(self) -> Iterable[Widget]:
        yield LineTable(id="runs")

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.show_header(snapshot)
        self.show_warnings(snapshot.status.warnings)
        views = {view.name: view for view in branch_views(snapshot)}
        metric, now = snapshot.status.metric, self.lab.now()
        shown = [record for record in snapshot.records if record.run.branch in views]
        self.show_place(((f"{len(shown)} runs", Look.DIM),))
        self.query_one(LineTable).show(
            run_columns(metric),
            [run_row(one, views[one.run.branch], metric, now) for one in shown],
            notice="" if shown else "no runs yet: branchlab run --all-branches",
        )

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self.lab.open_run(event.key)

    def chosen_runs(self) -> tuple[str, ...]:
        run_id = self.query_one(LineTable).selected
        return (run_id,) if run_id else ()

    def copied(self) -> str | None:
        return self.query_one(LineTable).selected

    def equivalent(self) -> str:
        return "branchlab runs"

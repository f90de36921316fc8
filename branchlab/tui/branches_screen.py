"""The overview: every branch, live, with a strip (or from 120 columns on a panel) about the selected one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.events import Key as KeyEvent
from textual.events import Paste
from textual.widget import Widget

from branchlab.tui import keys
from branchlab.tui.detail import chart_run, detail_lines
from branchlab.tui.filter_line import FilterLine
from branchlab.tui.frame import WIDE, LabScreen
from branchlab.tui.kept import KeptRows, rows_to_keep
from branchlab.tui.line_table import LineTable
from branchlab.tui.lines import Lines
from branchlab.tui.looks import Look, Piece
from branchlab.tui.messages import CurveRead
from branchlab.tui.rows import BranchRows, Row, Sort, branch_columns, sorted_views
from branchlab.tui.tabs import Place
from branchlab.tui.views import BranchView, Role, Snapshot, branch_views

_ROOMY = 180


class BranchesScreen(LabScreen):
    """Main and the reference on top, then the experiments."""

    DEFAULT_CSS = """
    BranchesScreen #middle { height: 1fr; layout: vertical; }
    BranchesScreen #detail { height: 7; width: 100%; padding: 0 1; border-top: solid $panel-lighten-2; }
    BranchesScreen.-wide #middle { layout: horizontal; }
    BranchesScreen.-wide #branches { width: 1fr; height: 100%; }
    BranchesScreen.-wide #detail { width: 40%; max-width: 64; height: 100%; border-top: none;
        border-left: solid $panel-lighten-2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.BRANCHES)
    KEYS = keys.BRANCHES
    NAME = "Branches"
    PLACE = Place.BRANCHES
    AUTO_FOCUS = "#branches"

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: Snapshot | None = None
        self._views: dict[str, BranchView] = {}
        self._rows: dict[str, Row] = {}
        self._made = BranchRows()
        self._measured: list[Row] = []
        self._sort = Sort.DIFFERENCE
        self._curve: CurveRead | None = None

    def body(self) -> Iterable[Widget]:
        middle = Container(LineTable(id="branches"), Lines(id="detail", is_fixed=True), id="middle")
        yield middle
        yield FilterLine()

    def on_mount(self) -> None:
        table, kept = self.query_one(LineTable), self.lab.kept
        self.show_header(None)
        if kept is None:
            table.show((), (), notice="reading branches…")
        else:
            table.show(kept.columns, kept.rows, num_pinned=kept.num_pinned)
            table.select(kept.selected)
            self.show_warnings(kept.warnings)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._views = {view.name: view for view in branch_views(snapshot)}
        now, is_wide = self.lab.now(), self.size.width >= _ROOMY
        self._rows = self._made.rows(self._views.values(), now, is_wide=is_wide)
        self._measured = list(self._rows.values())
        self.show_warnings(snapshot.status.warnings)
        self._draw_table()
        self._draw_detail()

    def show_curve(self, read: CurveRead) -> None:
        self._curve = read
        self._draw_detail()

    def on_line_table_selected(self) -> None:
        self._draw_detail()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self.lab.open_branch(event.key)

    def on_key(self, event: KeyEvent) -> None:
        line = self.query_one(FilterLine)
        if line.display:
            if event.key in {"up", "down", "pageup", "pagedown", "ctrl+c"}:
                return
            if line.take(event):
                self._filter_changed()
        elif event.key == "slash":
            line.open()
        else:
            return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: Paste) -> None:
        line = self.query_one(FilterLine)
        if line.display:
            line.set_text(line.text + (event.text.splitlines() or [""])[0])
            self._filter_changed()

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_back(self) -> None:
        if self.query_one(FilterLine).text:
            self.query_one(FilterLine).set_text("")
            self._filter_changed()

    def _filter_changed(self) -> None:
        self._draw_table()
        self._draw_detail()

    def action_sort(self) -> None:
        order = list(Sort)
        self._sort = order[(order.index(self._sort) + 1) % len(order)]
        self._draw_table()

    def action_open(self) -> None:
        self.query_one(LineTable).action_open()

    def rows_to_keep(self) -> KeptRows | None:
        """Return what the table shows, for the next start; None while a filter hides some of it."""
        snapshot, table = self._snapshot, self.query_one(LineTable)
        if snapshot is None or self.query_one(FilterLine).text:
            return None
        return rows_to_keep(table, warnings=snapshot.status.warnings, at=snapshot.read_at)

    def equivalent(self) -> str:
        return "branchlab status"

    def chosen(self) -> BranchView | None:
        return self._views.get(self.query_one(LineTable).selected or "")

    def _draw_table(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        wanted = self.query_one(FilterLine).text
        views = list(self._views.values())
        pinned = [view for view in views if view.role is not Role.EXPERIMENT]
        experiments = [view for view in views if view.role is Role.EXPERIMENT]
        kept = self._made.matching(experiments, wanted)
        ordered = sorted_views(kept, self._sort, snapshot.status.goal)
        self.query_one(LineTable).show(
            branch_columns(snapshot.status.metric, self._sort),
            [self._rows[view.name] for view in (*pinned, *ordered)],
            num_pinned=len(pinned),
            notice=_notice(experiments, kept, wanted),
            measured=self._measured,
        )
        self._draw_top(snapshot, len(kept), len(experiments), wanted)

    def _draw_top(self, snapshot: Snapshot, num_kept: int, num_all: int, wanted: str) -> None:
        right: list[Piece] = []
        if wanted:
            right.append((f"[/{wanted}]  ", Look.WARN))
        counted = f"{num_kept} of {num_all}" if wanted else f"{num_all}"
        right.append((f"{counted} branches", Look.DIM))
        self.show_header(snapshot)
        self.show_place(tuple(right))

    def _draw_detail(self) -> None:
        view, place = self.chosen(), self.query_one("#detail", Lines)
        if view is None or self._snapshot is None:
            place.show(())
            self.lab.feed.watch_run(None)
            return
        shown = chart_run(view)
        self.lab.feed.watch_run(shown.run.id if shown else None)
        is_ours = (
            self._curve is not None and shown is not None and self._curve.run_id == shown.run.id
        )
        curve = self._curve.points if self._curve is not None and is_ours else ()
        width, height = place.content_size.width, place.content_size.height
        if self.size.width < WIDE:
            height = 6
        lines = detail_lines(
            view, self._snapshot.status.metric, curve, width=max(20, width), height=height
        )
        place.show(lines)


def _notice(experiments: list[BranchView], kept: list[BranchView], wanted: str) -> str:
    if not experiments:
        return "no experiment branch yet; start one: branchlab new-exp NAME"
    if wanted and not kept:
        return f"no branch has '{wanted}'; Esc clears the filter"
    if not any(view.runs for view in experiments):
        return "no runs yet; R runs the selected branch, all of them: branchlab run --all-branches"
    return ""

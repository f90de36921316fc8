"""One branch: what comes next, what it changes, how it trained, what it claims, and what was written down about it.

The snapshot is drawn at once; all else is read in threads when a pane needs it, and again when a tip or a run has changed.
A branch that is deleted keeps its last place: its commits and runs are still there to be looked at.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.events import Click, Resize
from textual.widget import Widget
from textual.widgets import Static

from branchlab.lab.diff import Base, BranchDiff
from branchlab.lab.feature_reading import BranchFeatures
from branchlab.tui import keys, screen_keys
from branchlab.tui.asking import Answer, Read
from branchlab.tui.branch_drawing import (
    READING,
    counts_of,
    diff_line,
    facts_line,
    gone_view,
    role_lines,
    spark_line,
    text_lines,
)
from branchlab.tui.branch_lines import (
    feature_columns,
    feature_lines,
    feature_rows,
)
from branchlab.tui.branch_panes import (
    FOCUS,
    LAYOUT,
    LEFT,
    RIGHT,
    Pane,
    command_of_pane,
    pane_at,
    pane_line,
    shown_in,
)
from branchlab.tui.branch_reads import Chosen, Drawn, Spark, Written, wishes
from branchlab.tui.curves_view import Curves
from branchlab.tui.diff_desk import DiffDesk, Hunks
from branchlab.tui.diff_lines import DrawnPatch
from branchlab.tui.frame import WIDE, LabScreen
from branchlab.tui.line_table import LineTable
from branchlab.tui.line_view import LineView
from branchlab.tui.looks import Look, content
from branchlab.tui.next_lines import next_lines
from branchlab.tui.readings import Readings
from branchlab.tui.rows import run_columns, run_row
from branchlab.tui.views import BranchView, Role, Snapshot, branch_views

if TYPE_CHECKING:
    from branchlab.domain import Feature


class BranchScreen(LabScreen):
    """All about one branch, a pane at a time; where there is room, with its neighbours beside it."""

    DEFAULT_CSS = LAYOUT
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(screen_keys.BRANCH)
    KEYS = screen_keys.BRANCH
    NAME = "One branch"
    AUTO_FOCUS = ""

    def __init__(self, name: str, pane: str = Pane.SUMMARY) -> None:
        super().__init__()
        self._branch = name
        self._pane = Pane(pane)
        self._snapshot: Snapshot | None = None
        self._view: BranchView | None = None
        self._base = Base.MAIN
        self._is_zoomed = False
        self._feature: Feature | None = None
        self._read = Readings("branch", self._ask)

    def body(self) -> Iterable[Widget]:
        yield Static(content([READING]), id="step", markup=False)
        yield Static(id="panes", classes="line", markup=False)
        yield Static(id="strip", classes="line", markup=False)
        with Container(id="body"):
            with Vertical(id="left"):
                yield LineView(id="text")
                yield LineTable(id="files")
                yield LineTable(id="features")
                yield Static(id="about", markup=False)
            with Vertical(id="right"):
                yield Hunks(id="hunks")
                yield LineTable(id="runs")
                yield Static(id="spark", markup=False)
                yield Curves(id="chart")

    def on_mount(self) -> None:
        self._desk = DiffDesk(self.query_one("#files", LineTable), self.query_one(Hunks))
        self.query_one(Curves).recall(self.lab.memory)
        self._arrange()
        self.query_one(f"#{FOCUS[self._pane]}").focus()

    def on_resize(self, event: Resize) -> None:
        self._arrange()

    def on_screen_resume(self) -> None:
        self._read.forget_open()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        view = {view.name: view for view in branch_views(snapshot)}.get(self._branch)
        if view is not None and self._view is not None and view.tip != self._view.tip:
            self.lab.say(f"{view.name} has a new tip, {view.tip[:10]}: read anew")
        self._view = view or gone_view(self._branch, snapshot, self._view)
        if self._view.role is Role.MAIN and self._base is Base.MAIN:
            self._base = Base.REFERENCE
        self.show_header(snapshot)
        self.show_place(((self._branch, Look.LIVE),))
        self.show_warnings(snapshot.status.warnings)
        self._draw()

    def show_answer(self, answer: Answer) -> None:
        if self._read.take(answer):
            if isinstance(answer.value, DrawnPatch):
                self._desk.keep(answer.key, answer.value)
            self._draw()

    def on_line_table_selected(self) -> None:
        self.show_said()
        self._draw_files()
        self._draw_about()
        self._draw_spark()
        if self._view is not None and self._snapshot is not None:
            self._ask_for_all(self._view, self._snapshot)

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        if self.focused is not None and self.focused.id == "runs":
            self.lab.open_run(event.key)
        elif self.focused is not None and self.focused.id == "features":
            self._jump_to_feature(int(event.key))

    async def on_click(self, event: Click) -> None:
        if event.widget is not None and event.widget.id == "panes":
            pane = pane_at(self._pane, self._counts(), event.x)
            if pane is not None:
                self.action_pane(pane)

    def action_pane(self, pane: str) -> None:
        self._pane, self._feature = Pane(pane), None
        self._arrange()
        self.query_one(f"#{FOCUS[self._pane]}").focus()
        self.query_one("#text", LineView).action_to_line(0)
        # Lines are broken for the width that a part gets now.
        self.call_after_refresh(self._draw)

    def action_turn(self, by: int) -> None:
        panes = list(Pane)
        self.action_pane(panes[(panes.index(self._pane) + by) % len(panes)])

    def action_zoom_pane(self) -> None:
        self._is_zoomed = not self._is_zoomed
        self._arrange()
        self.call_after_refresh(self._draw)

    def action_open(self) -> None:
        if isinstance(self.focused, LineTable):
            self.focused.action_open()

    def action_back(self) -> None:
        self.lab.pop_screen()

    def action_refresh(self) -> None:
        self._read.forget()
        super().action_refresh()

    def action_base(self) -> None:
        if self._is_shown("files"):
            bases = list(Base)
            self._base = bases[(bases.index(self._base) + 1) % len(bases)]
            self._draw()
        else:  # what cannot be seen does not change
            self.action_pane(Pane.DIFF)

    def action_change(self, by: int) -> None:
        if self._pane is not Pane.DIFF:
            self.action_pane(Pane.DIFF)
        elif not self._desk.turn(by):
            self.lab.say("no change after this one" if by > 0 else "no change before this one")

    def action_file(self, by: int) -> None:
        self._desk.turn_file(by)

    def action_metric(self) -> None:
        self._turn_curves(Curves.turn_metric)

    def action_axis(self) -> None:
        self._turn_curves(Curves.turn_axis)

    def action_smooth(self) -> None:
        self._turn_curves(Curves.turn_smooth)

    def action_zoom(self, by: float) -> None:
        self.query_one(Curves).zoom(by)

    def action_edit(self) -> None:
        hunks = self.query_one(Hunks)
        if not hunks.display or hunks.patch is None:
            super().action_edit()
            return
        folder = self._work_tree()
        if folder is not None:
            self.lab.edit(folder / hunks.patch.path, hunks.source_line())

    def equivalent(self) -> str:
        found = self._read.of("diff", BranchDiff)
        return command_of_pane(
            self._pane,
            self._branch,
            base=found.base.commit[:10] if found is not None and found.base else "main",
            path=self.query_one("#files", LineTable).selected,
            metric=self.query_one(Curves).metric,
        )

    def chosen(self) -> BranchView | None:
        return self._view

    def chosen_runs(self) -> tuple[str, ...]:
        selected = self.query_one("#runs", LineTable).selected
        return (selected,) if selected else ()

    def _arrange(self) -> None:
        """Show the parts of the pane, beside one another where there is room."""
        is_wide = self.size.width >= WIDE and not self._is_zoomed
        parts = shown_in(self._pane, self.size.width, self.size.height, is_wide=is_wide)
        for name in (*LEFT, *RIGHT):
            self.query_one(f"#{name}").display = name in parts
        for name, inside in (("left", LEFT), ("right", RIGHT)):
            self.query_one(f"#{name}").display = any(one in parts for one in inside)
        is_two = any(one in parts for one in LEFT) and any(one in parts for one in RIGHT)
        self.set_class(is_wide and is_two, "-two")
        self.set_class(not is_wide or not is_two, "-one")
        for pane in Pane:
            self.set_class(pane is self._pane, f"-{pane}")

    def _ask(self, slot: str, key: Hashable, read: Read) -> None:
        self.lab.ask(slot, key, read)

    def _is_shown(self, name: str) -> bool:
        return bool(self.query_one(f"#{name}").display)

    def _draw(self) -> None:
        """Draw what is known into every part that is seen, and have the rest read."""
        view, snapshot = self._view, self._snapshot
        if view is None or snapshot is None:
            return
        self._ask_for_all(view, snapshot)
        width = self.size.width - 2
        lines = role_lines(view)
        if view.next is not None:
            is_roomy = self._pane is Pane.SUMMARY or self.size.width >= WIDE
            lines = next_lines(view.next, self.KEYS, width, num_max=3 if is_roomy else 1)
        self.query_one("#step", Static).update(content(lines))
        self.query_one("#panes", Static).update(
            content([pane_line(self._pane, self._counts(), self.size.width)])
        )
        self._draw_text(view)
        self._draw_runs(view, snapshot)
        self._draw_features()
        self._draw_files()
        self._draw_spark()
        if self._is_shown("chart"):
            self.query_one(Curves).draw(self._read.of("curves", Drawn))
        self.show_said()

    def _draw_text(self, view: BranchView) -> None:
        text = self.query_one("#text", LineView)
        if not text.display:
            return
        text.show(text_lines(self._pane, view, self._read, text.room))

    def _draw_runs(self, view: BranchView, snapshot: Snapshot) -> None:
        metric, now = snapshot.status.metric, self.lab.now()
        self.query_one("#runs", LineTable).show(
            run_columns(metric),
            [run_row(record, view, metric, now) for record in view.runs],
            notice=""
            if view.runs
            else f"no runs yet; R runs it: branchlab run {shlex.quote(view.name)}",
        )

    def _draw_features(self) -> None:
        found = self._read.of("features", BranchFeatures)
        notice = (
            "reading…"
            if found is None
            else found.problem or "nothing that main's code would notice"
        )
        if self._view is not None and self._view.role is not Role.EXPERIMENT:
            notice = "features are what experiments bring"
        self.query_one("#features", LineTable).show(
            feature_columns(),
            feature_rows(found) if found is not None else (),
            notice="" if found is not None and found.features else notice,
        )
        self._draw_about()

    def _draw_about(self) -> None:
        about = self.query_one("#about", Static)
        one = self._selected_feature()
        width = max(20, self.query_one("#left").size.width - 3)
        about.update(content(feature_lines(one, width) if one is not None else ()))
        if self._pane is Pane.FEATURES and one is not None and one != self._feature:
            self._feature = one
            if self._is_shown("hunks"):
                self._show_place(one)

    def _draw_files(self) -> None:
        found = self._read.of("diff", BranchDiff)
        features = self._features() if self._base is Base.MAIN else ()
        wish = self._desk.draw(found, features, self._read.key("diff"))
        if wish is not None:
            self._read.ask(wish)
        width = self.size.width - 2
        strip = facts_line(self._view, width) if self._view is not None else ()
        if self._is_shown("hunks"):
            strip = diff_line(found, self.query_one(Hunks).patch, width)
        self.query_one("#strip", Static).update(content([((" ", Look.PLAIN), *strip)]))

    def _draw_spark(self) -> None:
        if self._view is None or self._snapshot is None:
            return
        selected = self.query_one("#runs", LineTable).selected
        record = next((one for one in self._view.runs if one.run.id == selected), None)
        spark = self._read.of("spark", Spark)
        points = spark.points if spark is not None and spark.run == selected else ()
        width = self.query_one("#right").size.width - 2
        lines = spark_line(record, self._snapshot.status.metric, points, width)
        self.query_one("#spark", Static).update(content(lines))

    def _ask_for_all(self, view: BranchView, snapshot: Snapshot) -> None:
        parts = {name for name in RIGHT if self._is_shown(name)} | {str(self._pane)}
        chosen = Chosen(
            base=self._base,
            curves=self.query_one(Curves).how,
            width=min(120, max(20, self.size.width - 4)),
            run=self.query_one("#runs", LineTable).selected or "",
        )
        for wish in wishes(view, snapshot, chosen, parts):
            self._read.ask(wish)

    def _counts(self) -> dict[Pane, int | None]:
        return counts_of(
            self._view,
            self._read.of("diff", BranchDiff),
            self._read.of("features", BranchFeatures),
            self._read.of("notes", Written),
        )

    def _features(self) -> tuple[Feature, ...]:
        found = self._read.of("features", BranchFeatures)
        return found.features if found is not None else ()

    def _selected_feature(self) -> Feature | None:
        selected, features = self.query_one("#features", LineTable).selected, self._features()
        at = int(selected) if selected is not None else len(features)
        return features[at] if at < len(features) else None

    def _jump_to_feature(self, number: int) -> None:
        features = self._features()
        if number < len(features):
            if not self._is_shown("hunks") or self._pane is Pane.DIFF:
                self.action_pane(Pane.DIFF)
            self._show_place(features[number])

    def _show_place(self, one: Feature) -> None:
        """Show where a change stands, in the diff against main, which is what features are about."""
        self._base = Base.MAIN
        self._desk.show_place(one.path, one.line or 1)
        self._draw()

    def _turn_curves(self, turn: Callable[[Curves], None]) -> None:
        curves = self.query_one(Curves)
        if curves.display:
            turn(curves)
            curves.keep(self.lab.memory)
            self._draw()
        else:
            self.action_pane(Pane.CURVES)

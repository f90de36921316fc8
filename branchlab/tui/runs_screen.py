"""All runs of the lab, live: what goes on, what waits, what ended and how; the selected one with curves, meters and log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Static

from branchlab.domain import RunRecord, RunState
from branchlab.lab.progress import left_s
from branchlab.lab.project import Project
from branchlab.lab.run_curves import loss_of
from branchlab.lab.words import duration
from branchlab.tui import keys, screen_keys
from branchlab.tui.about_runs import AboutRuns
from branchlab.tui.asking import Answer
from branchlab.tui.filter_line import FilterLine
from branchlab.tui.line_table import LineTable
from branchlab.tui.log_view import LogView
from branchlab.tui.looks import Line, Look, Piece, content, state_piece
from branchlab.tui.meters import meter_lines
from branchlab.tui.run_charts import Curves, chart_lines
from branchlab.tui.run_filter import RunFilter, parse_filter
from branchlab.tui.run_list import (
    Entry,
    Listed,
    RunList,
    RunSort,
    kept,
    list_columns,
    ordered,
)
from branchlab.tui.tabs import Place
from branchlab.tui.views import Snapshot

_LOG_EVERY_S = 0.5
_ROOMY = 140


class RunsScreen(AboutRuns):
    """The runs of all branches; those that go on stand first, then those that wait, then the latest that ended."""

    DEFAULT_CSS = """
    RunsScreen #runs { height: 1fr; min-height: 4; }
    RunsScreen #lower { height: 10; border-top: solid $foreground 35%; }
    RunsScreen #loss { width: 1fr; height: 100%; padding: 0 1; }
    RunsScreen #metric { width: 1fr; height: 100%; padding: 0 1; display: none;
        border-left: solid $foreground 35%; }
    RunsScreen #meters { width: 27; height: 100%; padding: 0 1; border-left: solid $foreground 35%; }
    RunsScreen #about { height: 1; width: 100%; padding: 0 1; text-wrap: nowrap; }
    RunsScreen #log { height: 2; }
    RunsScreen.-roomy #metric { display: block; }
    RunsScreen.-tall #lower { height: 14; }
    RunsScreen.-tall #log { height: 10; }
    RunsScreen.-roomy #meters { width: 44; }
    RunsScreen.-low #lower { display: none; }
    RunsScreen.-log #lower { display: none; }
    RunsScreen.-log #log { height: 12; }
    RunsScreen.-low.-log #log { height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(screen_keys.RUNS)
    KEYS = screen_keys.RUNS
    NAME = "Runs"
    PLACE = Place.RUNS
    AUTO_FOCUS = "#runs"
    LOG_BYTES = 64 << 10

    def __init__(self) -> None:
        super().__init__()
        self._list = RunList()
        self._listed: Listed | None = None
        self._num_taken = 0
        self._shown: list[Entry] = []
        self._marks: frozenset[str] = frozenset()
        self._sort, self._is_reversed = RunSort.LIVE, False
        self._is_live_only = self._is_marked_only = self._is_paused = False
        self._filter = RunFilter()

    def body(self) -> Iterable[Widget]:
        yield LineTable(id="runs")
        yield FilterLine("words, or: state:running branch:se since:1d")
        yield Static(id="about", markup=False)
        yield Horizontal(
            Static(id="loss", markup=False),
            Static(id="metric", markup=False),
            Static(id="meters", markup=False),
            id="lower",
        )
        yield LogView(id="log")

    def on_mount(self) -> None:
        memory = self.lab.memory
        self._sort = RunSort(memory.text("runs.sort", RunSort.LIVE, among=frozenset(RunSort)))
        self._is_reversed = memory.is_set("runs.reversed")
        self._is_live_only = memory.is_set("runs.live")
        self.recall_chart()
        self.set_class(memory.is_set("runs.log"), "-log")
        line = self.query_one(FilterLine)
        line.set_text(memory.text("runs.filter"))
        self._filter = parse_filter(line.text)
        self.query_one(LineTable).show((), (), notice="reading runs…")
        self.show_header(None)
        self.set_interval(_LOG_EVERY_S, self._follow_log)

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width >= _ROOMY, "-roomy")
        self.set_class(event.size.height >= 36, "-tall")  # noqa: PLR2004  a log of ten lines beside the rest

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.show_warnings(snapshot.status.warnings)
        if self._is_paused and self._listed is not None:
            self._draw_lower()
            return
        self.show_header(snapshot)
        self._num_taken += 1
        records, status, now = snapshot.records, snapshot.status, self.lab.now()

        def read(project: Project) -> Listed:
            waits = any(record.state is RunState.PLANNED for record in records)
            return self._list.take(
                records,
                metric=status.metric,
                main=status.overview.main.name,
                now=now,
                is_at_work=waits and project.state.is_at_work(),
            )

        self.lab.ask("runs-rows", self._num_taken, read)

    def show_answer(self, answer: Answer) -> None:
        super().show_answer(answer)
        if isinstance(answer.value, Listed):
            if not self._is_paused or self._listed is None:
                self._listed = answer.value
                self._draw()
            return
        match self.reading.take(answer, self.query_one(LogView)):
            case "curves":
                self._draw_charts()
            case "machine":
                self._draw_meters()
            case _:
                pass

    def on_line_table_selected(self) -> None:
        self._draw_lower()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self.lab.open_run(event.key)

    def on_log_view_following(self) -> None:
        self._draw_place()

    def on_line_table_header_clicked(self, event: LineTable.HeaderClicked) -> None:
        if event.column.id not in frozenset(RunSort):
            self.lab.say(f"{event.column.title} is no order")
            return
        sort = RunSort(event.column.id)
        self._is_reversed = sort is self._sort and not self._is_reversed
        self._sort = sort
        self._keep_sort()

    def filter_changed(self) -> None:
        self._filter = parse_filter(self.wanted)
        self.query_one(FilterLine).complain(self._filter.complaint)
        self.lab.memory.keep("runs.filter", self.wanted)
        self._draw()
        self.show_said()

    def draw_curves(self, *, is_other: bool) -> None:
        if is_other:
            self._draw_lower()
        else:
            self._draw_charts()

    def action_back(self) -> None:
        """Give up the filter, then what else hides runs, then the marks."""
        if self.clear_filter():
            return
        if self._is_marked_only or self._is_live_only:
            self._is_marked_only = self._is_live_only = False
            self.lab.memory.keep("runs.live", False)  # noqa: FBT003  a value
            self._draw()
        else:
            self._marks = frozenset()
            self._draw()

    def action_open(self) -> None:
        self.query_one(LineTable).action_open()

    def action_sort(self) -> None:
        order = list(RunSort)
        self._sort = order[(order.index(self._sort) + 1) % len(order)]
        self._is_reversed = False
        self._keep_sort()

    def action_reverse(self) -> None:
        self._is_reversed = not self._is_reversed
        self._keep_sort()

    def action_mark(self) -> None:
        run_id = self.query_one(LineTable).selected
        if run_id:
            self._marks ^= {run_id}
            self._draw()
            self.query_one(LineTable).action_move(1)

    def action_marked_only(self) -> None:
        self._is_marked_only = not self._is_marked_only and bool(self._marks)
        if not self._marks:
            self.lab.say("nothing is marked; Space marks a run")
        self._draw()

    def action_live_only(self) -> None:
        self._is_live_only = not self._is_live_only
        self.lab.memory.keep("runs.live", self._is_live_only)
        self._draw()

    def action_pause(self) -> None:
        self._is_paused = not self._is_paused
        if self._is_paused:
            self.lab.say("this screen stands still; runs go on, p looks again")
        else:
            self.lab.say("")
            self.lab.ask_for(self)
        self._draw_place()

    def action_log(self) -> None:
        self.toggle_class("-log")
        self.lab.memory.keep("runs.log", self.has_class("-log"))
        self.call_after_refresh(self._draw_lower)

    def chosen_records(self) -> Sequence[RunRecord]:
        entries: Mapping[str, Entry] = self._listed.entries if self._listed is not None else {}
        found = [entries[run_id].record for run_id in entries if run_id in self._marks]
        selected = self._selected()
        return found or ([selected] if selected is not None else [])

    def copied(self) -> str | None:
        return self.query_one(LineTable).selected

    def equivalent(self) -> str:
        states = next((values for name, values in self._filter.fields if name == "state"), ())
        exact = [f" --state {value}" for value in states if value in set(RunState)]
        return "branchlab runs" + "".join(exact)

    def _selected(self) -> RunRecord | None:
        run_id = self.query_one(LineTable).selected
        entry = self._listed.entries.get(run_id or "") if self._listed is not None else None
        return entry.record if entry is not None else None

    def _keep_sort(self) -> None:
        self.lab.memory.keep("runs.sort", self._sort)
        self.lab.memory.keep("runs.reversed", self._is_reversed)
        self._draw()

    def _draw(self) -> None:
        listed = self._listed
        if listed is None:
            return
        self._marks = frozenset(mark for mark in self._marks if mark in listed.entries)
        shown = kept(
            listed.entries.values(),
            self._filter,
            self.lab.now(),
            among=self._marks if self._is_marked_only else None,
            is_live_only=self._is_live_only,
        )
        snapshot = self.lab.snapshot
        assert snapshot is not None
        goal = snapshot.status.goal
        self._shown = ordered(shown, self._sort, is_reversed=self._is_reversed, goal=goal)
        self.query_one(LineTable).show(
            list_columns(listed.metric, self._sort, is_reversed=self._is_reversed),
            [entry.row for entry in self._shown],
            notice=self._notice(),
            measured=listed.measured,
        )
        self.query_one(LineTable).show_marked(self._marks)
        self._draw_place()
        self._draw_lower()

    def _notice(self) -> str:
        if self._shown:
            return ""
        if self._listed is not None and not self._listed.entries:
            return "no runs yet: branchlab run --all-branches"
        if self._is_live_only and self._filter.is_empty:
            return "nothing runs or waits; v shows all runs again"
        return "no run passes the filter; Esc clears it"

    def _draw_place(self) -> None:
        pieces: list[Piece] = []
        if self._is_paused:
            pieces.append(("paused  ", Look.WARN))
        if text := self.wanted:
            pieces.append((f"[/{text}]  ", Look.WARN))
        if self._is_live_only:
            pieces.append(("[live]  ", Look.WARN))
        if self._is_marked_only:
            pieces.append(("[marked]  ", Look.WARN))
        if self._marks:
            pieces.append((f"{len(self._marks)} marked  ", Look.MARKED))
        num_all = len(self._listed.entries) if self._listed is not None else 0
        num = len(self._shown)
        pieces.append((f"{num} of {num_all} runs" if num != num_all else f"{num} runs", Look.DIM))
        if not self.query_one(LogView).is_following:
            pieces.append(("  log stands", Look.DIM))
        self.show_place(tuple(pieces))

    def _draw_lower(self) -> None:
        record = self._selected()
        log = self.query_one(LogView)
        if record is None:
            self.reading.turn_to("")
            for name in ("about", "loss", "metric", "meters"):
                self.query_one(f"#{name}", Static).update("")
            log.clear()
            return
        if self.reading.turn_to(record.run.id):
            log.clear("reading…")
            log.follow(is_on=True)
        beside = self._listed.partner(record.run.id) if self._listed is not None else None
        names = dict.fromkeys((self._loss(record), self.chart_metric()))
        self.reading.look(record, beside, [name for name in names if name], self.chart.axis)
        self.query_one("#about", Static).update(content([self._about(record)]))
        self._draw_charts()
        self._draw_meters()

    def _about(self, record: RunRecord) -> Line:
        """Return in one line which run is shown below, and why it is as it is."""
        run = record.run
        line: Line = (
            (run.id, Look.STRONG),
            (f"  {run.branch} at {run.commit[:10]}  ", Look.DIM),
            state_piece(record.state),
        )
        if record.reason:
            return (*line, (f"  {record.reason}", Look.PLAIN))
        left = left_s(record, self.lab.now()) if record.state is RunState.RUNNING else None
        took = f"  {duration(left)} left" if left is not None else ""
        took = took or (f"  took {duration(record.duration_s)}" if record.duration_s else "")
        return (*line, (took, Look.PLAIN))

    def _loss(self, record: RunRecord) -> str:
        curves = self.reading.curves
        return loss_of(curves.own.names if curves is not None else record.metrics) or "train/loss"

    def _draw_charts(self) -> None:
        """Draw the loss, or where there is room for one chart only and a metric was chosen, that."""
        record, curves = self._selected(), self.reading.curves
        if record is None:
            return
        is_roomy = self.has_class("-roomy")
        first = self._loss(record) if is_roomy or not self.metric else self.metric
        self._draw_chart("#loss", curves, first)
        if is_roomy:
            self._draw_chart("#metric", curves, self.chart_metric())

    def _draw_chart(self, place: str, curves: Curves | None, metric: str) -> None:
        box = self.query_one(place, Static)
        width, height = box.content_size.width, box.content_size.height
        if not width or not height:
            return
        if curves is None:
            box.update(content([((f"{metric}  reading…", Look.DIM),)]))
            return
        record = self._selected()
        why = record.reason if record is not None else ""
        lines = chart_lines(curves, metric, self.chart, width=width, height=height, notice=why)
        box.update(content(lines))

    def _draw_meters(self) -> None:
        record, box = self._selected(), self.query_one("#meters", Static)
        if record is None or not box.content_size.width:
            return
        is_running = record.state is RunState.RUNNING
        left = left_s(record, self.lab.now()) if is_running else None
        lines = meter_lines(record, self.reading.machine, box.content_size.width, left)
        box.update(content(lines))

    def _follow_log(self) -> None:
        record = self._selected()
        if record is not None and self.is_current and not self._is_paused:
            is_open = record.state is RunState.RUNNING
            if is_open and self.query_one(LogView).is_following:
                self.reading.look_at_log()

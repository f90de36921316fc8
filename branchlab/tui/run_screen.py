"""One run: its facts, curves, metrics, environment, pictures and events above its log, in which one can look for text."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from branchlab.domain import RunRecord, RunState
from branchlab.lab.project import Project
from branchlab.lab.run_curves import loss_of
from branchlab.lab.run_pairs import RunPairs
from branchlab.lab.runs import RunDetails, details_of
from branchlab.tui import keys, screen_keys
from branchlab.tui.about_runs import AboutRuns
from branchlab.tui.asking import Answer
from branchlab.tui.filter_line import FilterLine
from branchlab.tui.frame import WIDE
from branchlab.tui.line_view import LineView
from branchlab.tui.log_view import LogView
from branchlab.tui.looks import Line, Look, content, cut
from branchlab.tui.meters import meter_lines
from branchlab.tui.picture_lines import drawn_pictures
from branchlab.tui.run_charts import chart_lines
from branchlab.tui.run_facts import (
    FACT_INDENT,
    environment_lines,
    event_lines,
    fact_lines,
    head_line,
    metric_lines,
    picture_lines,
)
from branchlab.tui.views import Snapshot
from branchlab.tui.wrapping import wrapped

_LOG_EVERY_S = 0.5
_READING: Line = (("reading…", Look.DIM),)


class View(StrEnum):
    """What stands above the log; ``t`` goes through them."""

    FACTS = "facts"
    CURVES = "curves"
    METRICS = "metrics"
    ENVIRONMENT = "environment"
    PICTURES = "pictures"
    EVENTS = "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What was read of a run, and main's run beside it."""

    details: RunDetails
    beside: RunRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """The pictures of a run as lines."""

    run_id: str
    lines: tuple[Line | Strip, ...]


class RunScreen(AboutRuns):
    """One run, live, whoever started it."""

    DEFAULT_CSS = """
    RunScreen #head, RunScreen #views { padding: 0 1; }
    RunScreen #upper { height: 1fr; min-height: 4; }
    RunScreen #lines { width: 1fr; height: 100%; }
    RunScreen #chart { width: 1fr; height: 100%; padding: 0 1; display: none; }
    RunScreen #meters { width: 30; height: 100%; padding: 0 1; display: none;
        border-left: solid $foreground 35%; }
    RunScreen #log { height: 1fr; border-top: solid $foreground 35%; }
    RunScreen.-wide #chart { display: block; border-left: solid $foreground 35%; }
    RunScreen.-curves #chart { display: block; border-left: none; }
    RunScreen.-curves #lines { display: none; }
    RunScreen.-wide #meters { display: block; }
    RunScreen.-silent #log { height: 3; }
    RunScreen.-zoomed #upper { display: none; }
    RunScreen.-zoomed #log { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(screen_keys.RUN)
    KEYS = screen_keys.RUN
    NAME = "One run"
    AUTO_FOCUS = "#log"
    LOG_BYTES = 16 << 20

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id
        self._record: RunRecord | None = None
        self._facts: _Facts | None = None
        self._read_for: Hashable = None
        self._pictures: tuple[Line | Strip, ...] = ()
        self._pictures_for: Hashable = None
        self._is_gone = False
        self._shown = View.FACTS

    def body(self) -> Iterable[Widget]:
        yield Static(id="head", classes="line", markup=False)
        yield Static(id="views", classes="line", markup=False)
        yield Horizontal(
            LineView(id="lines"),
            Static(id="chart", markup=False),
            Static(id="meters", markup=False),
            id="upper",
        )
        yield FilterLine()
        yield LogView(id="log")

    def on_mount(self) -> None:
        memory = self.lab.memory
        self.recall_chart()
        self._turn_to(View(memory.text("run.view", View.FACTS, among=frozenset(View))))
        self.reading.turn_to(self._run_id)
        self.set_interval(_LOG_EVERY_S, self._follow_log)

    def on_screen_resume(self) -> None:
        # What came while another screen was seen went there.
        self._read_for = self._pictures_for = None

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.show_header(snapshot)
        self.show_warnings(snapshot.status.warnings)
        found = next((one for one in snapshot.records if one.run.id == self._run_id), None)
        self._is_gone = found is None
        record = self._record = found or self._record
        if record is None:
            said = f"there is no run {self._run_id}; Esc goes back"
            self.query_one("#head", Static).update(content([((said, Look.BAD),)]))
            self.query_one(LogView).clear("")
            return
        # Events of a long run are many megabytes: they are read again once an epoch, unless they are what is shown.
        step = record.step if self._shown is View.EVENTS else 0
        stamp = (record.attempts, record.state, record.epoch, step)
        if stamp != self._read_for and not self._is_gone:
            self._read_for = stamp
            self._read(record, snapshot, stamp)
        self._look()
        self._draw()

    def show_answer(self, answer: Answer) -> None:
        super().show_answer(answer)
        value = answer.value
        if isinstance(value, _Facts) and value.details.record.run.id == self._run_id:
            self._facts = value
            self._look()
            self._draw()
        elif isinstance(value, _Drawn) and value.run_id == self._run_id:
            self._pictures = value.lines
            self._draw()
        elif self.reading.take(answer, self.query_one(LogView)):
            log = self.query_one(LogView)
            self.set_class(log.is_read and not log.num_lines, "-silent")
            self._draw()

    def on_log_view_following(self) -> None:
        self._draw_views()

    def filter_changed(self) -> None:
        self.query_one(LogView).find(self.wanted)
        self._draw_views()

    def draw_curves(self, *, is_other: bool) -> None:
        if is_other:
            self._look()
        self._draw()

    def action_back(self) -> None:
        """Give up what is looked for, then the zoom, then the screen."""
        if self.clear_filter():
            return
        if self.has_class("-zoomed"):
            self.action_zoom_log()
        else:
            self.lab.pop_screen()

    def action_refresh(self) -> None:
        self._read_for = None
        super().action_refresh()

    def action_find_next(self, by: int) -> None:
        self.query_one(LogView).find_next(by)
        self._draw_views()

    def action_view(self) -> None:
        views = list(View)
        self._turn_to(views[(views.index(self._shown) + 1) % len(views)])

    def action_environment(self) -> None:
        self._turn_to(View.FACTS if self._shown is View.ENVIRONMENT else View.ENVIRONMENT)

    def action_zoom_log(self) -> None:
        self.toggle_class("-zoomed")
        self.query_one(LogView).focus()
        self._draw_views()

    def chosen_records(self) -> Sequence[RunRecord]:
        return [self._record] if self._record is not None else []

    def copied(self) -> str | None:
        return self._run_id

    def equivalent(self) -> str:
        verb = "logs" if self.has_class("-zoomed") else "show"
        return f"branchlab {verb} {self._run_id}"

    def _read(self, record: RunRecord, snapshot: Snapshot, stamp: Hashable) -> None:
        records, main = snapshot.records, snapshot.status.overview.main.name

        def read(project: Project) -> _Facts:
            pairs = RunPairs()
            pairs.look(records, main=main)
            details = details_of(project, record, num_log_lines=0)
            return _Facts(details=details, beside=pairs.of(record))

        self.lab.ask("run-facts", (record.run.id, stamp), read)

    def _look(self) -> None:
        """Ask for what the chart and the meters show."""
        if self._record is not None and self._facts is not None:
            curves = self.reading.curves
            names = curves.own.names if curves is not None else self._record.metrics
            wanted = dict.fromkeys((loss_of(names) or "train/loss", self.chart_metric()))
            self.reading.look(self._record, self._facts.beside, list(wanted), self.chart.axis)

    def _turn_to(self, view: View) -> None:
        self._shown = view
        self.lab.memory.keep("run.view", view)
        self.set_class(view is View.CURVES, "-curves")
        self.query_one(LineView).show([_READING], is_new=True)
        self._draw()
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if self._record is None:
            return
        now = self.lab.now()
        head = head_line(self._record, now, is_gone=self._is_gone)
        self.query_one("#head", Static).update(content([cut(head, self.size.width - 2)]))
        self._draw_views()
        if self._facts is not None and self._shown is not View.CURVES:
            self._draw_lines(self._facts)
        box = self.query_one("#chart", Static)
        width, height = box.content_size.width, box.content_size.height
        if width and height and self.reading.curves is not None:
            lines = chart_lines(
                self.reading.curves,
                self.chart_metric(),
                self.chart,
                width=width,
                height=height,
                notice=self._record.reason,
            )
            box.update(content(lines))
        meters = self.query_one("#meters", Static)
        if meters.content_size.width and self.size.width >= WIDE:
            width = meters.content_size.width
            meters.update(content(meter_lines(self._record, self.reading.machine, width)))

    def _draw_lines(self, facts: _Facts) -> None:
        place = self.query_one(LineView)
        lines = [
            part
            for line in self._lines(facts)
            for part in wrapped(line, place.room, indent=FACT_INDENT)
        ]
        drawn: Sequence[Line | Strip] = ()
        if self._shown is View.PICTURES and facts.details.pictures:
            self._ask_for_pictures(facts, place.room)
            drawn = self._pictures or [_READING]
        place.show([*lines, *drawn])

    def _ask_for_pictures(self, facts: _Facts, width: int) -> None:
        record = facts.details.record
        key = (record.run.id, facts.details.pictures, width)
        if key == self._pictures_for:
            return
        self._pictures_for = key

        def read(project: Project) -> _Drawn:
            from branchlab.lab.pictures import pictures_of_run

            found = pictures_of_run(project, record)
            return _Drawn(run_id=record.run.id, lines=drawn_pictures(found, width))

        self.lab.ask("run-pictures", key, read)

    def _lines(self, facts: _Facts) -> list[Line]:
        record = self._record or facts.details.record
        details, snapshot = replace(facts.details, record=record), self.lab.snapshot
        match self._shown:
            case View.METRICS:
                return metric_lines(record, facts.beside, self.lab.project.config.run.metric)
            case View.ENVIRONMENT:
                return environment_lines(details)
            case View.PICTURES:
                return picture_lines(details.pictures)
            case View.EVENTS:
                return event_lines(details.events)
            case _:
                names = _branch_names(snapshot) if snapshot is not None else frozenset()
                return fact_lines(details, has_branch=details.record.run.branch in names)

    def _draw_views(self) -> None:
        """Say which view is shown, and what is looked for in the log."""
        line: Line = ()
        for view in View:
            is_here = view is self._shown
            text = f"[{view}]" if is_here else f" {view} "
            line = (*line, (text, Look.STRONG if is_here else Look.DIM))
        log = self.query_one(LogView)
        said = log.found_text()
        if said:
            line = ((f"/{self.wanted}  {said}   ", Look.WARN), *line)
        state = "" if log.is_following else "stands, . follows  "
        self.query_one("#views", Static).update(content([cut(line, self.size.width - 2)]))
        counted = f"{'last ' if log.is_left_out else ''}{log.num_lines:,} lines"
        self.show_place(((state, Look.WARN), (counted, Look.DIM)))

    def _follow_log(self) -> None:
        is_running = self._record is not None and self._record.state is RunState.RUNNING
        if is_running and self.is_current:
            self.reading.look_at_log()


def _branch_names(snapshot: Snapshot) -> frozenset[str]:
    overview = snapshot.status.overview
    names = {branch.standing.branch.name for branch in snapshot.status.branches}
    reference = {overview.reference.name} if overview.reference is not None else set()
    return frozenset({overview.main.name, *names, *reference})

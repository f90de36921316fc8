"""One run: its plan, how it went, and the end of its log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Log, Static

from branchlab.domain import Scale
from branchlab.lab.runs import RunDetails
from branchlab.lab.words import duration, figure, progress_text, usage_text
from branchlab.terminal_text import safe_log_line
from branchlab.tui import keys
from branchlab.tui.frame import LabScreen
from branchlab.tui.looks import Line, Look, content, state_piece
from branchlab.tui.messages import RunRead
from branchlab.tui.views import Snapshot

NUM_LOG_LINES = 1000
_METRICS_MAX = 8


class RunScreen(LabScreen):
    """The facts of a run above its log."""

    DEFAULT_CSS = """
    RunScreen #facts { height: auto; max-height: 12; padding: 0 1; }
    RunScreen Log { height: 1fr; border-top: solid $panel-lighten-2; background: $background;
        scrollbar-size: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings(keys.RUN),
        ("j", "scroll_log('down')"),
        ("k", "scroll_log('up')"),
        ("ctrl+d", "scroll_log('page_down')"),
        ("ctrl+u", "scroll_log('page_up')"),
        ("g", "scroll_log('home')"),
        ("G", "scroll_log('end')"),
    ]
    KEYS = keys.RUN
    NAME = "One run"
    AUTO_FOCUS = "Log"

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id
        self._details: RunDetails | None = None
        self._lines: list[str] = []

    def body(self) -> Iterable[Widget]:
        yield Static(content([(("reading…", Look.DIM),)]), id="facts", markup=False)
        yield Log(auto_scroll=True)

    def on_mount(self) -> None:
        self.set_interval(1.0, self._read_again)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.show_header(snapshot)
        self.show_place(((self._run_id, Look.LIVE),))
        self.show_warnings(snapshot.status.warnings)
        if self._details is None:
            self.lab.read_run(self._run_id)

    def show_run(self, read: RunRead) -> None:
        if read.details.record.run.id != self._run_id:
            return
        self._details = read.details
        self.query_one("#facts", Static).update(
            content(run_lines(read.details, self.lab.project.config.run.metric))
        )
        self._draw_log([safe_log_line(line) for line in read.details.log_tail])

    def action_back(self) -> None:
        self.lab.pop_screen()

    def action_refresh(self) -> None:
        self.lab.read_run(self._run_id)

    def chosen_runs(self) -> tuple[str, ...]:
        return (self._run_id,)

    def equivalent(self) -> str:
        return f"branchlab show {self._run_id}"

    def action_scroll_log(self, how: str) -> None:
        getattr(self.query_one(Log), f"scroll_{how}")(animate=False)

    def copied(self) -> str | None:
        return self._run_id

    def _read_again(self) -> None:
        is_open = self._details is None or not self._details.record.state.is_over
        if self.is_current and is_open:
            self.lab.read_run(self._run_id)

    def _draw_log(self, lines: list[str]) -> None:
        """Append what is new; only a window that has slid is written anew."""
        log = self.query_one(Log)
        num_old = len(self._lines)
        if not lines:
            lines = ["(the log is empty)"]
        is_at_end = log.is_vertical_scroll_end
        if not num_old or lines[:num_old] != self._lines:
            log.clear()
            num_old = 0
        new = lines[num_old:]
        if new:
            log.write("".join(f"{line}\n" for line in new), scroll_end=is_at_end)
        self._lines = lines


def run_lines(details: RunDetails, metric: str) -> list[Line]:
    """Return the facts of a run."""
    record, run = details.record, details.record.run
    state, look = state_piece(record.state)
    part = f" ({run.sample.fraction:g} of the training set)" if run.scale is Scale.SAMPLE else ""
    speed = f", {record.images_per_s:,.0f} images/s" if record.images_per_s else ""
    first = [name for name in (metric,) if name in record.metrics]
    names = [*first, *sorted(name for name in record.metrics if name != metric)]
    metrics = "  ".join(f"{name} {figure(record.metrics[name])}" for name in names[:_METRICS_MAX])
    lines: list[Line] = [
        ((run.id, Look.STRONG), (f"  {state}", look)),
        ((record.reason, look),),
        _fact("branch", f"{run.branch} at {run.commit[:10]}, seed {run.seed}, {run.scale}{part}"),
        *([_fact("command", run.script.line)] if run.script is not None else []),
        _fact("flags", json.dumps(dict(run.flags)) if run.flags else "none"),
        _fact(
            "progress",
            f"{progress_text(record)}, attempt {record.attempts}, {duration(record.duration_s)}{speed}, on {run.device}",
        ),
        _fact("usage", usage_text(record.usage) or "not sampled yet"),
        _fact("metrics", metrics or "none yet"),
        _fact("folder", str(details.folder)),
    ]
    return [line for line in lines if line != (("", look),)]


def _fact(name: str, value: str) -> Line:
    return (f"{name:9} ", Look.DIM), (value, Look.PLAIN)

"""The commands that were carried out from here, with what each printed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Log

from branchlab.lab.columns import Column
from branchlab.lab.words import duration
from branchlab.terminal_text import safe_log_line
from branchlab.tui import keys, screen_keys
from branchlab.tui.frame import LabScreen
from branchlab.tui.jobs import Job
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Look, Piece
from branchlab.tui.rows import Row
from branchlab.tui.views import Snapshot

_EVERY_S = 0.5
_COLUMNS = (
    Column(title="AT"),
    Column(title="STATE"),
    Column(title="TIME", is_right=True, rank=1),
    Column(title="COMMAND", width_min=30),
    Column(title="SAID", width_min=0, rank=2),
)


class CommandsScreen(LabScreen):
    """A list of commands, the latest first, and below it what the selected one printed."""

    DEFAULT_CSS = """
    CommandsScreen LineTable { height: 30%; min-height: 4; }
    CommandsScreen Log { height: 1fr; border-top: solid $foreground 35%; background: $background;
        scrollbar-size: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(screen_keys.COMMANDS)
    KEYS = screen_keys.COMMANDS
    NAME = "Commands"
    AUTO_FOCUS = "LineTable"

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[str | None, list[str]] = (None, [])
        self._whole: str | None = None

    def body(self) -> Iterable[Widget]:
        yield LineTable(id="jobs")
        yield Log(auto_scroll=True)

    def on_mount(self) -> None:
        self.set_interval(_EVERY_S, self._draw)
        self._draw()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.show_header(snapshot)
        self.show_warnings(snapshot.status.warnings)

    def on_line_table_selected(self) -> None:
        self._draw_output()

    def action_back(self) -> None:
        self.lab.pop_screen()

    def action_offer(self, verb: str) -> None:
        job = self._selected()
        if job is not None and not job.is_over:
            job.interrupt()
            self.lab.say(f"{job.command.text}: asked to end")
        else:
            self.lab.say("it is over")

    def copied(self) -> str | None:
        job = self._selected()
        return job.command.text if job else None

    def _selected(self) -> Job | None:
        number = self.query_one(LineTable).selected
        return next((job for job in self.lab.jobs if str(job.number) == number), None)

    def _draw(self) -> None:
        if not self.is_current:
            return
        rows = [_row(job, self.lab) for job in reversed(self.lab.jobs)]
        notice = "" if rows else "nothing was carried out yet; : lists what can be done"
        self.query_one(LineTable).show(_COLUMNS, rows, notice=notice)
        self._draw_output()

    def _draw_output(self) -> None:
        job = self._selected()
        if job is None:
            return
        key = str(job.number)
        if self._whole == key:
            return
        # Asked before the lines are read, which may be the last ones then.
        is_whole = job.is_over
        lines = [safe_log_line(line) for line in job.lines()]
        log, (shown, old) = self.query_one(Log), self._shown
        if shown != key or lines[: len(old)] != old:
            log.clear()
            old = []
        if lines[len(old) :]:
            log.write("".join(f"{line}\n" for line in lines[len(old) :]))
        self._shown, self._whole = (key, lines), key if is_whole else None


def _row(job: Job, lab: object) -> Row:
    state: Piece = ("● running", Look.LIVE)
    if job.is_over:
        state = ("✓ done", Look.GOOD) if job.code == 0 else (f"✗ exit {job.code}", Look.BAD)
    end = job.ended_at or lab.clock()  # type: ignore[attr-defined]
    took = duration((end - job.started_at).total_seconds())
    return Row(
        key=str(job.number),
        cells=(
            ((f"{job.started_at.astimezone():%H:%M:%S}", Look.DIM),),
            (state,),
            ((took, Look.DIM),),
            ((job.command.text, Look.PLAIN),),
            ((job.said, Look.DIM),),
        ),
    )

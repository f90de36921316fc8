"""What has happened to experiments, in the order of time, failed ideas too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from branchlab.lab.columns import Column
from branchlab.lab.journal import Journal, journal
from branchlab.tui import keys
from branchlab.tui.asking import Answer
from branchlab.tui.frame import LabScreen
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Look
from branchlab.tui.rows import Row
from branchlab.tui.tabs import Place
from branchlab.tui.views import Snapshot

_COLUMNS = (
    Column(title="AT"),
    Column(title="EXPERIMENT", width_min=12),
    Column(title="WHAT"),
    Column(title="", width_min=20),
)


class JournalScreen(LabScreen):
    """The journal, the latest first."""

    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.JOURNAL)
    KEYS = keys.JOURNAL
    NAME = "Journal"
    PLACE = Place.JOURNAL
    AUTO_FOCUS = "LineTable"

    def body(self) -> Iterable[Widget]:
        yield LineTable(id="entries")

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.show_header(snapshot)
        self.show_place()
        self.show_warnings(snapshot.status.warnings)
        self.lab.ask("journal", snapshot.read_at, journal)

    def show_answer(self, answer: Answer) -> None:
        if answer.slot == "journal" and isinstance(answer.value, Journal):
            rows = [
                Row(
                    key=str(number),
                    cells=(
                        ((f"{one.at.astimezone():%d %b %H:%M}", Look.DIM),),
                        ((one.experiment, Look.PLAIN),),
                        ((str(one.what), Look.LIVE),),
                        ((one.text, Look.PLAIN),),
                    ),
                )
                for number, one in enumerate(answer.value.entries)
            ]
            self.query_one(LineTable).show(_COLUMNS, rows[::-1])

    def equivalent(self) -> str:
        return "branchlab log"

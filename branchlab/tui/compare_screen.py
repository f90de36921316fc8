"""Branches side by side: curves, verdicts, slices, what differs in their code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from branchlab.lab.judge import Comparison, compare
from branchlab.tui import keys
from branchlab.tui.asking import Answer
from branchlab.tui.frame import LabScreen
from branchlab.tui.looks import Look, content
from branchlab.tui.tabs import Place
from branchlab.tui.views import Snapshot


class CompareScreen(LabScreen):
    """Branches side by side."""

    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.COMPARE)
    KEYS = keys.COMPARE
    NAME = "Compare"
    PLACE = Place.COMPARE

    def body(self) -> Iterable[Widget]:
        yield Static(id="table", markup=False)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.show_header(snapshot)
        self.show_place()
        self.show_warnings(snapshot.status.warnings)
        self.lab.ask("compare", snapshot.read_at, compare)

    def show_answer(self, answer: Answer) -> None:
        if answer.slot == "compare" and isinstance(answer.value, Comparison):
            lines = [((str(one.subject.branch), Look.PLAIN),) for one in answer.value.judged]
            self.query_one("#table", Static).update(content(lines))

    def equivalent(self) -> str:
        return "branchlab compare"

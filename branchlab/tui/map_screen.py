"""What experiments grew from and tell about each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from branchlab.lab.relations import ExperimentMap, experiment_map
from branchlab.tui import keys
from branchlab.tui.asking import Answer
from branchlab.tui.frame import LabScreen
from branchlab.tui.looks import Look, content
from branchlab.tui.tabs import Place
from branchlab.tui.views import Snapshot


class MapScreen(LabScreen):
    """The map of experiments."""

    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.MAP)
    KEYS = keys.MAP
    NAME = "Map"
    PLACE = Place.MAP

    def body(self) -> Iterable[Widget]:
        yield Static(id="map", markup=False)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self.show_header(snapshot)
        self.show_place()
        self.show_warnings(snapshot.status.warnings)
        self.lab.ask("map", snapshot.read_at, experiment_map)

    def show_answer(self, answer: Answer) -> None:
        if answer.slot == "map" and isinstance(answer.value, ExperimentMap):
            lines = [((node.name, Look.PLAIN),) for node in answer.value.nodes]
            self.query_one("#map", Static).update(content(lines))

    def equivalent(self) -> str:
        return "branchlab map"

"""What experiments grew from and tell about each other."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from branchlab.tui import keys, screen_keys
from branchlab.tui.asking import Answer
from branchlab.tui.filter_line import FilterLine
from branchlab.tui.lab_key import lab_key
from branchlab.tui.line_table import LineTable
from branchlab.tui.line_view import LineView
from branchlab.tui.looks import Line, Look, Piece
from branchlab.tui.map_lines import (
    MAIN,
    MapView,
    fates_text,
    map_columns,
    map_rows,
    relation_lines,
)
from branchlab.tui.story_screen import StoryScreen
from branchlab.tui.tabs import Place
from branchlab.tui.views import Snapshot, branch_views

if TYPE_CHECKING:
    from branchlab.lab.project import Project
    from branchlab.lab.relations import ExperimentMap


class MapScreen(StoryScreen):
    """The map of experiments, as a tree or by what has become of them."""

    DEFAULT_CSS = """
    MapScreen #middle { height: 1fr; layout: vertical; }
    MapScreen #told { height: 7; border-top: solid $foreground 35%; }
    MapScreen.-low #told { height: 4; }
    MapScreen.-wide #middle { layout: horizontal; }
    MapScreen.-wide #map { width: 1fr; height: 100%; }
    MapScreen.-wide #told { width: 40%; max-width: 64; height: 100%; border-top: none;
        border-left: solid $foreground 35%; }
    MapScreen.-zoomed #map { display: none; }
    MapScreen.-zoomed #told { width: 100%; max-width: 100%; height: 100%; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(screen_keys.MAP)
    KEYS = screen_keys.MAP
    NAME = "Map"
    PLACE = Place.MAP
    AUTO_FOCUS = "#map"

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: Snapshot | None = None
        self._found: ExperimentMap | None = None
        self._asked: Hashable = None
        self._failed = ""
        self._view = MapView.TREE
        self._told_about: str | None = None

    def body(self) -> Iterable[Widget]:
        yield Container(LineTable(id="map"), LineView(id="told"), id="middle")
        yield FilterLine()

    def on_mount(self) -> None:
        kept = self.lab.memory.text("map.view", MapView.TREE, among=frozenset(MapView))
        self._view = MapView(kept)
        self.query_one(FilterLine).set_text(self.lab.memory.text("map.filter"))
        self.query_one(LineTable).show((), (), notice="reading the map…")
        self.show_header(None)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.views = {view.name: view for view in branch_views(snapshot)}
        self._ask(snapshot)
        self._draw()

    def show_answer(self, answer: Answer) -> None:
        from branchlab.lab.relations import ExperimentMap

        if answer.slot == "map" and answer.key == self._asked:
            self._failed = answer.failed
            if isinstance(answer.value, ExperimentMap):
                self._found = answer.value
            self._draw()

    def filter_changed(self) -> None:
        self.lab.memory.keep("map.filter", self.wanted)
        self._draw()

    def on_line_table_selected(self) -> None:
        self.draw_text()
        self.show_said()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self._open(event.key)

    def action_open(self) -> None:
        key = self.query_one(LineTable).selected
        if key is not None:
            self._open(key)

    def action_view(self) -> None:
        order = list(MapView)
        self._view = order[(order.index(self._view) + 1) % len(order)]
        self.lab.memory.keep("map.view", self._view)
        self._draw()

    def copied(self) -> str | None:
        return self.branch()

    def equivalent(self) -> str:
        key = self.query_one(LineTable).selected
        return f"branchlab map {shlex.quote(key)}" if key else "branchlab map"

    def branch(self) -> str | None:
        key = self.query_one(LineTable).selected
        if self._found is None or key is None:
            return None
        if key == MAIN:
            return self._found.main
        return next((node.branch for node in self._found.nodes if node.name == key), None)

    def _open(self, key: str) -> None:
        name = self.branch()
        if name is not None:
            self.lab.open_branch(name)

    def _ask(self, snapshot: Snapshot) -> None:
        key = lab_key(snapshot)
        if key == self._asked:
            return
        self._asked = key

        def read(project: Project) -> ExperimentMap:
            from branchlab.lab.relations import experiment_map

            return experiment_map(project)

        self.lab.ask("map", key, read)

    def _draw(self) -> None:
        snapshot, found, wanted = self._snapshot, self._found, self.wanted
        if snapshot is None:
            return
        complaints = found.complaints if found is not None else ()
        self.show_warnings([*snapshot.status.warnings, *complaints])
        self.show_header(snapshot)
        right: list[Piece] = [(f"[/{wanted}]  ", Look.WARN)] if wanted else []
        table = self.query_one(LineTable)
        if found is None:
            table.show((), (), notice=self._failed or "reading the map…")
        else:
            rows = map_rows(found, self._view, wanted)
            notice = self._failed or _notice(found, rows[1:], wanted)
            table.show(map_columns(found.metric), rows, num_pinned=1, notice=notice)
            counted = f"{len(rows) - 1} of " if wanted else ""
            right.append((f"{self._view} · {counted}{fates_text(found.nodes)}", Look.DIM))
        self.show_place(tuple(right))
        self.draw_text()

    def draw_text(self) -> None:
        key, pane = self.query_one(LineTable).selected, self.query_one(LineView)
        lines: list[Line] = []
        if self._found is not None and key is not None:
            lines = relation_lines(self._found, key, pane.room)
        is_new, self._told_about = key != self._told_about, key
        pane.show(lines, is_new=is_new)


def _notice(found: ExperimentMap, rows: Sequence[object], wanted: str) -> str:
    if not found.nodes:
        return "no experiment yet; start one: branchlab new-exp NAME"
    return f"no experiment has '{wanted}'; Esc clears the filter" if not rows else ""

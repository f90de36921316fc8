"""Branches side by side: curves, verdicts, slices, what differs in their runs and their code."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from branchlab.domain import Scale
from branchlab.tui import keys, screen_keys
from branchlab.tui.asking import Answer
from branchlab.tui.chart_view import ChartView, chart_height, chart_lines, keep_view, kept_view
from branchlab.tui.chooser import ChooserScreen
from branchlab.tui.compare_choice import (
    CHOICE_COLUMNS,
    MEMBERS_MAX,
    Choice,
    SideBySide,
    choice_row,
    is_needed,
    keep_choice,
    kept_choice,
    next_against,
    side_by_side,
)
from branchlab.tui.compare_lines import (
    code_lines,
    fact_lines,
    goal_text,
    said_lines,
    slice_lines,
    verdict_columns,
    verdict_rows,
)
from branchlab.tui.detail import merge_line
from branchlab.tui.frame import WIDE, LabScreen
from branchlab.tui.lab_key import lab_key
from branchlab.tui.line_table import LineTable
from branchlab.tui.line_view import LineView
from branchlab.tui.looks import Look, Piece, content
from branchlab.tui.tabs import Place
from branchlab.tui.verbs import VERBS, command_of
from branchlab.tui.views import BranchView, Role, Snapshot, branch_views
from branchlab.tui.wrapping import beside, blocks, wrapped

if TYPE_CHECKING:
    from branchlab.lab.line_up import LineUp
    from branchlab.lab.own_changes import OwnChanges
    from branchlab.lab.project import Project

_TWO_CHARTS = 140


class View(StrEnum):
    """What is shown; ``t`` goes through them."""

    BOTH = "both"
    CURVES = "curves"
    TABLE = "table"


class CompareScreen(LabScreen):
    """Two to six branches side by side: those that are marked, else the best few, beside main."""

    DEFAULT_CSS = """
    CompareScreen #curves { width: 100%; padding: 0 1; }
    CompareScreen #verdicts { height: 4; border-top: solid $foreground 35%; }
    CompareScreen #below { height: 1fr; border-top: solid $foreground 35%; }
    CompareScreen #more { width: 1fr; height: 100%; }
    CompareScreen #beside { display: none; width: 1fr; height: 100%; border-left: solid $foreground 35%; }
    CompareScreen.-wide #beside { display: block; }
    CompareScreen.-curves #verdicts, CompareScreen.-curves #below { display: none; }
    CompareScreen.-table #curves, CompareScreen.-zoomed #curves { display: none; }
    CompareScreen.-zoomed.-on-text #verdicts { display: none; }
    CompareScreen.-zoomed.-on-table #below { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(screen_keys.COMPARE)
    KEYS = screen_keys.COMPARE
    NAME = "Compare"
    PLACE = Place.COMPARE
    AUTO_FOCUS = "#verdicts"

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: Snapshot | None = None
        self._views: dict[str, BranchView] = {}
        self._found: LineUp | None = None
        self._code: OwnChanges | None = None
        self._asked: Hashable = None
        self._asked_code: Hashable = None
        self._failed = ""
        self._chart = ChartView()
        self._choice = Choice()
        self._now = SideBySide(base="", names=(), is_full=False)
        self._view = View.BOTH
        self._told_about = ""

    def body(self) -> Iterable[Widget]:
        yield Static(id="curves", markup=False)
        yield LineTable(id="verdicts")
        yield Horizontal(LineView(id="more"), LineView(id="beside"), id="below")

    def on_mount(self) -> None:
        memory = self.lab.memory
        self._choice = kept_choice(memory)
        self._view = View(memory.text("compare.view", View.BOTH, among=frozenset(View)))
        self._chart = kept_view(memory)
        self.query_one(LineTable).show((), (), notice="reading…")
        self.show_header(None)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._views = {view.name: view for view in branch_views(snapshot)}
        self.show_warnings(snapshot.status.warnings)
        self._ask()
        self._draw()

    def show_answer(self, answer: Answer) -> None:
        from branchlab.lab.line_up import LineUp
        from branchlab.lab.own_changes import OwnChanges

        if answer.slot == "compare" and answer.key == self._asked:
            self._failed = answer.failed
            if isinstance(answer.value, LineUp):
                self._found = answer.value
            self._draw()
        elif answer.slot == "compare code" and answer.key == self._asked_code:
            self._code = answer.value if isinstance(answer.value, OwnChanges) else None
            self._draw_text()

    def on_line_table_selected(self) -> None:
        self._draw_curves()
        self._draw_text()
        self.show_said()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self.lab.open_branch(event.key)

    def on_descendant_focus(self) -> None:
        self.set_class(isinstance(self.focused, LineTable), "-on-table")
        self.set_class(isinstance(self.focused, LineView), "-on-text")

    def action_open(self) -> None:
        self.query_one(LineTable).action_open()

    def action_add(self) -> None:
        """Choose another branch to stand beside these."""
        if self._now.is_full:
            self.lab.say(f"{MEMBERS_MAX} branches at most: d takes the selected one away")
            return
        shown = {*self._now.names, self._now.base}
        rows = [choice_row(view) for view in self._views.values() if view.name not in shown]

        def chosen(name: str | None) -> None:
            if name is not None:
                self._choose(replace(self._choice, names=(*self._now.names, name)))

        self.app.push_screen(ChooserScreen("Beside these", CHOICE_COLUMNS, rows), chosen)

    def action_take_away(self) -> None:
        name, names = self.query_one(LineTable).selected, self._now.names
        if name == self._now.base:
            self.lab.say("the others are held against it: b changes that")
        elif name in self._views and self._views[name].role is Role.MAIN:
            self.lab.say(f"{name} is always among them")
        elif name in names and not is_needed(name, self._now, self._views):
            left = tuple(one for one in names if one != name)
            self._choose(replace(self._choice, names=left))
        elif name in names:
            self.lab.say("one experiment has to stay: a adds another first")

    def action_against(self) -> None:
        """Hold the branches against the next one: main, the reference, then each of them."""
        if self._now.names:
            base = self._now.base
            own = (base,) if self._views[base].role is Role.EXPERIMENT else ()
            names = tuple(dict.fromkeys((*own, *self._now.names)))
            following = next_against(self._now, self._views)
            self._choose(replace(self._choice, names=names, against=following))

    def action_metric(self, by: int) -> None:
        if self._snapshot is not None:
            own, known = self._snapshot.status.metric, self._found.metrics if self._found else ()
            self._choose(self._choice.next_metric(known, own, by))

    def action_scale(self) -> None:
        self._choose(self._choice.next_scale())

    def action_smooth(self) -> None:
        self._look_at(self._chart.smoother())

    def action_axis(self) -> None:
        self._look_at(self._chart.over_next())
        self._ask()

    def action_closer(self, by: int) -> None:
        self._look_at(self._chart.closer(by))

    def action_pan(self, by: int) -> None:
        self._look_at(self._chart.panned(by))

    def action_view(self) -> None:
        order = list(View)
        self._view = order[(order.index(self._view) + 1) % len(order)]
        self.lab.memory.keep("compare.view", self._view)
        self.remove_class("-zoomed")
        self._draw()
        # What was hidden has lost the focus.
        self.call_after_refresh(self.query_one(LineTable).focus)

    def action_zoom(self) -> None:
        if self._view is not View.CURVES:
            self.toggle_class("-zoomed")
        self.call_after_refresh(self._draw)

    def action_back(self) -> None:
        self.remove_class("-zoomed")
        self._look_at(self._chart.whole())
        self.call_after_refresh(self._draw)

    def action_copy(self) -> None:
        """Copy the verdicts as a table in Markdown."""
        from branchlab.lab.line_up import comparison_markdown

        if self._found is None:
            self.lab.say("there is no table yet")
            return
        self.lab.copy_to_clipboard(comparison_markdown(self._found))
        self.lab.say("copied the table as Markdown")

    def action_offer(self, verb: str) -> None:
        """Offer the runs that give every seed a partner; all else as everywhere."""
        if verb != "pair":
            super().action_offer(verb)
            return
        unpaired = self._found.unpaired if self._found is not None else ()
        if not unpaired:
            self.lab.say("every seed has a partner; more of them: branchlab run B --seeds N")
            return
        answers = {"seeds": str(max(one.num_seeds for one in unpaired))}
        answers |= {"whole training set": "yes"} if self._choice.scale == Scale.FULL else {}
        names = [one.branch for one in unpaired]
        if self._views[self._now.base].role is not Role.MAIN:  # which is run beside them anyway
            names.append(self._now.base)
        self.lab.carry_out(command_of(VERBS["run-with"], names, answers))

    def chosen(self) -> BranchView | None:
        return self._views.get(self.query_one(LineTable).selected or "")

    def equivalent(self) -> str:
        snapshot = self._snapshot
        return (
            "branchlab compare" if snapshot is None else self._now.command(self._choice, snapshot)
        )

    def _choose(self, choice: Choice) -> None:
        if choice.names != self._choice.names and self.lab.marked:
            self.lab.marked = list(choice.names)
        self._choice = choice
        keep_choice(self.lab.memory, choice)
        self._ask()
        self._draw()

    def _ask(self) -> None:
        """Have the line-up read where anything that it rests on is another."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        now = self._now = side_by_side(snapshot, self._views, self._choice, self.lab.marked)
        base, names, axis = now.base, now.names, self._chart.unit
        metric, scale = self._choice.metric, self._choice.scale
        key = (lab_key(snapshot, live={base, *names}), names, base, metric, scale, axis)
        if not names or key == self._asked:
            return
        self._asked = key

        def read(project: Project) -> LineUp:
            from branchlab.lab.line_up import Axis, line_up

            chosen = Scale(scale) if scale else None
            return line_up(
                project, names, against=base, metric=metric, scale=chosen, axis=Axis(axis)
            )

        self.lab.ask("compare", key, read)

    def _ask_code(self, name: str) -> None:
        base = self._now.base
        if name not in self._views or name == base or base not in self._views:
            self._asked_code, self._code = None, None
            return
        key = (self._views[name].tip, self._views[base].tip, name, base)
        if key == self._asked_code:
            return
        self._asked_code, self._code = key, None

        def read(project: Project) -> OwnChanges:
            from branchlab.lab.own_changes import own_changes

            return own_changes(project, name, base)

        self.lab.ask("compare code", key, read)

    def _look_at(self, view: ChartView) -> None:
        self._chart = view
        keep_view(self.lab.memory, view)
        self._draw_curves()

    def _draw(self) -> None:
        if self._snapshot is None:
            return
        for view in View:
            self.set_class(self._view is view, f"-{view}")
        self._draw_top()
        self._draw_table()
        self._draw_curves()
        self._draw_text()
        self.show_said()

    def _draw_top(self) -> None:
        scale = self._choice.scale
        right: list[Piece] = [(f"against {self._now.base}", Look.LIVE)]
        if scale:
            right.append((f" · {scale}", Look.WARN))
        if self._found is not None:
            said = goal_text(self._found, with_metric=self.size.width >= WIDE)
            right.append((f" · {said}", Look.DIM))
        self.show_header(self._snapshot)
        self.show_place(tuple(right))

    def _draw_table(self) -> None:
        table = self.query_one("#verdicts", LineTable)
        found = self._found
        if found is None:
            none = "no experiment branch yet; start one: branchlab new-exp NAME"
            table.show((), (), notice=self._failed or ("reading…" if self._now.names else none))
            return
        width = max(12, min(60, self.size.width // 2 - 24))
        title, rows = verdict_rows(found, forest_width=width)
        notice = self._failed
        is_first, num_said = not table.rows, 2 if self._failed else 0
        table.show(verdict_columns(found, title), rows, notice=notice)
        if is_first and len(rows) > 1:
            table.select(rows[1].key)
        is_alone = self.has_class("-zoomed") and self.has_class("-on-table")
        table.styles.height = "1fr" if is_alone else len(rows) + 2 + num_said

    def _draw_curves(self) -> None:
        place, found = self.query_one("#curves", Static), self._found
        warnings = self._snapshot.status.warnings if self._snapshot is not None else ()
        num_rows = len(found.members) if found is not None else 0
        is_alone = self._view is View.CURVES
        height = chart_height(self.size.height - len(warnings), num_rows, is_alone=is_alone)
        place.styles.height = height
        if found is None or not height:
            place.update("")
            return
        order = [one.branch for one in found.members]
        chosen = self.query_one(LineTable).selected
        view = replace(self._chart, banded=frozenset({self._now.base, chosen or ""}))
        room = self.size.width - 2
        is_two = self.size.width >= _TWO_CHARTS and bool(found.beside)
        width = (room - 3) // 2 if is_two else room
        lines = chart_lines(
            found.comparison.metric, found.curves, order, view, width=width, height=height
        )
        if is_two:
            other = chart_lines(
                found.beside_metric, found.beside, order, view, width=width, height=height
            )
            lines = beside(lines, other, width + 3)
        place.update(content(lines))

    def _draw_text(self) -> None:
        found, name = self._found, self.query_one(LineTable).selected
        more, side = self.query_one("#more", LineView), self.query_one("#beside", LineView)
        if found is None or name is None:
            return
        self._ask_code(name)
        is_wide = self.size.width >= WIDE
        room, side_room = more.room, side.room if is_wide else more.room
        code = self._code if self._code is not None and self._code.branch == name else None
        merge = merge_line(self._views[name]) if name in self._views else ()
        merged = wrapped(merge, room, num_max=3) if merge else []
        told = blocks(said_lines(found, name, room), merged)
        facts = fact_lines(found, name, side_room)
        slices = slice_lines(found, name, room)
        changes = code_lines(code, side_room)
        is_new, self._told_about = self._told_about != name, name
        if is_wide:
            more.show(blocks(told, slices), is_new=is_new)
            side.show(blocks(facts, changes), is_new=is_new)
        else:
            more.show(blocks(told, facts, slices, changes), is_new=is_new)

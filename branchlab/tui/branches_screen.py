"""The overview: every branch, live, with a strip (or from 120 columns on a panel) about the selected one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from branchlab.lab.columns import Column
from branchlab.lab.next_of_branch import Step
from branchlab.lab.status import Status
from branchlab.tui import keys, screen_keys
from branchlab.tui.asking import Answer
from branchlab.tui.branch_chart import Drawn
from branchlab.tui.branch_curves import Curves, curves_key, reader_of
from branchlab.tui.branch_groups import heading_key, step_of_key
from branchlab.tui.branch_list import BranchList, list_line, notice_of
from branchlab.tui.branch_memory import Manner, keep, recalled
from branchlab.tui.branch_rows import SORT_WORDS, Sort, branch_columns
from branchlab.tui.columns_screen import ColumnsScreen
from branchlab.tui.detail import detail_lines, heading_lines, merge_lines
from branchlab.tui.filter_line import FilteredScreen, FilterLine
from branchlab.tui.frame import WIDE
from branchlab.tui.kept import KeptRows, rows_to_keep
from branchlab.tui.line_table import LineTable
from branchlab.tui.lines import Lines
from branchlab.tui.looks import Line, Look
from branchlab.tui.tabs import Place
from branchlab.tui.views import BranchView, Snapshot, branch_views

_NAMED_MAX = 8
_COLUMN_WORDS = {
    "main": "commits ahead of main, and behind it",
    "reference": "commits ahead of the reference, and behind it",
    "merge": "what a merge into main would do",
    "result": "mean over seeds",
    "difference": "difference from main",
    "interval": "of the difference",
    "curve": "the metric over the epochs",
    "verdict": "what the seeds say against main",
    "freshness": "whether results are of this tip",
    "hypotheses": "what the runs say of them",
    "back": "what it needs before it goes back",
    "runs": "done, running, failed",
    "age": "since the last commit",
    "note": "what else is to be known",
}
_ZOOMS = ("", "-no-detail", "-all-detail")


class BranchesScreen(FilteredScreen):
    """Main and the reference on top, then the experiments."""

    DEFAULT_CSS = """
    BranchesScreen #middle { height: 1fr; layout: vertical; }
    BranchesScreen #detail { height: 8; width: 100%; padding: 0 1; border-top: solid $foreground 35%; }
    BranchesScreen.-low #detail { height: 4; }
    BranchesScreen.-low #warnings { max-height: 2; }
    BranchesScreen.-wide #middle { layout: horizontal; }
    BranchesScreen.-wide #branches { width: 1fr; height: 100%; }
    BranchesScreen.-wide #detail { width: 35%; max-width: 72; height: 100%; border-top: none;
        border-left: solid $foreground 35%; }
    BranchesScreen.-no-detail #detail { display: none; }
    BranchesScreen.-all-detail #branches { display: none; }
    BranchesScreen.-all-detail #detail { width: 100%; max-width: 100%; height: 100%; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(screen_keys.BRANCHES)
    KEYS = screen_keys.BRANCHES
    NAME = "Branches"
    PLACE = Place.BRANCHES
    AUTO_FOCUS = "#branches"

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: Snapshot | None = None
        self._list = BranchList()
        self._manner = Manner()
        self._is_only_marked = False
        self._is_about_merge = False
        self._zoom = ""
        self._read_curves = reader_of()
        self._curves = Curves()
        self._curves_key: object = None
        self._curves_status: Status | None = None

    def body(self) -> Iterable[Widget]:
        middle = Container(LineTable(id="branches"), Lines(id="detail", is_fixed=True), id="middle")
        yield middle
        yield FilterLine("words, or: verdict:better !merge:conflict delta>1 age<3d")

    def on_mount(self) -> None:
        self._manner = recalled(self.lab.memory)
        table, kept = self.query_one(LineTable), self.lab.kept
        if kept is None:
            table.show((), (), notice="reading branches…")
        else:
            table.show(kept.columns, kept.rows, num_pinned=kept.num_pinned)
            self.show_warnings(kept.warnings)
        if self._manner.selected:
            table.select(self._manner.selected)
        self.query_one(FilterLine).set_text(self._manner.filter)
        self.show_header(None)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._list.update(branch_views(snapshot), self._curves.sparks, self.lab.now())
        # A branch that is gone takes its mark with it.
        self.lab.marked[:] = [name for name in self.lab.marked if name in self._list.views]
        self.show_warnings(snapshot.status.warnings)
        self._draw()
        key = curves_key(snapshot)
        if key != self._curves_key:
            # Held, so that the identity which the key is made of is nobody else's.
            self._curves_key, self._curves_status = key, snapshot.status
            self.lab.ask("branches.curves", key, self._read_curves(snapshot))

    def show_answer(self, answer: Answer) -> None:
        if answer.slot != "branches.curves":
            return
        if not isinstance(answer.value, Curves) or self._snapshot is None:
            self._curves_key = None
            return
        self._curves = answer.value
        self._list.update(branch_views(self._snapshot), self._curves.sparks, self.lab.now())
        self._draw()

    def show_said(self) -> None:
        super().show_said()
        said = self.lab.status_line()
        if self._snapshot is None and said and said[0][1] is Look.BAD:
            # Nothing was ever read: why, and what to do, stands where the branches would.
            self.query_one(LineTable).show((), (), notice=said[0][0])

    def on_line_table_selected(self, event: LineTable.Selected) -> None:
        self._change(replace(self._manner, selected=event.key), is_drawn=False)
        self._draw_detail()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        step = step_of_key(event.key)
        if step is None:
            self.lab.open_branch(event.key)
        else:
            self._fold(step, is_folded=step not in self._manner.folded)

    def on_line_table_header_clicked(self, event: LineTable.HeaderClicked) -> None:
        if event.column.id not in frozenset(Sort):
            self.lab.say(f"{event.column.title or 'this'} is no order")
            return
        sort = Sort(event.column.id)
        is_reversed = sort is self._manner.sort and not self._manner.is_reversed
        self._change(replace(self._manner, sort=sort, is_reversed=is_reversed))

    def filter_changed(self) -> None:
        self._change(replace(self._manner, filter=self.wanted))
        self.query_one(FilterLine).complain(self._list.filter.wrong)

    def action_back(self) -> None:
        """Undo one thing: the filter, the zoom, what is said of a merge, the marked ones alone."""
        if self.clear_filter():
            return
        if self._zoom:
            self._set_zoom("")
        elif self._is_about_merge:
            self.action_merge()
        elif self._is_only_marked:
            self.action_only_marked()

    def action_sort(self) -> None:
        order = list(Sort)
        sort = order[(order.index(self._manner.sort) + 1) % len(order)]
        self._change(replace(self._manner, sort=sort, is_reversed=False))
        self.lab.say(f"sorted by {SORT_WORDS[sort]}")

    def action_reverse(self) -> None:
        self._change(replace(self._manner, is_reversed=not self._manner.is_reversed))

    def action_group(self) -> None:
        self._change(replace(self._manner, is_grouped=not self._manner.is_grouped))

    def action_fold(self, is_folded: bool) -> None:  # noqa: FBT001  Textual calls it with what the binding says
        view, table = self.chosen(), self.query_one(LineTable)
        step = step_of_key(table.selected) or (view.next.step if view and view.next else None)
        if step is None or not self._manner.is_grouped:
            self.lab.say("there are no groups; t groups by what to do next")
            return
        self._fold(step, is_folded=is_folded)

    def action_mark(self) -> None:
        """Mark the selected branch and go on to the next, or all under a heading; where all are marked, none."""
        table, marked = self.query_one(LineTable), self.lab.marked
        view, step = self.chosen(), step_of_key(table.selected)
        names = [view.name] if view is not None else self._names_of(step)
        new = [name for name in names if name not in marked]
        marked[:] = [*marked, *new] if new else [name for name in marked if name not in names]
        if not marked:
            self._is_only_marked = False
        self._draw()
        if view is not None:
            table.action_move(1)

    def action_unmark(self) -> None:
        self.lab.marked.clear()
        self._is_only_marked = False
        self._draw()

    def action_only_marked(self) -> None:
        if not self.lab.marked and not self._is_only_marked:
            self.lab.say("no branch is marked; Space marks")
            return
        self._is_only_marked = not self._is_only_marked
        self._draw()

    def action_columns(self) -> None:
        def told(hidden: frozenset[str]) -> list[str]:
            self._change(replace(self._manner, hidden=hidden))
            return [column.id for column in self.query_one(LineTable).crowded]

        if self._snapshot is not None:
            self.app.push_screen(ColumnsScreen(self._columns(), _COLUMN_WORDS, told))

    async def action_versus(self) -> None:
        if not self.lab.marked:
            self.lab.marked.extend(self.chosen_branches()[:1])
            self._draw()
        await self.lab.go_to(Place.COMPARE)

    def action_diff(self) -> None:
        view = self.chosen()
        if view is not None:
            self.lab.open_branch(view.name)

    def action_merge(self) -> None:
        self._is_about_merge = not self._is_about_merge
        self._draw_detail()

    def action_zoom(self) -> None:
        self._set_zoom(_ZOOMS[(_ZOOMS.index(self._zoom) + 1) % len(_ZOOMS)])

    def action_open(self) -> None:
        self.query_one(LineTable).action_open()

    def rows_to_keep(self) -> KeptRows | None:
        """Return what the table shows, for the next start; None while a filter or marks hide some of it."""
        snapshot, table = self._snapshot, self.query_one(LineTable)
        if snapshot is None or self.wanted or self._is_only_marked:
            return None
        return rows_to_keep(table, warnings=snapshot.status.warnings, at=snapshot.read_at)

    def equivalent(self) -> str:
        names = self.lab.marked
        if not names and not self._list.filter.is_empty and len(self._list.kept) <= _NAMED_MAX:
            names = [view.name for view in self._list.kept]
        return shlex.join(["branchlab", "status", *names])

    def chosen(self) -> BranchView | None:
        return self._list.views.get(self.query_one(LineTable).selected or "")

    def chosen_branches(self) -> tuple[str, ...]:
        """Return the marked branches; else the selected one, or all under a heading that is selected."""
        if self.lab.marked:
            return tuple(self.lab.marked)
        named = self._names_of(step_of_key(self.query_one(LineTable).selected))
        return tuple(named) or super().chosen_branches()

    def _names_of(self, step: Step | None) -> list[str]:
        return [view.name for view in self._under(step)]

    def _under(self, step: Step | None) -> list[BranchView]:
        """Return the branches under a heading; none under none."""
        return [view for view in self._list.kept if view.next and view.next.step is step]

    def _change(self, manner: Manner, *, is_drawn: bool = True) -> None:
        self._manner = manner
        keep(self.lab.memory, manner)
        if is_drawn:
            self._draw()

    def _fold(self, step: Step, *, is_folded: bool) -> None:
        folded = self._manner.folded | {step} if is_folded else self._manner.folded - {step}
        if is_folded:
            self.query_one(LineTable).select(heading_key(step))
        self._change(replace(self._manner, folded=folded))

    def _set_zoom(self, zoom: str) -> None:
        self._zoom = zoom
        for one in _ZOOMS[1:]:
            self.set_class(one == zoom, one)
        self.call_after_refresh(self._draw_detail)

    def _columns(self) -> tuple[Column, ...]:
        assert self._snapshot is not None
        return branch_columns(
            self._snapshot.status.metric,
            self._manner.sort,
            is_reversed=self._manner.is_reversed,
            hidden=self._manner.hidden,
        )

    def _draw(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        table = self.query_one(LineTable)
        only = frozenset(self.lab.marked) if self._is_only_marked else None
        now, goal = self.lab.now(), snapshot.status.goal
        found = self._list.arrange(self._manner, goal, now, only=only)
        pinned = self._list.pinned
        table.show(
            self._columns(),
            [*pinned, *found.rows],
            num_pinned=len(pinned),
            notice=notice_of(self._list, self._manner.filter),
            measured=self._list.measured,
        )
        table.show_marked(self.lab.marked)
        self._draw_top(snapshot, found.num_shown)
        self._draw_detail()

    def _draw_top(self, snapshot: Snapshot, num_shown: int) -> None:
        num_all = len(self._list.views) - self.query_one(LineTable).num_pinned
        self.show_header(snapshot)
        self.show_place(
            list_line(
                self._list.filter,
                num_shown=num_shown,
                num_all=num_all,
                num_marked=len(self.lab.marked),
                is_only_marked=self._is_only_marked,
            )
        )
        self.show_said()

    def _draw_detail(self) -> None:
        place, snapshot = self.query_one("#detail", Lines), self._snapshot
        if snapshot is None:
            place.show(())
            return
        width = max(20, place.content_size.width)
        is_beside = self.size.width >= WIDE or self._zoom == "-all-detail"
        height = place.content_size.height if is_beside else 3 if self.has_class("-low") else 7
        view = self.chosen()
        if view is None:
            step = step_of_key(self.query_one(LineTable).selected)
            lines: list[Line] = []
            if step is not None:
                lines = heading_lines(step, self._under(step), width=width)
        elif self._is_about_merge:
            lines = merge_lines(view, width=width, height=height)
        else:
            lines = detail_lines(view, self._drawn(view, snapshot), width=width, height=height)
        place.show(lines)

    def _drawn(self, view: BranchView, snapshot: Snapshot) -> Drawn:
        main = snapshot.status.overview.main.name
        on_main = self._list.views.get(main)
        return Drawn(
            metric=snapshot.status.metric,
            curve=self._curves.by_branch.get(view.name),
            main=self._curves.by_branch.get(main) if view.is_beside_main else None,
            main_mean=on_main.mean if on_main is not None and view.is_beside_main else None,
        )

"""What the overview's table is made of, kept from one moment to the next.

Only branches that have changed are looked at again, the order is kept while no branch has, and cells are made for the rows
that one sees: with 10,000 branches a key is answered within 50 ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from branchlab.domain import Goal
from branchlab.tui.branch_filter import Filter, parse_filter, said_of
from branchlab.tui.branch_groups import Arranged, arranged
from branchlab.tui.branch_memory import Manner
from branchlab.tui.branch_rows import Spark, branch_cells, sorted_views
from branchlab.tui.looks import Line, Look, Piece
from branchlab.tui.rows import AnyRow
from branchlab.tui.views import BranchView, Role

_MEASURED_MAX, _LONGEST = 200, 20


class BranchRow:
    """One branch as a row; its cells, and all in which words are looked for, are made when that is first asked for."""

    __slots__ = ("_cells", "_now", "_said", "key", "spark", "view")
    is_heading = False

    def __init__(self, view: BranchView, spark: Spark | None, now: datetime) -> None:
        self.key = view.name
        self.view, self.spark, self._now = view, spark, now
        self._cells: tuple[Line, ...] | None = None
        self._said: str | None = None

    @property
    def cells(self) -> tuple[Line, ...]:
        if self._cells is None:
            self._cells = branch_cells(self.view, self._now, self.spark)
        return self._cells

    @property
    def said(self) -> str:
        if self._said is None:
            self._said = said_of(self.view)
        return self._said


class BranchList:
    """The branches of one moment, their rows, and those of them that are wanted.

    Attributes:
        views: By name: main, the reference, then the experiments.
        measured: Rows for the widths of the columns: all, or of very many some; the same object while no row has changed.
        kept: The experiments that the filter wants, in order.
    """

    def __init__(self) -> None:
        self.views: dict[str, BranchView] = {}
        self.measured: list[AnyRow] = []
        self.kept: list[BranchView] = []
        self.filter = Filter()
        self._rows: dict[str, BranchRow] = {}
        self._minute: object = None
        self._ordered: list[BranchView] = []
        self._ordered_by: object = None

    @property
    def experiments(self) -> list[BranchView]:
        return [view for view in self.views.values() if view.role is Role.EXPERIMENT]

    @property
    def pinned(self) -> list[AnyRow]:
        """The rows of main and of the reference."""
        return [
            self._rows[name]
            for name, view in self.views.items()
            if view.role is not Role.EXPERIMENT
        ]

    def update(
        self, views: Sequence[BranchView], sparks: Mapping[str, Spark], now: datetime
    ) -> None:
        """Take the branches as they are now."""
        minute = now.replace(second=0, microsecond=0)
        is_older = minute != self._minute  # the ages that stand in rows may be others
        before, rows, num_kept = self._rows, {}, 0
        for view in views:
            old, spark = before.get(view.name), sparks.get(view.name)
            is_kept = old is not None and old.view is view and not is_older and old.spark == spark
            if is_kept and old is not None:
                rows[view.name] = old
                num_kept += 1
            else:
                rows[view.name] = BranchRow(view, spark, now)
        self._minute = minute
        if num_kept == len(before) == len(views):
            return
        self._rows = rows
        if any(self.views.get(view.name) is not view for view in views) or len(views) != len(
            self.views
        ):
            self.views = {view.name: view for view in views}
            self._ordered_by = None
        self.measured = self._to_be_measured()

    def arrange(
        self,
        manner: Manner,
        goal: Goal,
        now: datetime,
        *,
        only: frozenset[str] | None = None,
    ) -> Arranged:
        """Return the rows of the experiments that are wanted; ``only`` leaves these alone of them."""
        if self.filter.text != manner.filter:
            self.filter = parse_filter(manner.filter, now)
        order = (manner.sort, manner.is_reversed, goal)
        if order != self._ordered_by:
            self._ordered = sorted_views(
                self.experiments, manner.sort, goal, is_reversed=manner.is_reversed
            )
            self._ordered_by = order
        wanted = self._ordered
        if not self.filter.is_empty:
            wanted = [view for view in wanted if self._is_wanted(view)]
        if only is not None:
            wanted = [view for view in wanted if view.name in only]
        self.kept = wanted
        return arranged(wanted, self._rows, is_grouped=manner.is_grouped, folded=manner.folded)

    def _is_wanted(self, view: BranchView) -> bool:
        said = self._rows[view.name].said if self.filter.words else ""
        return self.filter.wants(view, said)

    def _to_be_measured(self) -> list[AnyRow]:
        """Return all rows; of very many those with the longest names, and some from everywhere."""
        rows: list[AnyRow] = list(self._rows.values())
        if len(rows) <= _MEASURED_MAX:
            return rows
        step = -(-len(rows) // (_MEASURED_MAX - _LONGEST))
        longest = sorted(rows, key=lambda row: -len(row.key))[:_LONGEST]
        return list(dict.fromkeys([*rows[:3], *longest, *rows[::step]]))


def list_line(
    wanted: Filter,
    *,
    num_shown: int,
    num_all: int,
    num_marked: int,
    is_only_marked: bool,
) -> Line:
    """Return what the list shows of what there is: how many, marks, filter."""
    is_part = num_shown != num_all
    all_of_them = f"{num_all} branch{'es' if num_all != 1 else ''}"
    counted = f"{num_shown} of {all_of_them}" if is_part else all_of_them
    right: list[Piece] = [(counted, Look.DIM)]
    if num_marked:
        only = " alone" if is_only_marked else ""
        right.append((f"  * {num_marked} marked{only}", Look.MARKED))
    if wanted.text:
        # Last, for what is too long is cut there.
        right.append((f"  {'▲ ' if wanted.wrong else ''}[/{wanted.text}]", Look.WARN))
    return tuple(right)


def notice_of(branches: BranchList, wanted: str) -> str:
    """Return what stands below the table: why it is empty, or what to do first."""
    if not branches.experiments:
        return "no experiment branch yet; start one: branchlab new-exp NAME"
    if not branches.kept:
        return (
            f"no branch has '{wanted}'; Esc clears the filter" if wanted else "no branch is marked"
        )
    if not any(view.runs for view in branches.views.values()):
        return "no runs yet; R runs the selected branch, all of them: branchlab run --all-branches"
    return ""

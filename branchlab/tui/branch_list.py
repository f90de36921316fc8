"""What the overview's table is made of, kept from one moment to the next: a row is made again only where its branch has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from branchlab.domain import Goal
from branchlab.lab.curves import Curve
from branchlab.lab.words import age
from branchlab.tui.branch_filter import Filter, parse_filter, said_of
from branchlab.tui.branch_groups import Arranged, arranged
from branchlab.tui.branch_memory import Manner
from branchlab.tui.branch_rows import branch_row, sorted_views
from branchlab.tui.rows import Row
from branchlab.tui.views import BranchView, Role


@dataclass(frozen=True, slots=True)
class _Entry:
    """A branch with its row, and all in which words are looked for."""

    view: BranchView
    curve: Curve | None
    age: str
    row: Row
    said: str


class BranchList:
    """The branches of one moment, their rows, and those of them that are wanted.

    Attributes:
        views: By name: main, the reference, then the experiments.
        measured: Every row, for the widths of the columns; the same object as long as no row has changed.
        kept: The experiments that the filter wants, in order.
    """

    def __init__(self) -> None:
        self.views: dict[str, BranchView] = {}
        self.measured: list[Row] = []
        self.kept: list[BranchView] = []
        self.filter = Filter()
        self._entries: dict[str, _Entry] = {}

    @property
    def experiments(self) -> list[BranchView]:
        return [view for view in self.views.values() if view.role is Role.EXPERIMENT]

    @property
    def pinned(self) -> list[Row]:
        """The rows of main and of the reference."""
        return [
            self._entries[name].row
            for name, view in self.views.items()
            if view.role is not Role.EXPERIMENT
        ]

    def update(
        self, views: Sequence[BranchView], curves: Mapping[str, Curve], now: datetime
    ) -> None:
        """Take the branches as they are now."""
        before, entries = self._entries, {}
        has_changed = len(before) != len(views)
        for view in views:
            old, curve = before.get(view.name), curves.get(view.name)
            said_age = age(view.last_commit_at, now)
            if (
                old is not None
                and old.view is view
                and old.age == said_age
                and (old.curve is curve or old.curve == curve)
            ):
                entries[view.name] = old
                continue
            has_changed = True
            said = old.said if old is not None and old.view is view else said_of(view)
            entries[view.name] = _Entry(view, curve, said_age, branch_row(view, now, curve), said)
        self._entries = entries
        self.views = {view.name: view for view in views}
        if has_changed:
            self.measured = [entry.row for entry in entries.values()]

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
        wanted = self.experiments
        if not self.filter.is_empty:
            wants, entries = self.filter.wants, self._entries
            wanted = [view for view in wanted if wants(view, entries[view.name].said)]
        if only is not None:
            wanted = [view for view in wanted if view.name in only]
        self.kept = sorted_views(wanted, manner.sort, goal, is_reversed=manner.is_reversed)
        rows = {view.name: self._entries[view.name].row for view in self.kept}
        return arranged(self.kept, rows, is_grouped=manner.is_grouped, folded=manner.folded)

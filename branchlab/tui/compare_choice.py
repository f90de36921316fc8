"""What is held against what: the branches that stand side by side, the metric, the scale. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from branchlab.domain import Scale
from branchlab.lab.columns import Column
from branchlab.lab.words import figure
from branchlab.tui.branch_rows import Sort, sorted_views
from branchlab.tui.looks import Look, outcome_piece
from branchlab.tui.memory import Memory
from branchlab.tui.rows import Row
from branchlab.tui.views import BranchView, Role, Snapshot

MEMBERS_MAX = 6
"""As ``lab.line_up.BRANCHES_MAX``: more curves in one chart are not told apart."""
_BEST_MAX = 3
_SCALES = ("", *map(str, Scale))

CHOICE_COLUMNS = (
    Column(title="BRANCH", width_min=14),
    Column(title="RESULT", is_right=True),
    Column(title="VERDICT"),
    Column(title="", width_min=8),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen; empty for what nobody chose.

    Attributes:
        names: Branches that were added or left over where others were taken away.
        against: What they are held against instead of main.
    """

    names: tuple[str, ...] = ()
    against: str = ""
    metric: str = ""
    scale: str = ""

    def next_metric(self, known: Sequence[str], own: str, by: int) -> Choice:
        """Return the choice with the metric behind this one, the project's own first."""
        order = list(dict.fromkeys((own, *known)))
        at = order.index(self.metric) if self.metric in order else 0
        return replace(self, metric=order[(at + by) % len(order)])

    def next_scale(self) -> Choice:
        """Return the choice with the scale behind this one; no scale means of each branch the one with most seeds."""
        return replace(self, scale=_SCALES[(_SCALES.index(self.scale) + 1) % len(_SCALES)])


def kept_choice(memory: Memory) -> Choice:
    """Return what was chosen when the screens were last open."""
    return Choice(
        names=memory.texts("compare.names"),
        against=memory.text("compare.against"),
        metric=memory.text("compare.metric"),
        scale=memory.text("compare.scale", among=frozenset(_SCALES)),
    )


def keep_choice(memory: Memory, choice: Choice) -> None:
    """Remember what was chosen."""
    memory.keep("compare.names", list(choice.names))
    memory.keep("compare.against", choice.against)
    memory.keep("compare.metric", choice.metric)
    memory.keep("compare.scale", choice.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """The branches that a choice comes to in the lab as it is: ``base``, and those that are held against it."""

    base: str
    names: tuple[str, ...]
    is_full: bool

    def command(self, choice: Choice, snapshot: Snapshot) -> str:
        """Return the command that says what the screen shows."""
        options: list[str] = []
        if self.base != snapshot.status.overview.main.name:
            options += ["--against", self.base]
        if choice.metric and choice.metric != snapshot.status.metric:
            options += ["--metric", choice.metric]
        if choice.scale:
            options += ["--scale", choice.scale]
        return shlex.join(["branchlab", "compare", *self.names, *options])


def side_by_side(
    snapshot: Snapshot,
    views: Mapping[str, BranchView],
    choice: Choice,
    marked: Sequence[str],
) -> SideBySide:
    """Return the branches that are marked, else chosen, else the best few; main is always among them."""
    main = snapshot.status.overview.main.name
    base = choice.against if choice.against in views else main
    wanted = [one for one in (marked or choice.names) if one in views and one != base]
    if not [one for one in wanted if one != main]:
        experiments = [view for view in views.values() if view.role is Role.EXPERIMENT]
        best = sorted_views(experiments, Sort.DIFFERENCE, snapshot.status.goal)
        judged = [view for view in best if view.verdict is not None]
        wanted = [view.name for view in (judged or best) if view.name != base][:_BEST_MAX]
    names = [one for one in dict.fromkeys((main, *wanted)) if one != base]
    kept = names[: MEMBERS_MAX - 1]
    return SideBySide(base=base, names=tuple(kept), is_full=len(names) >= MEMBERS_MAX - 1)


def next_against(now: SideBySide, views: Mapping[str, BranchView]) -> str:
    """Return what is held against next: main, the reference, then each branch that stands here."""
    pinned = [view.name for view in views.values() if view.role is not Role.EXPERIMENT]
    shown = sorted({now.base, *now.names} - set(pinned))
    order = [*pinned, *shown]
    return order[(order.index(now.base) + 1) % len(order)] if now.base in order else order[0]


def is_needed(name: str, now: SideBySide, views: Mapping[str, BranchView]) -> bool:
    """Whether no experiment would be left beside the base without a branch."""
    left = [views[one].role for one in now.names if one != name and one in views]
    return Role.EXPERIMENT not in left


def choice_row(view: BranchView) -> Row:
    """Return a branch as the chooser shows it."""
    verdict = view.verdict
    judged = outcome_piece(verdict.outcome) if verdict else (str(view.role), Look.DIM)
    return Row(
        key=view.name,
        cells=(
            ((view.name, Look.PLAIN),),
            ((figure(view.mean), Look.PLAIN),),
            (judged,),
            ((view.title or view.subject, Look.DIM),),
        ),
    )

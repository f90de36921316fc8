"""Which branches the overview shows, in which order, and under which headings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from branchlab.lab.next_of_branch import Step
from branchlab.tui.looks import Line, Look
from branchlab.tui.rows import AnyRow, Row
from branchlab.tui.views import BranchView

_PREFIX = "\0step:"
"""No branch is called so: git forbids control characters in names."""
_LOOKS = {
    Step.MERGE: Look.GOOD,
    Step.PROVE: Look.GOOD,
    Step.GUARD: Look.GOOD,
    Step.FLIP: Look.GOOD,
    Step.SYNC: Look.WARN,
    Step.MEND: Look.BAD,
    Step.WAIT: Look.LIVE,
    Step.RERUN: Look.WARN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """The rows below main and the reference.

    Attributes:
        num_shown: Branches that are wanted, those under a folded heading too.
    """

    rows: tuple[AnyRow, ...]
    num_shown: int


def arranged(
    views: Sequence[BranchView],
    rows: Mapping[str, AnyRow],
    *,
    is_grouped: bool = False,
    folded: Collection[str] = (),
) -> Arranged:
    """Return rows in the order of the views; grouped, under a heading for what comes next with them, the most urgent first."""
    if not is_grouped:
        return Arranged(rows=tuple([rows[view.name] for view in views]), num_shown=len(views))
    groups: dict[Step, list[BranchView]] = {}
    for view in views:
        if view.next is not None:
            groups.setdefault(view.next.step, []).append(view)
    found: list[AnyRow] = []
    for step in sorted(groups, key=lambda one: one.rank):
        is_folded = step in folded
        found.append(_heading(step, groups[step], is_folded=is_folded))
        if not is_folded:
            found += [rows[view.name] for view in groups[step]]
    return Arranged(rows=tuple(found), num_shown=len(views))


def heading_key(step: Step) -> str:
    """Return the key of a heading's row."""
    return _PREFIX + step


def step_of_key(key: str | None) -> Step | None:
    """Return the step of a heading's row; None for any other row."""
    return Step(key.removeprefix(_PREFIX)) if key and key.startswith(_PREFIX) else None


def _heading(step: Step, views: Sequence[BranchView], *, is_folded: bool) -> Row:
    mark = "▸" if is_folded else "▾"
    line: Line = (
        (f"{mark} {step.words}", _LOOKS.get(step, Look.STRONG)),
        (f"  {len(views)}", Look.STRONG),
        (f"   {step.meaning}", Look.DIM),
    )
    return Row(key=heading_key(step), cells=(line,), is_heading=True)

"""How somebody looks at the overview, kept from one start to the next."""

from __future__ import annotations

from dataclasses import dataclass

from branchlab.tui.branch_rows import Sort
from branchlab.tui.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """Order, groups, filter, columns.

    Attributes:
        folded: Steps whose groups are folded.
        hidden: Ids of the columns that are left out.
    """

    sort: Sort = Sort.DIFFERENCE
    is_reversed: bool = False
    is_grouped: bool = False
    folded: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    filter: str = ""
    selected: str = ""


def recalled(memory: Memory) -> Manner:
    """Return what the last start left; what is damaged is as if it had never been kept."""
    return Manner(
        sort=Sort(memory.text("branches.sort", Sort.DIFFERENCE, among=frozenset(Sort))),
        is_reversed=memory.is_set("branches.reversed"),
        is_grouped=memory.is_set("branches.grouped"),
        folded=frozenset(memory.texts("branches.folded")),
        hidden=frozenset(memory.texts("branches.hidden")),
        filter=memory.text("branches.filter"),
        selected=memory.text("branches.selected"),
    )


def keep(memory: Memory, manner: Manner) -> None:
    """Remember it."""
    memory.keep("branches.sort", str(manner.sort))
    memory.keep("branches.reversed", manner.is_reversed)
    memory.keep("branches.grouped", manner.is_grouped)
    memory.keep("branches.folded", sorted(manner.folded))
    memory.keep("branches.hidden", sorted(manner.hidden))
    memory.keep("branches.filter", manner.filter)
    memory.keep("branches.selected", manner.selected)

"""How many lines each file of a difference has won and lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from branchlab.git.call import git, object_id, text


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCount:
    """One changed file; None for both counts where git takes it to be binary."""

    path: str
    num_added: int | None
    num_removed: int | None


def line_counts(root: Path, base: str, head: str) -> tuple[FileCount, ...]:
    """Return the files in which two commits or trees differ, by path; a renamed one is one that went and one that came."""
    how = ("-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv")
    rows = text(git(root, "diff-tree", *how, object_id(base), object_id(head))).split("\0")
    counts = (row.split("\t", 2) for row in rows if row)
    return tuple(
        FileCount(path=path, num_added=_number(added), num_removed=_number(removed))
        for added, removed, path in counts
    )


def _number(said: str) -> int | None:
    return int(said) if said.isdigit() else None

"""What a branch changes in files since it left another: counts of lines, and how far the other has gone on without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from branchlab.git.hunks import ChangedFile, changed_files
from branchlab.git.sources import merge_base
from branchlab.lab.branches import all_branches, find_branches
from branchlab.lab.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnChanges:
    """The files that a branch changes.

    Attributes:
        base: The merge base; "" for histories that have none, where whole trees are held against each other.
        files: By the number of changed lines, most first.
        missing: Files that the other has changed since, which the branch trains without.
    """

    branch: str
    against: str
    base: str
    files: tuple[ChangedFile, ...]
    missing: tuple[ChangedFile, ...] = ()


def own_changes(project: Project, branch: str, against: str) -> OwnChanges:
    """Return what a branch changes since it left another.

    Raises:
        RepositoryError: One of them is unknown.
    """
    one, other = find_branches(project, [branch, against], all_branches(project))
    root = project.repository.root
    base = merge_base(root, other.tip, one.tip) or ""
    return OwnChanges(
        branch=one.name,
        against=other.name,
        base=base,
        files=_most_first(changed_files(root, base or other.tip, one.tip)[0]),
        missing=_most_first(changed_files(root, base, other.tip)[0]) if base else (),
    )


def _most_first(files: Sequence[ChangedFile]) -> tuple[ChangedFile, ...]:
    return tuple(sorted(files, key=lambda f: (-(f.added or 0) - (f.removed or 0), f.path)))

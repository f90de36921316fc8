"""What a branch differs in from main, from the frozen reference, or from what its last run trained, to be read line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from branchlab.domain import RunRecord
from branchlab.errors import RepositoryError
from branchlab.git.call import is_object_id
from branchlab.git.hunks import ChangedFile, FilePatch, changed_files, file_patch
from branchlab.git.sources import merge_base
from branchlab.lab.project import Project


class Base(StrEnum):
    """What a branch is held against."""

    MAIN = "main"
    REFERENCE = "reference"
    LAST_RUN = "last run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end of a difference: how it is called, and its commit."""

    name: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchDiff:
    """The files in which a branch differs.

    Attributes:
        base: What it is held against: of main the commit at which the branch left it.
        num_left_out: Files beyond those that are listed.
        problem: Why there is nothing to compare, in one sentence.
    """

    head: Side
    base: Side | None = None
    files: tuple[ChangedFile, ...] = ()
    num_left_out: int = 0
    problem: str = ""

    @property
    def counts(self) -> tuple[int, int]:
        """Lines added and removed, of all files that have lines."""
        return (
            sum(file.added or 0 for file in self.files),
            sum(file.removed or 0 for file in self.files),
        )


def branch_diff(
    project: Project, head: Side, against: Side, *, since_they_parted: bool
) -> BranchDiff:
    """Return in which files a commit differs from another.

    Args:
        project: Whose.
        head: The branch and its tip.
        against: What it is held against.
        since_they_parted: Whether only what has changed since both were one counts, as for main.
    """
    base: str | None = against.commit
    root = project.repository.root
    try:
        if since_they_parted:
            base = merge_base(root, against.commit, head.commit)
        if base is None:
            return BranchDiff(
                head=head,
                problem=f"it has no history in common with {against.name} that is known here",
            )
        files, num_left_out = changed_files(root, base, head.commit)
    except RepositoryError as error:
        lost = f"{against.commit[:10]} and {head.commit[:10]} cannot be compared: {error.message}"
        return BranchDiff(head=head, problem=lost)
    return BranchDiff(
        head=head,
        base=Side(name=against.name, commit=base),
        files=tuple(files),
        num_left_out=num_left_out,
    )


def patch_of(project: Project, found: BranchDiff, file: ChangedFile) -> FilePatch:
    """Return the hunks of one of the files."""
    if found.base is None:
        return FilePatch(file=file, said=found.problem)
    return file_patch(project.repository.root, found.base.commit, found.head.commit, file)


def last_run_side(records: Sequence[RunRecord], branch: str) -> Side | None:
    """Return the commit that the latest run of a branch was planned for; None without any."""
    found = next((r.run for r in records if r.run.branch == branch), None)
    if found is None or not is_object_id(found.commit):
        return None
    return Side(name=f"run {found.id}", commit=found.commit)

"""A merge of two commits as git makes it without a work tree: the tree, or the files in which they conflict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from branchlab.errors import RepositoryError
from branchlab.git.call import ask, object_id, text
from branchlab.git.repository import Repository


@dataclass(frozen=True, slots=True)
class MergedTree:
    """The tree that holds both, or the files in which they conflict."""

    tree: str = ""
    conflicts: tuple[str, ...] = ()


def merge_trees(
    repository: Repository, one: str, other: str, *, env: Mapping[str, str] | None = None
) -> MergedTree:
    """Merge ``other`` into ``one``.

    Raises:
        RepositoryError: The histories have nothing in common, or git is older than 2.38.
    """
    how = ("--write-tree", "--name-only", "--no-messages", "-z")
    answer = ask(repository.root, "merge-tree", *how, object_id(one), object_id(other), env=env)
    tree, *files = text(answer.out).split("\0")
    if answer.rc == 1:
        return MergedTree(conflicts=tuple(dict.fromkeys(file for file in files if file)))
    if answer.rc:
        raise RepositoryError(
            f"{other[:10]} cannot be merged into {one[:10]}: {answer.complaint}",
            hint="a merge without a work tree needs a common history and git 2.38 or newer",
        )
    return MergedTree(tree=object_id(tree))

"""Merges that nobody keeps: made in memory, in an object store of their own, and checked out into a folder of their own.

The repository lends its objects and gets none: no commit, tree, ref, index or work tree of it changes, whatever becomes of
the folder. A merge of several branches goes one by one, each onto what came before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from branchlab.git.call import git, object_id, text
from branchlab.git.merge_tree import merge_trees
from branchlab.git.repository import Repository
from branchlab.git.scratch import fast_folder
from branchlab.git.worktrees import link_shared

_TIMEOUT_S = 600.0
_WHO = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "branchlab"),
        ("EMAIL", "branchlab@branchlab.invalid"),
        ("DATE", "@0 +0000"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Union:
    """A merge. ``commit`` exists in the quarantine alone; ``conflicts`` with ``tip`` say why there is none."""

    commit: str = ""
    tree: str = ""
    tip: str = ""
    conflicts: tuple[str, ...] = ()


class Quarantine:
    """An object store of its own that borrows a repository's."""

    def __init__(self, repository: Repository, objects: Path) -> None:
        self._repository = repository
        lent = str(repository.common_dir / "objects").replace("\\", "\\\\").replace('"', '\\"')
        self._env = {
            **_WHO,
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{lent}"',
        }

    def merge(self, main: str, tips: Sequence[str]) -> Union:
        """Return what merging ``tips`` into ``main``, one by one, gives.

        Raises:
            RepositoryError: The histories have nothing in common, or git is older than 2.38.
        """
        commit, tree = object_id(main), self._repository.tree_of(main)
        for tip in tips:
            merged = merge_trees(self._repository, commit, tip, env=self._env)
            if merged.conflicts:
                return Union(tip=tip, conflicts=merged.conflicts)
            tree = merged.tree
            made = git(
                self._repository.root,
                *("commit-tree", tree, "-p", commit, "-p", tip, "-m", "merged in memory"),
                env=self._env,
            )
            commit = text(made).strip()
        return Union(commit=commit, tree=tree)

    def tree_here(self, folder: Path) -> str:
        """Return the tree of a work tree's files as they stand: tracked ones, and Python files that are new and not ignored.

        Raises:
            RepositoryError: Git failed, or the folder is in no work tree.
        """
        paths = ("rev-parse", "--path-format=absolute", "--show-toplevel", "--git-path", "index")
        top, index = (
            Path(line) for line in text(git(folder, *paths)).removesuffix("\n").split("\n")
        )
        with tempfile.TemporaryDirectory(prefix="branchlab-index-") as beside:
            env = {**self._env, "GIT_INDEX_FILE": f"{beside}/index"}
            if index.exists():
                shutil.copyfile(index, f"{beside}/index")
            new = git(
                top, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.py", env=env
            )
            git(top, "add", "--update", "--", ".", env=env, timeout_s=_TIMEOUT_S)
            git(top, "update-index", "-z", "--add", "--stdin", stdin=new, env=env)
            return text(git(top, "write-tree", env=env)).strip()

    def python_files(self, tree: str) -> dict[str, str]:
        """Return the blob of each Python file of a tree or a commit, by path; symlinks are left out."""
        out = git(self._repository.root, "ls-tree", "-r", "-z", object_id(tree), env=self._env)
        rows = (text(row).partition("\t") for row in out.split(b"\0") if row)
        return {
            path: meta.split(" ")[2]
            for meta, _, path in rows
            if path.endswith(".py") and meta.startswith("100")
        }

    @contextmanager
    def checked_out(self, tree: str, *, share: tuple[str, ...]) -> Iterator[Path]:
        """Give a folder with the files of a tree, what runs share linked in, and take it away at the end."""
        with tempfile.TemporaryDirectory(prefix="branchlab-merged-") as parent:
            folder = Path(parent).resolve() / "tree"
            folder.mkdir()
            env = {
                **self._env,
                "GIT_DIR": str(self._repository.common_dir),
                "GIT_WORK_TREE": str(folder),
                "GIT_INDEX_FILE": f"{parent}/index",
            }
            how = ("-c", "core.sparseCheckout=false", "read-tree", "--reset", "-u")
            git(folder, *how, object_id(tree), env=env, timeout_s=_TIMEOUT_S)
            link_shared(self._repository, folder, share=share)
            yield folder


@contextmanager
def quarantine(repository: Repository) -> Iterator[Quarantine]:
    """Give an object store for merges that nobody keeps."""
    with tempfile.TemporaryDirectory(prefix="branchlab-quarantine-", dir=fast_folder()) as folder:
        os.makedirs(f"{folder}/pack", exist_ok=True)  # noqa: PTH103  one more level, nothing else
        yield Quarantine(repository, Path(folder))

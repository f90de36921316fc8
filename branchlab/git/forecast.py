"""Which files a merge into main would leave in conflict, found without touching a work tree or an object store.

Most branches need no merge, because no path that they changed was changed by main; of most others only the contents of some
files can meet (``overlap``), and those alone are merged (``file_merges``). What is left goes through ``merge-tree --stdin`` in
batches. It writes the trees that it makes: they go to a temporary folder that borrows the repository's objects.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from branchlab.git.call import Answer, ask, object_id, text
from branchlab.git.changes import BranchChanges, Content, MainChanges, folders_of
from branchlab.git.file_merges import parse_merges
from branchlab.git.repository import Repository
from branchlab.git.scratch import fast_folder


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge would give: the files in conflict, none when it is clean, and the tree; empty where none was made."""

    conflicts: tuple[str, ...] = ()
    tree: str = ""


_DEAD_LINES_MAX = 20
_DEAD_LINES_AT_ONCE = 3
"""Where so many of the first merges are impossible, all are: an old git, or a clone without files."""
_BATCH_SIZE = 100
"""Merges in one process: a clean one takes 1 ms, and progress is told in between."""


def overlap(branch: BranchChanges, main: MainChanges, *, since: int) -> list[str] | None:
    """Return the files that both changed in place, from place ``since`` on: a merge comes down to their contents.

    None where only the merge itself can tell: a path that one side has added or deleted, a file where the other has a folder, a
    file that one adds to a folder that the other empties (git takes that for a renamed folder), links and submodules.
    """
    found = []
    for path, content in branch.after.items():
        moments = main.at.get(path)
        if moments and moments[-1][0] >= since:
            theirs = moments[-1][1]
            # Deleted by both is not yet the same: one of them may have moved it.
            if content is None or not (content == theirs or _are_files(branch, path, theirs)):
                return None
            found += [path] if content != theirs else []
        if main.below.get(path, -1) >= since:
            return None
        if any(
            folder in main.at and main.at[folder][-1][0] >= since for folder in folders_of(path)
        ):
            return None
    if _any_since(main.lost, branch.added, since) or _any_since(main.gained, branch.deleted, since):
        return None
    return found


def _are_files(branch: BranchChanges, path: str, theirs: Content) -> bool:
    contents = (branch.before[path], branch.after[path], theirs)
    return all(content is not None and content.startswith("100") for content in contents)


def forecast_merges(
    repository: Repository, main: str, tips: Iterable[str]
) -> dict[str, Merge | None]:
    """Return for each tip what merging it into ``main`` would give.

    None, unknown, are an unrelated history, a history whose objects are not here, and all of them before git 2.38.
    """
    wanted = list(dict.fromkeys(object_id(tip) for tip in tips))
    batches = [wanted[at : at + _BATCH_SIZE] for at in range(0, len(wanted), _BATCH_SIZE)]
    found: dict[str, Merge | None] = {}
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for part in pool.map(lambda batch: _batch(repository, object_id(main), batch), batches):
            found |= part
    return found


def _batch(repository: Repository, main: str, tips: Sequence[str]) -> dict[str, Merge | None]:
    found: dict[str, Merge | None] = dict.fromkeys(tips)
    at = 0
    with tempfile.TemporaryDirectory(prefix="branchlab-merges-", dir=fast_folder()) as folder:
        for _ in range(_DEAD_LINES_MAX):
            if at >= len(tips):
                break
            merged = parse_merges(text(_merge(repository, main, tips[at:], folder).out))
            results = [Merge(tuple(files), tree) for _, tree, files in merged]
            found.update(zip(tips[at:], results, strict=False))
            # A line that cannot be merged ends the whole process: it stays unknown, and the rest goes on after it.
            at += len(results) + 1
            if len(results) == 0 and at >= _DEAD_LINES_AT_ONCE and not any(found.values()):
                break
    return found


def _merge(repository: Repository, main: str, tips: Sequence[str], folder: str) -> Answer:
    objects = str(repository.common_dir / "objects").replace("\\", "\\\\").replace('"', '\\"')
    return ask(
        repository.root,
        *("-c", "core.looseCompression=0", "merge-tree", "--write-tree", "--no-messages"),
        *("--stdin", "-z", "--name-only"),
        stdin="".join(f"{main} {tip}\n" for tip in tips).encode(),
        env={
            "GIT_OBJECT_DIRECTORY": folder,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{objects}"',
        },
    )


def _any_since(folders: dict[str, int], paths: Iterable[str], since: int) -> bool:
    return any(folders.get(folder, -1) >= since for path in paths for folder in folders_of(path))

"""Which branches the user has checked out where, and what is under way there: a rebase, a merge, a bisect.

During a rebase git shows the work tree as detached; the branch's name stands in a file of the rebase.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from branchlab.domain import CheckedOut
from branchlab.git.call import ask, text
from branchlab.git.refs import HEADS
from branchlab.git.repository import Repository
from branchlab.git.worktree_records import REASON, read_line

_NAMED = (
    ("rebase-merge/head-name", "rebase"),
    ("rebase-apply/head-name", "rebase"),
    ("BISECT_START", "bisect"),
)
_OPERATIONS = (
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("rebase-apply/applying", "am"),
)


def checkouts(repository: Repository) -> dict[str, tuple[CheckedOut, ...]]:
    """Return the work trees of each branch that is checked out; those that runs train from are left out."""
    answer = ask(repository.root, "worktree", "list", "--porcelain", "-z")
    folders = _folders(repository)
    found: dict[str, list[CheckedOut]] = defaultdict(list)
    for record in text(answer.out).split("\0\0"):
        facts = dict(line.partition(" ")[::2] for line in record.split("\0") if line)
        if "worktree" not in facts or facts.get("locked") == REASON or "prunable" in facts:
            continue
        path = Path(facts["worktree"])
        folder = folders.get(path, repository.common_dir)
        branch, operation = _under_way(folder)
        branch = branch or facts.get("branch", "").removeprefix(HEADS)
        if branch:
            found[branch].append(CheckedOut(path=path, operation=operation))
    return {name: tuple(places) for name, places in found.items()}


def _folders(repository: Repository) -> dict[Path, Path]:
    """Return git's own folder of each linked work tree."""
    return {Path(read_line(entry / "gitdir")).parent: entry for entry in _entries(repository)}


def _entries(repository: Repository) -> Iterator[Path]:
    folder = repository.common_dir / "worktrees"
    return folder.iterdir() if folder.is_dir() else iter(())


def _under_way(folder: Path) -> tuple[str, str]:
    """Return the branch that an operation holds while HEAD is detached, and the operation."""
    for file, operation in _NAMED:
        name = read_line(folder / file)
        if name and name != "detached HEAD":
            return name.removeprefix(HEADS), operation
    return "", next((word for file, word in _OPERATIONS if (folder / file).exists()), "")

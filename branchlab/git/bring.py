"""Bringing one branch's commits into another: by a merge that needs no work tree, or by a rebase in one of ours.

Both give a commit and move nothing; ``move_branches`` then moves all branches in one transaction, each only from where it
was seen, and writes down where they were, so that ``undo`` needs no more than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from branchlab.errors import RepositoryError
from branchlab.git.call import ask, git, object_id, text, to_bytes
from branchlab.git.merge_tree import merge_trees
from branchlab.git.refs import HEADS
from branchlab.git.repository import Repository
from branchlab.git.worktrees import borrowed
from branchlab.git.write import identity

_BEFORE, _AFTER = "refs/branchlab/sync/before/", "refs/branchlab/sync/after/"
_REBASE_TIMEOUT_S = 600.0
_QUIET = (
    *("-c", "commit.gpgSign=false", "-c", "core.editor=true", "-c", "sequence.editor=true"),
    *("-c", "rebase.backend=merge", "-c", "rerere.enabled=false"),
)


@dataclass(frozen=True, slots=True)
class Brought:
    """The commit that holds both, or the files in which they conflict."""

    commit: str = ""
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A branch that was at ``before`` and is, or shall be, at ``after``."""

    branch: str
    before: str
    after: str


def merge(repository: Repository, tip: str, source: str, *, message: str) -> Brought:
    """Return a merge commit of ``source`` into ``tip``; no work tree is touched.

    Raises:
        RepositoryError: The two have no common history, or git is older than 2.38.
    """
    merged = merge_trees(repository, tip, source)
    if merged.conflicts:
        return Brought(conflicts=merged.conflicts)
    parents = ("-p", tip, "-p", source)
    made = git(
        repository.root,
        "commit-tree",
        merged.tree,
        *parents,
        "-F",
        "-",
        stdin=to_bytes(f"{message.rstrip()}\n"),
        env=identity(repository),
    )
    return Brought(commit=text(made).strip())


def rebase(repository: Repository, tip: str, onto: str, *, upstream: str, label: str) -> Brought:
    """Replay what ``tip`` has beyond ``upstream`` on ``onto``, in a work tree of ours; commits that are there are dropped.

    Raises:
        RepositoryError: Git failed for another reason than a conflict.
    """
    env = identity(repository)
    how = (
        *("--quiet", "--no-autostash", "--no-autosquash", "--no-update-refs", "--no-fork-point"),
        *("--no-rebase-merges", "--empty=drop", "--onto", object_id(onto), object_id(upstream)),
    )
    with borrowed(repository, tip, label=f"sync-{label}") as folder:
        answer = ask(folder, *_QUIET, "rebase", *how, env=env, timeout_s=_REBASE_TIMEOUT_S)
        if answer.rc == 0:
            return Brought(commit=_head(folder))
        files = _unmerged(folder)
        if files:
            return Brought(conflicts=files)
    raise RepositoryError(
        f"git rebase of {label}: {answer.complaint}", hint="without --rebase main is merged instead"
    )


def move_branches(
    repository: Repository, moves: list[Move], *, by_hand: list[Move], why: str
) -> None:
    """Move branches, all of them or none, and write down where they were.

    ``by_hand`` are those that the caller has moved already, in the work trees that they are checked out in.

    Raises:
        RepositoryError: A branch is not where it was seen any more; then none has moved.
    """
    records = {
        f"{folder}{move.branch}": commit
        for move in (*moves, *by_hand)
        for folder, commit in ((_BEFORE, move.before), (_AFTER, move.after))
    }
    lines = [f"update {HEADS}{move.branch} {move.after} {move.before}\n" for move in moves]
    lines += [f"update {ref} {commit}\n" for ref, commit in records.items()]
    lines += [f"delete {ref}\n" for ref in _records(repository) if ref not in records]
    git(repository.root, "update-ref", "-m", why, "--stdin", stdin=to_bytes("".join(lines)))


def last_moves(repository: Repository) -> list[Move]:
    """Return what ``move_branches`` did last; none when it has been undone."""
    found = _records(repository)
    return [
        Move(branch=name, before=commit, after=found[f"{_AFTER}{name}"])
        for ref, commit in found.items()
        if ref.startswith(_BEFORE) and f"{_AFTER}{(name := ref.removeprefix(_BEFORE))}" in found
    ]


def forget_moves(repository: Repository, branches: list[str]) -> None:
    """Drop the record of where some branches were."""
    lines = "".join(f"delete {_BEFORE}{name}\ndelete {_AFTER}{name}\n" for name in branches)
    git(repository.root, "update-ref", "--stdin", stdin=to_bytes(lines))


def put_back(repository: Repository, moves: list[Move]) -> None:
    """Move branches back to where they were, all or none."""
    lines = "".join(f"update {HEADS}{m.branch} {m.before} {m.after}\n" for m in moves)
    why = "branchlab sync: undone"
    git(repository.root, "update-ref", "-m", why, "--stdin", stdin=to_bytes(lines))


def take_along(folder: Path, commit: str) -> str:
    """Fast-forward the branch that is checked out in a work tree of the user's; return git's complaint, or nothing.

    Git refuses where a file that is not committed would be overwritten.
    """
    answer = ask(folder, "merge", "--ff-only", "--quiet", object_id(commit), timeout_s=600)
    return answer.complaint or f"git ended with {answer.rc}" if answer.rc else ""


def take_back(folder: Path, commit: str) -> str:
    """Put a work tree of the user's and its branch back to a commit; return git's complaint, or nothing."""
    answer = ask(folder, "reset", "--keep", "--quiet", object_id(commit), timeout_s=600)
    return answer.complaint or f"git ended with {answer.rc}" if answer.rc else ""


def _records(repository: Repository) -> Mapping[str, str]:
    how = ("--format=%(refname) %(objectname)", _BEFORE, _AFTER)
    rows = text(git(repository.root, "for-each-ref", *how)).splitlines()
    return dict(row.split(" ") for row in rows)


def _head(folder: Path) -> str:
    return text(git(folder, "rev-parse", "--verify", "HEAD")).strip()


def _unmerged(folder: Path) -> tuple[str, ...]:
    how = ("--name-only", "--diff-filter=U", "-z", "--no-ext-diff")
    out = text(ask(folder, "diff", *how).out)
    return tuple(file for file in out.split("\0") if file)

"""Taking a branch away without losing it: a tag where it was, its work tree only when that holds nothing of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from branchlab.git.call import ask, git, object_id, text, to_bytes
from branchlab.git.refs import BASES, HEADS
from branchlab.git.repository import Repository
from branchlab.git.write import identity

_TAGS = "refs/tags/"
_MADE_AGAIN = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".ipynb_checkpoints"}


def archive_branch(repository: Repository, name: str, tip: str, *, tag: str, message: str) -> None:
    """Put an annotated tag at a branch's tip and delete the branch, both or neither.

    Raises:
        RepositoryError: The branch has moved, or the tag exists.
    """
    env = identity(repository)
    ref = f"{_TAGS}{tag}"
    who = text(git(repository.root, "var", "GIT_COMMITTER_IDENT", env=env)).strip()
    content = f"object {object_id(tip)}\ntype commit\ntag {tag}\ntagger {who}\n\n{message}\n"
    made = text(git(repository.root, "mktag", stdin=to_bytes(content), env=env)).strip()
    lines = [f"delete {HEADS}{name} {tip}\n"]
    if ask(repository.root, "rev-parse", "--verify", "--quiet", ref).rc:
        lines.append(f"create {ref} {made}\n")
    if not ask(repository.root, "rev-parse", "--verify", "--quiet", f"{BASES}{name}").rc:
        lines.append(f"delete {BASES}{name}\n")
    why = f"branchlab retire: {tag}"
    git(repository.root, "update-ref", "-m", why, "--stdin", stdin=to_bytes("".join(lines)))


def is_archived(repository: Repository, tag: str, tip: str) -> bool | None:
    """Whether a tag stands for a commit; None where there is no such tag."""
    wanted = ("--verify", "--quiet", "--end-of-options", f"{_TAGS}{tag}^{{commit}}")
    answer = ask(repository.root, "rev-parse", *wanted)
    return None if answer.rc else text(answer.out).strip() == tip


def unsaved_in(repository: Repository, folder: Path, *, shared: Sequence[str]) -> list[str]:
    """Return what a work tree would lose: changes, untracked files, and ignored ones that are neither links nor made again.

    Git removes ignored files without a word, data sets and checkpoints among them.
    """
    how = (
        "--porcelain=v1",
        "-z",
        "--no-renames",
        "--untracked-files=normal",
        "--ignored=traditional",
    )
    found = []
    for entry in git(folder, "status", *how).split(b"\0"):
        path = text(entry[3:])
        if not path:
            continue
        is_link = (folder / path.rstrip("/")).is_symlink()
        if is_link and (entry[:2] == b"!!" or path.rstrip("/") in shared):
            continue
        if entry[:2] == b"!!" and _MADE_AGAIN & set(PurePosixPath(path).parts):
            continue
        found.append(path)
    return found


def remove_worktree(repository: Repository, folder: Path) -> None:
    """Remove a linked work tree in which nothing is left to lose; links in it go, what they point at stays."""
    git(repository.root, "worktree", "remove", "--force", "--", str(folder), timeout_s=600)

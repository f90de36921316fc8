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


def put_tag(repository: Repository, tag: str, tip: str, *, message: str) -> bool:
    """Put an annotated tag at a commit; return whether there was none before.

    Raises:
        RepositoryError: Git does not know who the user is, or another tag's name stands in the way.
    """
    env = identity(repository)
    ref = f"{_TAGS}{tag}"
    if ask(repository.root, "rev-parse", "--verify", "--quiet", ref).rc == 0:
        return False
    who = text(git(repository.root, "var", "GIT_COMMITTER_IDENT", env=env)).strip()
    content = f"object {object_id(tip)}\ntype commit\ntag {tag}\ntagger {who}\n\n{message}\n"
    made = text(git(repository.root, "mktag", stdin=to_bytes(content), env=env)).strip()
    lines = to_bytes(f"create {ref} {made}\n")
    git(repository.root, "update-ref", "-m", f"branchlab retire: {tag}", "--stdin", stdin=lines)
    return True


def drop_tag(repository: Repository, tag: str) -> None:
    """Take a tag away again."""
    git(repository.root, "update-ref", "-d", f"{_TAGS}{tag}")


def delete_branch(repository: Repository, name: str, tip: str) -> None:
    """Delete a branch that is where it was seen, and the record of where it started.

    Raises:
        RepositoryError: It has moved.
    """
    lines = [f"delete {HEADS}{name} {tip}\n"]
    if not ask(repository.root, "rev-parse", "--verify", "--quiet", f"{BASES}{name}").rc:
        lines.append(f"delete {BASES}{name}\n")
    git(repository.root, "update-ref", "--stdin", stdin=to_bytes("".join(lines)))


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

"""The few writes to the user's own branches: a new branch, a commit on top of one, a work tree for the user.

None touches the user's index, HEAD, stash or config. A ref is only ever created from nothing, so that nobody's work is
overwritten; a commit is built beside and becomes visible only when a branch is pointed at it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from branchlab.errors import RepositoryError
from branchlab.git.call import ask, git, is_argument, object_id, text, to_bytes
from branchlab.git.merge_tree import merge_trees
from branchlab.git.refs import BASES, CREATED
from branchlab.git.repository import Repository
from branchlab.run_folder import locked

_IDENTITY = tuple(
    f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL", "DATE")
)
_LOCK_WAIT_S = 120.0


def create_branch(repository: Repository, name: str, commit: str) -> None:
    """Create a branch at a commit.

    Raises:
        RepositoryError: Git does not take the name, or the branch exists already; it is left where it is.
    """
    check_branch_name(repository, name)
    ref, nothing = f"refs/heads/{name}", "0" * len(commit)
    found = ask(repository.root, "rev-parse", "--verify", "--quiet", "--end-of-options", ref)
    if found.rc == 0:
        raise RepositoryError(
            f"branch '{name}' exists already at {text(found.out).strip()[:10]}",
            hint="choose another name, or look at it: branchlab status",
        )
    how = ("--no-deref", "--create-reflog", "-m", CREATED)
    git(repository.root, "update-ref", *how, ref, object_id(commit), nothing)


def record_base(repository: Repository, branch: str, commit: str) -> None:
    """Record where a branch started: once main has been fast-forwarded to it, nothing else tells."""
    git(repository.root, "update-ref", "--no-deref", f"{BASES}{branch}", object_id(commit))


def check_branch_name(repository: Repository, name: str) -> None:
    """Raise RepositoryError unless git takes ``name`` for a new branch."""
    is_taken = is_argument(name)
    if is_taken:
        answer = ask(repository.root, "check-ref-format", "--branch", name)
        # It also expands @{-1}: only a name that comes back as it went in is one.
        is_taken = answer.rc == 0 and answer.out == to_bytes(f"{name}\n")
    if not is_taken:
        raise RepositoryError(
            f"{name!r} is not a branch name", hint="use letters, digits, dashes and slashes"
        )


def commit_files(
    repository: Repository, *, parent: str, files: Mapping[str, str], message: str
) -> str:
    """Build a commit that puts ``files`` (path to text) on top of ``parent``, and return its id.

    No branch points at it yet. A file that exists keeps its mode. The author is whom git would name.

    Raises:
        RepositoryError: Git does not know who the user is, or does not take a path.
    """
    return _commit(repository, parent, [parent], files, message)


def commit_merge(
    repository: Repository, main: str, tip: str, *, files: Mapping[str, str], message: str
) -> tuple[str, str]:
    """Build the merge commit of ``tip`` into ``main`` with ``files`` (path to text) put on top of the merged tree.

    No branch points at it yet.

    Returns:
        The commit, and the tree of the merge before the files.

    Raises:
        RepositoryError: The merge conflicts, git does not know who the user is, or does not take a path.
    """
    merged = merge_trees(repository, main, tip)
    if merged.conflicts:
        raise RepositoryError(
            f"{tip[:10]} conflicts with {main[:10]} in {merged.conflicts[0]}",
            hint="branchlab status",
        )
    return _commit(repository, merged.tree, [main, tip], files, message), merged.tree


def _commit(
    repository: Repository,
    tree: str,
    parents: Sequence[str],
    files: Mapping[str, str],
    message: str,
) -> str:
    """Build a commit of a tree (or a commit's) with some files replaced."""
    for path in files:
        _check_path(path)
    with tempfile.TemporaryDirectory(prefix="branchlab-index-") as folder:
        env = {"GIT_INDEX_FILE": f"{folder}/index", **identity(repository)}
        git(repository.root, "read-tree", object_id(tree), env=env)
        modes = _modes(repository, tree, files) if files else {}
        entries = b""
        for path, content in files.items():
            stored = git(repository.root, "hash-object", "-w", "--stdin", stdin=to_bytes(content))
            entries += to_bytes(f"{modes.get(path, '100644')} {text(stored).strip()}\t{path}\0")
        git(repository.root, "update-index", "-z", "--index-info", stdin=entries, env=env)
        made = git(
            repository.root,
            *("commit-tree", text(git(repository.root, "write-tree", env=env)).strip()),
            *(word for parent in parents for word in ("-p", object_id(parent))),
            *("-F", "-"),
            stdin=to_bytes(f"{message.rstrip()}\n"),
            env=env,
        )
        return text(made).strip()


def drop_branch(repository: Repository, name: str, commit: str) -> None:
    """Delete a branch that is where it was seen."""
    git(repository.root, "update-ref", "-d", f"refs/heads/{name}", object_id(commit))


def advance_branch(repository: Repository, name: str, *, before: str, after: str, why: str) -> None:
    """Move a branch forward from where it was seen.

    Raises:
        RepositoryError: It is not there any more.
    """
    ref = f"refs/heads/{name}"
    git(repository.root, "update-ref", "-m", why, ref, object_id(after), object_id(before))


def add_worktree(repository: Repository, branch: str, path: Path) -> None:
    """Make a normal work tree for the user, on ``branch``, at ``path``.

    Raises:
        RepositoryError: The folder exists and is not empty, or the branch is checked out elsewhere.
    """
    check_branch_name(repository, branch)
    ref = f"refs/heads/{branch}"
    if ask(repository.root, "show-ref", "--verify", "--quiet", ref).rc:
        raise RepositoryError(f"no branch '{branch}'", hint=f"branchlab new-exp {branch}")
    with locked(repository.state.path / "worktrees.lock", wait_s=_LOCK_WAIT_S) as is_mine:
        if not is_mine:
            raise RepositoryError(
                "another branchlab process is making work trees", hint="try again in a minute"
            )
        repository.state.create()
        target = str(path.absolute())
        git(repository.root, "worktree", "add", "--quiet", "--", target, branch, timeout_s=600)


def identity(repository: Repository) -> dict[str, str]:
    """Return the variables that say who the user is; all other GIT_* variables stay dropped.

    Raises:
        RepositoryError: Neither they nor git's config say it.
    """
    env = {name: os.environ[name] for name in _IDENTITY if name in os.environ}
    # Without useConfigOnly git makes up root@hostname where it can.
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        if ask(repository.root, "-c", "user.useConfigOnly=true", "var", who, env=env).rc:
            raise RepositoryError(
                "git does not know who you are: user.name or user.email is not set",
                hint='git config user.email "you@example.org" && git config user.name "Your Name"',
            )
    return env


def _check_path(path: str) -> None:
    # Git itself takes .git/config here, and would refuse to check it out.
    parts = path.split("/")
    if not is_argument(path) or any(part.lower() in {"", ".", "..", ".git"} for part in parts):
        raise RepositoryError(
            f"{path!r} is not a path inside the repository", hint="name a file below its top"
        )


def _modes(repository: Repository, parent: str, files: Mapping[str, str]) -> dict[str, str]:
    """Return the modes of those files that exist at ``parent`` as files."""
    out = git(repository.root, "--literal-pathspecs", "ls-tree", "-z", parent, "--", *files)
    rows = (text(row).partition("\t") for row in out.split(b"\0") if row)
    modes = {path: meta.split(" ")[0] for meta, _, path in rows}
    return {path: mode for path, mode in modes.items() if mode in {"100644", "100755"}}

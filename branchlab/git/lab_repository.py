"""A repository that is grown commit by commit from files and patches, with the same ids wherever it is built.

Author, committer and dates are given, the user's and the machine's config are not read, no template is copied and no hook
runs. Commits are built in the index alone: nothing is checked out until ``check_out``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from branchlab.errors import RepositoryError
from branchlab.git.call import ask, git, text

_NAME, _EMAIL = "branchlab demo", "demo@branchlab.invalid"
_FIRST_COMMIT_AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
_BETWEEN_COMMITS = timedelta(hours=9)
_ISOLATED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": _NAME,
    "GIT_AUTHOR_EMAIL": _EMAIL,
    "GIT_COMMITTER_NAME": _NAME,
    "GIT_COMMITTER_EMAIL": _EMAIL,
}


class LabRepository:
    """A repository while it is built; nobody else writes to it meanwhile.

    Attributes:
        root: Its work tree.
        num_commits: Commits made so far; each is nine hours younger than the one before.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.num_commits = 0

    def create(self, main: str) -> None:
        """Make the repository, with ``main`` as the branch that is checked out."""
        self.root.mkdir(parents=True, exist_ok=True)
        how = ("--quiet", "--template=", "--object-format=sha1", f"--initial-branch={main}")
        self._git("init", *how, ".")

    def tip(self, branch: str) -> str:
        """Return the commit that a branch points at; the empty string when there is no such branch."""
        found = ask(self.root, "rev-parse", "--verify", "--quiet", _ref(branch), env=_ISOLATED)
        return text(found.out).strip()

    def point(self, branch: str, commit: str) -> None:
        """Let a branch, new or not, point at a commit."""
        self._git("update-ref", _ref(branch), commit)

    def commit_files(self, branch: str, message: str, files: Mapping[str, bytes]) -> str:
        """Commit ``files`` (path to content) on top of a branch, which is born by its first commit."""
        self._read_tree(branch)
        entries = b""
        for path, content in files.items():
            blob = self._git("hash-object", "-w", "--stdin", stdin=content)
            entries += f"100644 {blob}\t{path}\0".encode()
        self._git("update-index", "-z", "--index-info", stdin=entries)
        return self._commit(branch, message, self._git("write-tree"))

    def commit_patch(self, branch: str, message: str, patch: bytes) -> str:
        """Commit a unified diff on top of a branch.

        Raises:
            RepositoryError: It does not apply to the branch.
        """
        self._read_tree(branch)
        self._git("apply", "--cached", "-", stdin=patch)
        return self._commit(branch, message, self._git("write-tree"))

    def commit_squash(self, branch: str, message: str, *, of: str) -> str:
        """Commit all of the branch ``of`` as one commit on top of ``branch``, as a squash merge does.

        Raises:
            RepositoryError: The two conflict.
        """
        merged = self._git("merge-tree", "--write-tree", self.tip(branch), self.tip(of))
        return self._commit(branch, message, merged)

    def check_out(self, branch: str) -> None:
        """Write a branch's files into the work tree and end the building."""
        self._git("symbolic-ref", "HEAD", _ref(branch))
        self._git("reset", "--quiet", "--hard", "HEAD")

    def _read_tree(self, branch: str) -> None:
        self._git("read-tree", self.tip(branch) or "--empty")

    def _commit(self, branch: str, message: str, tree: str) -> str:
        when = _FIRST_COMMIT_AT + self.num_commits * _BETWEEN_COMMITS
        date = f"{int(when.timestamp())} +0000"
        env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        parent = self.tip(branch)
        parents = ("-p", parent) if parent else ()
        content = f"{message.strip()}\n".encode()
        commit = self._git("commit-tree", tree, *parents, "-F", "-", stdin=content, env=env)
        self.num_commits += 1
        self._git("update-ref", _ref(branch), commit, env=env)
        return commit

    def _git(
        self, *args: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        return text(git(self.root, *args, stdin=stdin, env={**_ISOLATED, **(env or {})})).strip()


def is_lab(folder: Path, branch: str, *, holding: str) -> bool:
    """Whether ``folder`` is the root of a repository whose ``branch`` was made by ``LabRepository`` and has a file ``holding``."""
    if not (folder / ".git").exists():
        return False
    try:
        answer = ask(folder, "log", "-1", "--format=%ae", "--end-of-options", _ref(branch))
        found = ask(folder, "cat-file", "-e", f"{_ref(branch)}:{holding}")
    except RepositoryError:
        return False
    return answer.rc == found.rc == 0 and text(answer.out).strip() == _EMAIL


def _ref(branch: str) -> str:
    return f"refs/heads/{branch}"

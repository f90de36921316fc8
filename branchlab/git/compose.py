"""A commit that has one branch's files with some of another's in their places, so that it can be checked out, kept and sent.

The same two always give the same commit: who made it and when is fixed. Its parent is the branch's own commit, so whatever keeps
the one keeps the other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence

from branchlab.errors import RepositoryError
from branchlab.git.call import git, object_id, text, to_bytes
from branchlab.git.repository import Repository

_FILE_MODES = {"100644", "100755"}
_MAKER = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {
        "NAME": "branchlab",
        "EMAIL": "branchlab@localhost",
        "DATE": "2000-01-01T00:00:00Z",
    }.items()
}


def files_at(repository: Repository, commit: str, paths: Sequence[str]) -> dict[str, str]:
    """Return those paths that are regular files of a commit, each with its blob."""
    return {path: blob for path, (_, blob) in _entries(repository, commit, paths).items()}


def compose(repository: Repository, commit: str, blobs: Mapping[str, str], *, like: str) -> str:
    """Return a commit with the files of ``commit`` and some blobs (by path) in their places; itself where it has them already.

    Args:
        repository: Whose.
        commit: Full id.
        blobs: What is put in.
        like: The commit that they are from; it says which of them may be executed.

    Raises:
        RepositoryError: A file of ``commit`` stands where one of the paths needs a folder, or the other way round.
    """
    if files_at(repository, commit, list(blobs)) == dict(blobs):
        return commit
    modes = {path: mode for path, (mode, _) in _entries(repository, like, list(blobs)).items()}
    rows = "".join(f"{modes[path]} {object_id(blob)}\t{path}\0" for path, blob in blobs.items())
    with tempfile.TemporaryDirectory(prefix="branchlab-index-") as folder:
        env = {"GIT_INDEX_FILE": f"{folder}/index", **_MAKER}
        git(repository.root, "read-tree", object_id(commit), env=env)
        git(repository.root, "update-index", "-z", "--index-info", stdin=to_bytes(rows), env=env)
        tree = text(git(repository.root, "write-tree", env=env)).strip()
        changed = git(repository.root, "diff-tree", "-r", "-z", "--name-only", commit, tree)
        # Git lets a file take a folder's place, with all that is in it.
        lost = {text(path) for path in changed.split(b"\0") if path} - blobs.keys()
        if lost:
            raise RepositoryError(
                f"{min(lost)} of {commit[:10]} stands where main's {next(iter(blobs))} belongs",
                hint="move it on the branch",
            )
        message = b"The files of its parent with those that train every branch\n"
        how = ("-p", commit, "-F", "-")
        return text(git(repository.root, "commit-tree", tree, *how, stdin=message, env=env)).strip()


def _entries(
    repository: Repository, commit: str, paths: Sequence[str]
) -> dict[str, tuple[str, str]]:
    if not paths:
        return {}
    how = ("--literal-pathspecs", "ls-tree", "-z", object_id(commit), "--", *paths)
    rows = (text(row).partition("\t") for row in git(repository.root, *how).split(b"\0") if row)
    found = {path: (meta.split(" ")[0], meta.split(" ")[2]) for meta, _, path in rows}
    return {path: entry for path, entry in found.items() if entry[0] in _FILE_MODES}

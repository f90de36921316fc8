"""Work trees of exact commits for runs, under ``.branchlab/worktrees/``: made, reused, mended and reclaimed.

They are detached, so that they never claim a branch that the user wants to check out, and locked with a reason, so that
``git worktree prune`` leaves them alone. Traps that shape this module: concurrent ``worktree add`` fails now and then (one
lock around it); a kill during it leaves an entry that no retry mends (it is dropped by hand); and a folder that lost its
``.git`` file would be taken for a part of the user's own work tree, so that git is always told which entry is meant.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path

from branchlab.domain import WorkTree
from branchlab.errors import ConfigError, RepositoryError
from branchlab.git.call import ask, git, object_id
from branchlab.git.repository import Repository
from branchlab.git.worktree_records import (
    REASON,
    drop_half_made,
    drop_moved,
    entry_of,
    home_of,
    our_folders,
    read_line,
    remove,
)
from branchlab.run_folder import locked

_WAIT_S = 120.0


def checkout(
    repository: Repository, commit: str, *, label: str, share: tuple[str, ...] = ()
) -> WorkTree:
    """Return a work tree that stands at ``commit`` with all its files, made when there is none.

    One that is there already is used again; tracked files that a run has changed are put back, others stay.

    Args:
        repository: Whose commit it is.
        commit: Full id.
        label: Says in the folder's name what it is for, mostly a branch.
        share: Paths of the main work tree that are linked in, unless the commit tracks something there itself.

    Raises:
        ConfigError: A shared path does not exist.
        RepositoryError: Git failed, or another process held the folder for two minutes.
    """
    sources = {path: _shared(repository, path) for path in share}
    with _held(repository.state.path / "worktrees.lock"):
        repository.state.create()
    folder = home_of(repository) / folder_name(commit, label=label)
    with _held(_lock_of(folder)):
        entry = entry_of(repository, folder)
        if entry is None or not _stands_at(entry, commit):
            with _held(repository.state.path / "worktrees.lock"):
                remove(repository, folder)
                drop_half_made(repository)
                _add(repository, folder, commit)
            entry = entry_of(repository, folder)
            if entry is None:
                raise RepositoryError(
                    f"{folder} vanished while it was made", hint="run the same command again"
                )
        _restore(entry, folder, commit)
        for path, source in sources.items():
            link(folder, path, source)
    return WorkTree(path=folder, commit=commit)


@contextlib.contextmanager
def borrowed(repository: Repository, commit: str, *, label: str) -> Iterator[Path]:
    """Give a work tree at ``commit`` to work in, and take it away at the end."""
    folder = checkout(repository, commit, label=label).path
    try:
        yield folder
    finally:
        with _held(_lock_of(folder)), _held(repository.state.path / "worktrees.lock"):
            remove(repository, folder)
        _lock_of(folder).unlink(missing_ok=True)


def link_shared(repository: Repository, folder: Path, *, share: tuple[str, ...]) -> None:
    """Link what runs need into a work tree of the user's, where it exists in the main one."""
    for path in share:
        if (repository.root / path).exists():
            link(folder.resolve(), path, repository.root / path)


def folder_name(commit: str, *, label: str) -> str:
    """Return what the work tree of a commit is called."""
    return f"{_slug(label)}-{object_id(commit)[:10]}"


def reclaim(repository: Repository, *, keep: set[str], drop: Collection[str] = frozenset()) -> int:
    """Remove our work trees whose commit is not in ``keep``, and those whose name is in ``drop``.

    One that another process is making is left alone.

    What they link to survives. A run that still trains needs its commit in ``keep``.

    Raises:
        RepositoryError: Something is mounted below one of them; removing it would empty the mount.
    """
    kept = {commit[:10] for commit in keep}
    num = 0
    for folder in our_folders(repository):
        if folder.name.rpartition("-")[2] in kept and folder.name not in drop:
            continue
        with locked(_lock_of(folder)) as is_mine:
            if is_mine:
                with _held(repository.state.path / "worktrees.lock"):
                    remove(repository, folder)
                if folder.name in drop:
                    _lock_of(folder).unlink(missing_ok=True)
                num += 1
    with _held(repository.state.path / "worktrees.lock"):
        drop_moved(repository)
    return num


def _add(repository: Repository, folder: Path, commit: str) -> None:
    how = ("--no-checkout", "--detach", "--lock", "--reason", REASON)
    git(repository.root, "worktree", "add", *how, "--", str(folder), commit)


def _restore(entry: Path, folder: Path, commit: str) -> None:
    """Bring all tracked files to the commit; outside of the lock for adding, because it takes long."""
    if _is_clean(entry, folder):
        return
    # A lock that is left in our own entry belongs to a killed process: whoever lives holds the folder's lock.
    (entry / "index.lock").unlink(missing_ok=True)
    # A sparse checkout is inherited from the main work tree, and would silently leave files out.
    how = ("-c", "core.sparseCheckout=false", "-c", "advice.detachedHead=false")
    git(folder, *how, "reset", "--hard", "--quiet", commit, env=_as(entry, folder), timeout_s=600)


def _stands_at(entry: Path, commit: str) -> bool:
    # Not asked of git: somebody may have checked out a branch in there, which a reset would move.
    return read_line(entry / "HEAD") == commit


def _is_clean(entry: Path, folder: Path) -> bool:
    if not (entry / "index").exists() or (entry / "index.lock").exists():
        return False
    how = ("--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=all")
    answer = ask(folder, "-c", "core.sparseCheckout=false", "status", *how, env=_as(entry, folder))
    return answer.rc == 0 and not answer.out


def _as(entry: Path, folder: Path) -> dict[str, str]:
    """Name the work tree outright: git would otherwise look for a repository in the folders above, the user's."""
    return {"GIT_DIR": str(entry), "GIT_WORK_TREE": str(folder)}


def _shared(repository: Repository, path: str) -> Path:
    source = repository.root / path
    if not source.exists():
        raise ConfigError(
            f"share: '{path}' does not exist in {repository.root}",
            hint=f"put the data at {source}, or take '{path}' out of share in .branchlab.toml",
        )
    return source


def link(folder: Path, path: str, source: Path) -> None:
    """Link a shared path in. What the commit has at that place stays, and so does what a run has put there.

    Raises:
        ConfigError: There is no place for it in the work tree.
    """
    place = folder / path
    if place.exists() or place.is_symlink():
        return
    if not place.parent.resolve().is_relative_to(folder):
        raise ConfigError(
            f"share: '{path}' lies beyond a symlink that the branch tracks",
            hint=f"take '{path}' out of share in .branchlab.toml",
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"share: '{path}' has no place in the work tree: {error.strerror}",
            hint=f"take '{path}' out of share in .branchlab.toml",
        ) from None
    place.symlink_to(source)


@contextlib.contextmanager
def _held(lock: Path) -> Iterator[None]:
    with locked(lock, wait_s=_WAIT_S) as is_mine:
        if not is_mine:
            raise RepositoryError(
                f"another branchlab process has held {lock} for {_WAIT_S:g} s",
                hint="wait for it to end, or end it, then try again",
            )
        yield


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _slug(label: str) -> str:
    """Return ASCII letters, digits, underscores and dashes, at most 40 and at least one."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")[:40] or "tree"

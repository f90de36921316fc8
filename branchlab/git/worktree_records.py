"""Git's own records of our work trees, ``.git/worktrees/<name>/``, in every state that a kill or a hand can leave them in.

A kill during ``git worktree add`` leaves a locked record that neither retrying nor ``add -f -f`` mends; in its first
microseconds even one that makes every git command here fail. So our records and folders are removed by hand, just as
``git worktree remove`` would: ours are those that point below ``.branchlab/worktrees``, or are called like a folder there.
Callers hold the lock for work trees.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

from branchlab.errors import RepositoryError
from branchlab.git.call import to_bytes
from branchlab.git.repository import Repository

REASON = "branchlab"
_MOUNTS = Path("/proc/self/mountinfo")
_OURS = re.compile(r"[a-z0-9_-]+-[0-9a-f]{10}")
_OURS_OR_RENAMED = re.compile(rf"{_OURS.pattern}\d*")


def home_of(repository: Repository) -> Path:
    """Return the folder of our work trees as git records it: with its symlinks resolved."""
    return repository.state.worktrees.resolve()


def our_folders(repository: Repository) -> list[Path]:
    """Return our work trees, also those that have only a folder or only an entry left."""
    home = home_of(repository)
    found = {path for path in home.iterdir() if not path.is_file()} if home.is_dir() else set()
    found |= {Path(read_line(entry / "gitdir")).parent for entry in _entries(repository)}
    return sorted(p for p in found if p.parent == home and _OURS.fullmatch(p.name))


def entry_of(repository: Repository, folder: Path) -> Path | None:
    """Return git's own folder for a work tree, when both point at each other; None for anything half-made."""
    link = read_line(folder / ".git").removeprefix("gitdir: ")
    entry = Path(link)
    is_ours = (
        bool(link)
        and entry.parent == repository.common_dir / "worktrees"
        and read_line(entry / "gitdir") == str(folder / ".git")
        and bool(read_line(entry / "commondir"))
    )
    return entry if is_ours else None


def remove(repository: Repository, folder: Path) -> None:
    """Remove a work tree in whatever state a kill or a hand has left it. Needs both locks."""
    _refuse_mounts(folder)
    entries = [
        entry
        for entry in _entries(repository)
        if read_line(entry / "gitdir") == str(folder / ".git")
        or (not read_line(entry / "gitdir") and entry.name.startswith(folder.name))
    ]
    try:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)  # unlinks symlinks and never follows them: shared data survives
        for entry in entries:
            shutil.rmtree(entry)
    except OSError as error:
        raise RepositoryError(
            f"{error.filename or folder} cannot be removed: {error.strerror}",
            hint=f"rm -rf '{folder}'",
        ) from None


def drop_half_made(repository: Repository) -> None:
    """Drop entries of ours that a kill cut in their first moments: one without commondir breaks all of git here."""
    for entry in _entries(repository):
        if _OURS_OR_RENAMED.fullmatch(entry.name) and not read_line(entry / "commondir"):
            shutil.rmtree(entry)


def drop_moved(repository: Repository) -> None:
    """Drop entries of ours from before the repository was moved: their lock keeps git from pruning them."""
    for entry in _entries(repository):
        folder = Path(read_line(entry / "gitdir")).parent
        is_ours = read_line(entry / "locked") == REASON and _OURS.fullmatch(folder.name)
        if is_ours and not folder.exists() and not (home_of(repository) / folder.name).exists():
            shutil.rmtree(entry)


def read_line(path: Path) -> str:
    """Return what one of git's small files says; empty when it is missing."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""


def _entries(repository: Repository) -> list[Path]:
    folder = repository.common_dir / "worktrees"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _refuse_mounts(folder: Path) -> None:
    """A mount below is emptied with the tree that holds it (seen: the data set was gone)."""
    tree = to_bytes(str(folder.resolve()))
    with contextlib.suppress(FileNotFoundError):  # only Linux lists its mounts here
        for line in _MOUNTS.read_bytes().splitlines():
            point = line.split(b" ")[4]
            point = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), point)
            if point == tree or point.startswith(tree + b"/"):
                where = point.decode(errors="replace")
                raise RepositoryError(
                    f"{where} is mounted inside a work tree that is to be removed",
                    hint=f"umount {where}",
                )

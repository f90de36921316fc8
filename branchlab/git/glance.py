"""Where a repository's main work tree is, found by looking at files alone: git itself takes longer than a first frame may.

Only for what may be wrong without harm. Whatever is decided from a repository asks ``git.repository``.
"""

from __future__ import annotations

import os
from pathlib import Path

_POINTER_MAX = 4096
_ASKED_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")


def main_work_tree_near(start: Path) -> Path | None:
    """Return the top of the main work tree that ``start`` or its linked work tree belongs to; None where that is not plain."""
    if any(name in os.environ for name in _ASKED_ELSEWHERE):
        return None
    for folder in (start, *start.parents):
        marker = folder / ".git"
        if marker.is_dir():
            return folder
        if marker.is_file():
            return _main_of_linked(marker)
    return None


def _main_of_linked(marker: Path) -> Path | None:
    try:
        git_dir = marker.parent / _pointer(marker).removeprefix("gitdir: ")
        common = (git_dir / _pointer(git_dir / "commondir")).resolve()
    except (OSError, ValueError):
        return None
    return common.parent if common.name == ".git" and common.is_dir() else None


def _pointer(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(_POINTER_MAX).strip()


class RefsGlance:
    """Says whether refs may have changed, without asking git: a ref is written by a rename, which its folder's time shows.

    Of 10,000 loose refs only the folders are looked at (0.1 ms where git takes 60); which folders there are is read
    again when one of them has changed. Refs in a reftable change a folder too.
    """

    def __init__(self, common_dir: Path) -> None:
        self._common_dir = common_dir
        self._stamps: dict[Path, int] = {}

    def has_changed(self) -> bool:
        """Return whether something has changed since this was last asked; at first it has."""
        found = {path: _changed_at(path) for path in self._stamps}
        if found and found == self._stamps:
            return False
        places = ["refs", "reftable", "worktrees"]
        folders = [Path(top) for place in places for top, _, _ in os.walk(self._common_dir / place)]
        # The folders' times are taken again: what changed between two looks at one is seen at the next question.
        watched = [
            *folders,
            *(self._common_dir / name for name in ("packed-refs", "HEAD", "config")),
        ]
        self._stamps = {path: found.get(path, _changed_at(path)) for path in watched}
        return True


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

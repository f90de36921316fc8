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

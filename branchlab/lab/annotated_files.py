"""Files that comments are written into: read from a commit or a work tree, and written back where nobody has changed them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from branchlab.errors import RepositoryError
from branchlab.git.repository import top_of
from branchlab.lab.project import Project
from branchlab.run_folder import replacing

_SIZE_MAX = 1_500_000
"""Bytes; a larger file is generated."""


def read_tree(project: Project, commit: str, paths: Iterable[str]) -> dict[str, str]:
    """Return the texts of a commit's files, by path; bytes that are no UTF-8 are surrogates in them."""
    found = project.repository.read_files((commit, path) for path in paths)
    return {
        path: text
        for (_, path), text in found.items()
        if text is not None and len(text) < _SIZE_MAX
    }


def read_here(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return the texts of files of the work tree that a folder lies in, by path from its top; as ``read_tree`` does."""
    top = top_of(folder)
    found = {}
    for path in paths:
        place = top / path
        if not place.is_file() or place.is_symlink() or place.stat().st_size > _SIZE_MAX:
            continue
        found[path] = place.read_bytes().decode("utf-8", "surrogateescape")
    return found


def write_here(folder: Path, changes: Mapping[str, tuple[str, str]]) -> None:
    """Write files of a work tree, each given as (text that was read, new text).

    Raises:
        RepositoryError: One has changed since it was read; then none is written.
    """
    top = top_of(folder)
    changed = {path: texts for path, texts in changes.items() if texts[0] != texts[1]}
    now = read_here(folder, changed)
    moved = [path for path, (before, _) in changed.items() if now.get(path) != before]
    if moved:
        raise RepositoryError(
            f"{moved[0]} has been changed meanwhile; nothing was written",
            hint="run the same command again",
        )
    for path, (_, after) in changed.items():
        place = top / path
        with replacing(place) as file:
            file.write(after.encode("utf-8", "surrogateescape"))
            shutil.copymode(place, file.name)

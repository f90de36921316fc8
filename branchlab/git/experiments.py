"""What git remembers of experiments whose branches are gone: a ref that keeps their last tip, and when their files came.

A branch can be deleted by anyone at any time, and takes the experiment's file with it. So its tip is kept under
``refs/branchlab/experiments/`` whenever branchlab has to do with it. The name is written without slashes, or ``exp/a``
would stand in the way of ``exp/a/b``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

from branchlab.git.call import ask, git, object_id, text, to_bytes
from branchlab.git.refs import moment
from branchlab.git.repository import Repository

_KEPT = "refs/branchlab/experiments/"


def keep_experiments(repository: Repository, tips: Mapping[str, str]) -> None:
    """Keep the tips of experiment branches, by their names."""
    lines = "".join(f"update {_ref(name)} {object_id(tip)}\n" for name, tip in tips.items())
    if lines:
        git(repository.root, "update-ref", "--no-deref", "--stdin", stdin=to_bytes(lines))


def kept_experiments(repository: Repository) -> dict[str, tuple[str, datetime]]:
    """Return the kept tips by the branch's name, each with its commit's time."""
    how = "--format=%(refname) %(objectname) %(committerdate:unix)"
    rows = [
        line.split(" ")
        for line in text(git(repository.root, "for-each-ref", how, _KEPT)).splitlines()
    ]
    return {
        unquote(ref.removeprefix(_KEPT), errors="surrogateescape"): (tip, moment(seconds))
        for ref, tip, seconds in rows
    }


def move_kept(repository: Repository, name: str, *, before: str, after: str) -> None:
    """Move a kept tip forward from where it was seen.

    Raises:
        RepositoryError: It is not there any more.
    """
    git(repository.root, "update-ref", _ref(name), object_id(after), object_id(before))


def first_seen(root: Path, folder: str) -> dict[str, datetime]:
    """Return when each file below a folder was first committed, on whichever branch or kept ref."""
    return _additions(root, folder, ["--all"])


def arrivals(root: Path, main: str, folder: str) -> dict[str, datetime]:
    """Return when each file below a folder came to main's own line."""
    return _additions(root, folder, ["--first-parent", "-m", object_id(main)])


def archived(root: Path, tags: Sequence[str]) -> dict[str, datetime]:
    """Return when each of some tags was made; those that are not there are left out."""
    refs = [f"refs/tags/{tag}" for tag in tags]
    how = "--format=%(refname:strip=2)%00%(creatordate:unix)"
    out = text(git(root, "for-each-ref", how, *refs)) if refs else ""
    rows = [line.split("\0") for line in out.splitlines()]
    return {tag: moment(seconds) for tag, seconds in rows if tag in set(tags)}


def _additions(root: Path, folder: str, whose: Sequence[str]) -> dict[str, datetime]:
    how = ("--diff-filter=A", "--no-renames", "--no-ext-diff", "--name-only", "-z")
    out = ask(root, "log", *how, "--format=%x01%ct", *whose, "--", folder, timeout_s=120).out
    found: dict[str, datetime] = {}
    for block in text(out).split("\x01")[1:]:
        seconds, *paths = block.replace("\n", "\0").split("\0")
        for path in filter(None, paths):
            at = moment(seconds)
            found[path] = min(at, found.get(path, at))
    return found


def _ref(name: str) -> str:
    return _KEPT + quote(name, safe="", errors="surrogateescape")

"""What a tree holds besides the descriptions of experiments: the part that trainings depend on, as an id.

A note, a hypothesis or the mark that an experiment has landed is a commit like any other, and changes the tree. Results
would be those of an older commit after every line that is written down. So content is told by the id that the tree would
have without the files ``experiments/<name>.toml``; what a description decides of a training, its flags, is a run's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from branchlab.experiment import FOLDER, is_description
from branchlab.git.call import git, object_id, text
from branchlab.git.memo import Memo

_KIND = "contents-1"
"""Raise the number when the rule changes."""
_SUFFIX = b".toml"
_TREE, _FILES = b"40000", (b"100644", b"100755")
_SIZE_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of a tree object."""

    mode: bytes
    name: bytes
    oid: str

    def packed(self) -> bytes:
        return self.mode + b" " + self.name + b"\0" + bytes.fromhex(self.oid)


def contents(root: Path, trees: Iterable[str], memo: Memo) -> dict[str, str]:
    """Return the id of each tree without the descriptions of experiments; a tree stands for itself where it or its descriptions are missing.

    Args:
        root: Where git is started.
        trees: Ids of trees.
        memo: Keeps what is found, for it never changes.
    """
    wanted = [tree for tree in dict.fromkeys(trees) if tree]
    known = {tree: text(found) for tree, found in memo.get(_KIND, wanted).items()}
    new = [tree for tree in wanted if tree not in known]
    if new:
        found = _read(root, new)
        memo.put(_KIND, {tree: content.encode() for tree, content in found.items()})
        known |= found
    return {tree: known.get(tree, tree) for tree in wanted}


def _read(root: Path, trees: list[str]) -> dict[str, str]:
    """Return the ids of trees of which all is there that decides them: what a partial clone lacks may come later."""
    tops = {tree: list(_entries(raw, tree)) for tree, raw in _objects(root, trees).items()}
    folders = {
        entry.oid
        for top in tops.values()
        for entry in top
        if entry.name == FOLDER.encode() and entry.mode == _TREE
    }
    inside = {oid: list(_entries(raw, oid)) for oid, raw in _objects(root, folders).items()}
    blobs = {entry.oid for listed in inside.values() for entry in listed if _may_describe(entry)}
    read = _objects(root, blobs)
    described = {oid for oid, raw in read.items() if _describes(raw)}
    lacking = (folders - inside.keys()) | {
        oid
        for oid, listed in inside.items()
        if any(_may_describe(entry) and entry.oid not in read for entry in listed)
    }
    without = {
        oid: [e for e in listed if not (_may_describe(e) and e.oid in described)]
        for oid, listed in inside.items()
    }
    return {
        tree: _id_without(tree, top, without)
        for tree, top in tops.items()
        if not any(entry.oid in lacking for entry in top)
    }


def _id_without(tree: str, top: list[_Entry], without: dict[str, list[_Entry]]) -> str:
    """Return the id of a tree in which the folder of experiments is another one, or gone where nothing is left in it."""
    kept = []
    for entry in top:
        left = without.get(entry.oid) if entry.mode == _TREE else None
        if left is None or entry.name != FOLDER.encode():
            kept.append(entry)
        elif left:
            kept.append(_Entry(entry.mode, entry.name, _id_of(left, like=tree)))
    return _id_of(kept, like=tree)


def _id_of(entries: list[_Entry], *, like: str) -> str:
    body = b"".join(entry.packed() for entry in entries)
    digest = hashlib.sha1 if len(like) == 40 else hashlib.sha256  # noqa: PLR2004  git's own
    return digest(b"tree %d\0" % len(body) + body).hexdigest()


def _may_describe(entry: _Entry) -> bool:
    return entry.mode in _FILES and entry.name.endswith(_SUFFIX)


def _describes(raw: bytes) -> bool:
    return len(raw) <= _SIZE_MAX and is_description(raw.decode("utf-8", "replace"))


def _entries(raw: bytes, tree: str) -> Iterator[_Entry]:
    size, at = len(tree) // 2, 0
    while at < len(raw):
        end = raw.index(b"\0", at)
        mode, _, name = raw[at:end].partition(b" ")
        at = end + 1 + size
        yield _Entry(mode, name, raw[end + 1 : at].hex())


def _objects(root: Path, oids: Iterable[str]) -> dict[str, bytes]:
    """Return objects as they are stored, in one process; what is missing is left out."""
    asked = sorted({object_id(oid) for oid in oids})
    if not asked:
        return {}
    out = git(root, "cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in asked).encode())
    found: dict[str, bytes] = {}
    at = 0
    for oid in asked:
        end = out.index(b"\n", at)
        *_, size = out[at:end].split(b" ")
        at = end + 1
        if size.isdigit():
            found[oid] = out[at : at + int(size)]
            at += int(size) + 1
    return found

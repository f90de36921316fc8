"""What two revisions differ in, as lines for somebody to read: the list of files first, the hunks of one file when asked.

A file's patch is read by itself, because nobody looks at all of them and one of them may be huge. Nothing is read of what
is no text or too large; what it is instead is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from branchlab.git.call import git, object_id, text, to_bytes

LINES_MAX = 20_000
"""Changed lines of a file; more are generated."""
FILES_MAX = 5_000
_SIZE_MAX = 1_500_000
_LINE_LENGTH_MAX = 2_000
_CONTEXT = 4
_ABSENT, _SYMLINK, _SUBMODULE = "000000", "120000", "160000"
_HOW = ("-r", "-M", "-l2000", "--no-abbrev", "--no-ext-diff", "--no-textconv", "--submodule=short")
_HEAD = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)", re.DOTALL)


class Mark(StrEnum):
    """What a line of a hunk is: in both, in the new version alone, or in the old one alone."""

    BOTH = " "
    ADDED = "+"
    REMOVED = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """One path that differs.

    Attributes:
        path: In the new version; in the old one where it is gone.
        old_path: Where git sees a rename or a copy; the same as ``path`` otherwise.
        letter: Git's: A added, M modified, D deleted, R renamed, C copied, T another type.
        added, removed: Lines; None where git sees no text.
        modes: Octal file modes before and after. ``blobs``: ids of the contents, all zeros for nothing.
    """

    path: str
    old_path: str
    letter: str
    added: int | None
    removed: int | None
    modes: tuple[str, str]
    blobs: tuple[str, str]

    @property
    def remark(self) -> str:
        """What there is to know besides its lines, in a few words."""
        before, after = self.modes
        if _SUBMODULE in self.modes:
            return "submodule"
        if _SYMLINK in self.modes:
            return "symbolic link"
        parts = [f"from {self.old_path}"] if self.old_path != self.path else []
        if _ABSENT not in self.modes and before != after:
            parts.append(f"mode {before[-3:]} to {after[-3:]}")
        if self.added is None:
            parts.append("binary")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """A line of a hunk; ``old`` and ``new`` are its numbers from 1, None in the version that lacks it."""

    mark: Mark
    text: str
    old: int | None
    new: int | None
    ends_without_newline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """A stretch of changed lines with what is around it; ``scope`` is the function that git names."""

    old_start: int
    new_start: int
    scope: str
    lines: tuple[DiffLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePatch:
    """The hunks of one file; ``said`` says why there are none, or not all."""

    file: ChangedFile
    hunks: tuple[Hunk, ...] = ()
    said: str = ""


def changed_files(root: Path, base: str, head: str) -> tuple[list[ChangedFile], int]:
    """Return what differs between two commits or trees by path, at most 5,000, and how many were left out."""
    out = git(
        root, "diff-tree", "-z", "--raw", "--numstat", *_HOW, object_id(base), object_id(head)
    )
    entries, counts = _entries(text(out))
    found = [
        ChangedFile(
            path=path,
            old_path=old_path,
            letter=letter,
            added=counts.get(path, (None, None))[0],
            removed=counts.get(path, (None, None))[1],
            modes=modes,
            blobs=blobs,
        )
        for letter, old_path, path, modes, blobs in islice(entries, FILES_MAX)
    ]
    return found, max(0, len(entries) - FILES_MAX)


def file_patch(root: Path, base: str, head: str, file: ChangedFile) -> FilePatch:
    """Return the hunks of one changed file."""
    said = _why_unread(root, file)
    if said:
        return FilePatch(file=file, said=said)
    paths = dict.fromkeys((file.old_path, file.path))
    out = git(
        root,
        "--literal-pathspecs",
        *("diff-tree", "-p", f"-U{_CONTEXT}", *_HOW, object_id(base), object_id(head)),
        "--",
        *paths,
    )
    hunks = tuple(_hunks(out.split(b"\n")))
    return FilePatch(file=file, hunks=hunks, said="" if hunks else _why_empty(file))


def _why_unread(root: Path, file: ChangedFile) -> str:
    """Return why a file has no lines to show; empty where it has."""
    if _SUBMODULE in file.modes:
        before, after = (_short(blob) for blob in file.blobs)
        return f"a submodule: it goes from {before} to {after}"
    if file.added is None:
        return "binary: it has no lines to show"
    num_lines = file.added + (file.removed or 0)
    if num_lines > LINES_MAX:
        return f"{num_lines:,} lines differ: too many to show here"
    largest = max(_sizes(root, file.blobs), default=0)
    if num_lines and largest > _SIZE_MAX:
        return f"it has {largest:,} bytes: too many to show here"
    return ""


def _why_empty(file: ChangedFile) -> str:
    before, after = file.modes
    if file.old_path != file.path and file.blobs[0] == file.blobs[1]:
        return f"only its name changes: it was {file.old_path}"
    if _ABSENT in {before, after}:
        return f"an empty file, {'added' if before == _ABSENT else 'deleted'}"
    if before != after:
        return f"only its mode changes: {before[-3:]} to {after[-3:]}"
    return "its lines are the same"


def _short(blob: str) -> str:
    return blob[:10] if blob.strip("0") else "nothing"


def _sizes(root: Path, blobs: Sequence[str]) -> list[int]:
    wanted = [object_id(blob) for blob in blobs if blob.strip("0")]
    out = git(
        root,
        "cat-file",
        "--batch-check=%(objectsize)",
        stdin="".join(f"{blob}\n" for blob in wanted).encode(),
    )
    return [int(word) for word in out.split() if word.isdigit()]


_Entry = tuple[str, str, str, tuple[str, str], tuple[str, str]]
_Counts = dict[str, tuple[int | None, int | None]]


def _entries(out: str) -> tuple[list[_Entry], _Counts]:
    """Return letters, paths, modes and ids from ``--raw``, and the counts by new path from ``--numstat``."""
    entries: list[_Entry] = []
    counts: _Counts = {}
    tokens = iter(out.split("\0"))
    for token in tokens:
        if token.startswith(":"):
            before, after, old, new, letter = token[1:].split(" ")
            path = next(tokens)
            to = next(tokens) if letter[0] in "RC" else path
            entries.append((letter[0], path, to, (before, after), (old, new)))
        elif "\t" in token:
            added, removed, path = token.split("\t", 2)
            if not path:  # of a rename both paths follow
                next(tokens)
                path = next(tokens)
            counts[path] = (_count(added), _count(removed))
    return entries, counts


def _count(word: str) -> int | None:
    return int(word) if word.isdigit() else None


def _hunks(rows: Sequence[bytes]) -> Iterator[Hunk]:
    """Yield the hunks of a patch. A line of a file always begins with a mark, so a header is never taken for one."""
    lines: list[DiffLine] = []
    begun: tuple[int, int, str] | None = None
    old = new = 0
    for row in rows:
        head = _HEAD.fullmatch(text(row)) if row.startswith(b"@@ ") else None
        if head is not None or row.startswith(b"diff --git "):
            if begun is not None:
                yield Hunk(
                    old_start=begun[0], new_start=begun[1], scope=begun[2], lines=tuple(lines)
                )
            lines, begun = [], None
            if head is not None:
                old, new = int(head[1]), int(head[2])
                begun = old, new, _decoded(to_bytes(head[3]))
        elif begun is not None and row[:1] in {b" ", b"+", b"-"}:
            mark = Mark(row[:1].decode())
            line = DiffLine(
                mark=mark,
                text=_decoded(row[1:]),
                old=None if mark is Mark.ADDED else old,
                new=None if mark is Mark.REMOVED else new,
            )
            lines.append(line)
            old += mark is not Mark.ADDED
            new += mark is not Mark.REMOVED
        elif begun is not None and row.startswith(b"\\") and lines:
            last = lines[-1]
            lines[-1] = DiffLine(
                mark=last.mark,
                text=last.text,
                old=last.old,
                new=last.new,
                ends_without_newline=True,
            )
    if begun is not None:
        yield Hunk(old_start=begun[0], new_start=begun[1], scope=begun[2], lines=tuple(lines))


def _decoded(row: bytes) -> str:
    """Return a line as text: UTF-8, else Latin-1, which takes any byte; cut where nobody reads on."""
    try:
        line = row.decode()
    except UnicodeDecodeError:
        line = row.decode("latin-1")
    return line if len(line) <= _LINE_LENGTH_MAX else f"{line[:_LINE_LENGTH_MAX]}…"

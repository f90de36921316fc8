"""What a run's folder on another machine holds beyond the one here, piece by piece, so that both become equal.

The reader says what it has, and is given what comes next: a question that was lost on the way is asked again, and an answer
that comes twice changes nothing. Logs and events grow and are read from an offset; any other file is replaced whole, as
the processes that train do, and the version that is being sent is held open, whatever replaces it meanwhile. A result comes
after all else: an attempt that has one has everything.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

PIECE_BYTES_MAX = 4 << 20
_GROWING = ("events.jsonl", "usage.jsonl", "log.txt")
_RESULT = "result.json"
_NOT_SENT = {"run.json", "record.json", "lease", "stop", "job.json", "pulse", "told.jsonl"}
"""What only the machine itself is concerned with, or was sent there."""
_SELDOM = ("checkpoints/", "files/")
"""What may be large and changes often: sent only so often, and last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Part of a file.

    Attributes:
        path: Within the run's folder.
        version: Which file of this name; "" for one that only grows.
        is_last: Whether the file is whole with it. What grows is never whole.
    """

    path: str
    version: str
    offset: int
    content: bytes
    is_last: bool = True


Had = Mapping[str, tuple[str, int]]
"""What a reader has: version and number of bytes by path."""


class Source:
    """Reads a run's folder for somebody who has part of it."""

    def __init__(self, folder: Path, *, checkpoint_every_s: float = 0.0) -> None:
        self._folder = folder
        self._every_s = checkpoint_every_s
        self._sent_at: dict[str, float] = {}
        self._open: dict[str, tuple[str, BinaryIO]] = {}

    def pieces(self, had: Had, *, num_bytes_max: int, is_over: bool = False) -> list[Piece]:
        """Return what comes next, at most so many bytes; nothing when the reader has all.

        Until the run ``is_over``, its result is withheld, and a checkpoint is sent only so often.
        """
        found: list[Piece] = []
        left = num_bytes_max
        for path in self._paths():
            if left <= 0:
                break
            for piece in self._of(path, had, left, is_over=is_over):
                found.append(piece)
                left -= len(piece.content)
        if is_over and not found:
            with contextlib.suppress(StopIteration):
                result = next(self._folder.glob(f"attempts/*/{_RESULT}"))
                found += self._of_whole(self._name(result), had, num_bytes_max)
        return found

    def close(self) -> None:
        """Let go of what is being sent."""
        while self._open:
            self._open.popitem()[1][1].close()

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _paths(self) -> list[str]:
        """Return what there is: what is watched first, what is large last."""
        paths = [
            self._name(Path(parent) / name)
            for parent, _, names in os.walk(self._folder)
            for name in names
            if name not in _NOT_SENT and name != _RESULT and not name.startswith(".")
        ]
        return sorted(paths, key=lambda p: (_rank(p), p.startswith(_SELDOM), p))

    def _of(self, path: str, had: Had, left: int, *, is_over: bool) -> Iterator[Piece]:
        if PurePosixPath(path).name in _GROWING:
            yield from self._of_growing(path, had, left)
            return
        is_new = not self._is_being_sent(path, had)
        if path.startswith(_SELDOM) and is_new and not is_over:
            now = time.monotonic()
            if now - self._sent_at.get(path, float("-inf")) < self._every_s:
                return
            self._sent_at[path] = now
        yield from self._of_whole(path, had, left)

    def _of_growing(self, path: str, had: Had, left: int) -> Iterator[Piece]:
        offset = had.get(path, ("", 0))[1]
        with contextlib.suppress(OSError), (self._folder / path).open("rb") as file:
            # A log that flooded was cut shorter than what was read of it: from the start again.
            offset = offset if offset <= file.seek(0, os.SEEK_END) else 0
            file.seek(offset)
            content = file.read(min(left, PIECE_BYTES_MAX))
            if content or path not in had:
                yield Piece(path=path, version="", offset=offset, content=content)

    def _is_being_sent(self, path: str, had: Had) -> bool:
        """Whether the reader lacks the rest of the version that is held open; what it has whole is let go of."""
        if path not in self._open:
            return False
        current, file = self._open[path]
        version, offset = had.get(path, ("", 0))
        if version == current and offset >= os.fstat(file.fileno()).st_size:
            self._open.pop(path)[1].close()
            return False
        return True

    def _of_whole(self, path: str, had: Had, left: int) -> Iterator[Piece]:
        version, offset = had.get(path, ("", 0))
        if not self._is_being_sent(path, had):
            try:
                file: BinaryIO = (self._folder / path).open("rb")
            except OSError:
                return
            current, size = _version(file)
            if current == version and offset >= size:
                file.close()
                return
            self._open[path] = current, file
        current, file = self._open[path]
        at = offset if current == version else 0
        size = os.fstat(file.fileno()).st_size
        while left > 0:
            file.seek(at)
            content = file.read(min(left, PIECE_BYTES_MAX))
            end = at + len(content)
            is_last = end >= size or not content
            yield Piece(path=path, version=current, offset=at, content=content, is_last=is_last)
            if is_last:
                return
            at, left = end, left - len(content)


class Copy:
    """Writes pieces into a run's folder, and knows what it has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.had: dict[str, tuple[str, int]] = {}
        for part in folder.glob("**/.*.part"):  # of a copy whose process was killed
            part.unlink(missing_ok=True)

    def take(self, piece: Piece) -> None:
        """Write a piece; one that is no continuation of what is here, or starts a file anew, is left out.

        Raises:
            OSError: The disk is full, for instance.
            ValueError: The piece belongs outside of the folder.
        """
        place = self._place(piece.path)
        version, size = self.had.get(piece.path, ("", 0))
        if piece.offset and (piece.version != version or piece.offset > size):
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if not piece.version:
            _write_at(place, piece)
        else:
            beside = place.with_name(f".{place.name}.{os.getpid()}.part")
            _write_at(beside, piece)
            if piece.is_last:
                with beside.open("rb") as file:
                    os.fsync(file.fileno())
                beside.replace(place)
        self.had[piece.path] = piece.version, piece.offset + len(piece.content)

    def _place(self, path: str) -> Path:
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or PurePosixPath(path).is_absolute():
            raise ValueError(f"{path!r} is no place within a run's folder")
        return self._folder.joinpath(*parts)


def whole_file(folder: Path, path: str) -> Iterator[Piece]:
    """Yield a file in pieces, for somebody who has nothing of it; nothing when it is not there."""
    try:
        file = (folder / path).open("rb")
    except FileNotFoundError:
        return
    with file:
        version, size = _version(file)
        at = 0
        while True:
            content = file.read(PIECE_BYTES_MAX)
            end = at + len(content)
            is_last = end >= size or not content
            yield Piece(path=path, version=version, offset=at, content=content, is_last=is_last)
            if is_last:
                return
            at = end


def _rank(path: str) -> int:
    name = PurePosixPath(path).name
    return _GROWING.index(name) if name in _GROWING else len(_GROWING)


def _version(file: BinaryIO) -> tuple[str, int]:
    found = os.fstat(file.fileno())
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}", found.st_size


def _write_at(place: Path, piece: Piece) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(place, flags, 0o644)
    try:
        os.ftruncate(fd, piece.offset)
        os.lseek(fd, piece.offset, os.SEEK_SET)
        rest = memoryview(piece.content)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)

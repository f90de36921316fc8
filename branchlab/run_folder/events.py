"""Lines that are appended one write each, and read from any offset."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from branchlab.run_folder.files import JSON, to_text

_CRC_TAIL = len(',"crc32":"00000000"}')


class EventWriter:
    """Appends events to an attempt, each with one ``write``, so that a kill loses none that was acknowledged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
        self._seq = 0
        self._is_torn = False

    def follow(self) -> None:
        """Go on after what another process has appended meanwhile; it may have been killed within a line."""
        events = read_events(self._path).events
        self._seq = 1 + max((event["seq"] for event in events), default=-1)
        content = self._path.read_bytes()
        self._is_torn = bool(content) and not content.endswith(b"\n")

    def close(self) -> None:
        """Give the descriptor back; who writes until it ends need not."""
        os.close(self._fd)

    def write(self, kind: str, **values: object) -> None:
        """Append one event; ``values`` must be plain types."""
        body = json.dumps(
            {"seq": self._seq, "at": to_text(datetime.now(UTC)), "kind": kind, **values},
            separators=(",", ":"),
        ).encode()
        line = body[:-1] + b',"crc32":"%08x"}\n' % zlib.crc32(body)
        if self._is_torn:
            line = b"\n" + line
        written = os.write(self._fd, line)
        if written != len(line):
            # A full disk writes short. The next line ends this one first, so that it stands alone.
            self._is_torn = True
            raise OSError(
                f"event {self._seq} was cut at {written} of {len(line)} bytes: is the disk full?"
            )
        self._seq += 1
        self._is_torn = False


@dataclass(frozen=True, slots=True)
class EventChunk:
    """Events read from some offset on, and where the next reading starts."""

    events: tuple[JSON, ...]
    next_offset: int
    num_damaged: int


def parse_event(line: bytes) -> JSON | None:
    """Return the event of a line, or None when its checksum does not hold."""
    body = line[:-_CRC_TAIL] + b"}"
    if line[-_CRC_TAIL:] != b',"crc32":"%08x"}' % zlib.crc32(body):
        return None
    try:
        event = json.loads(body)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def read_events(path: Path, *, offset: int = 0, size_max: int = 64 << 20) -> EventChunk:
    """Return the whole lines after ``offset``; a line still being written is left for the next reading."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(size_max)
    except OSError:
        return EventChunk((), offset, 0)
    whole = content[: content.rfind(b"\n") + 1]
    lines = [line for line in whole.split(b"\n") if line]
    events = tuple(event for line in lines if (event := parse_event(line)) is not None)
    return EventChunk(events, offset + len(whole), len(lines) - len(events))

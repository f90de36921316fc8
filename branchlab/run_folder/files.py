"""Writing a file whole, and moments as text."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

JSON = dict[str, Any]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that takes a place once it is whole and synced.

    A reader sees the old file or the new one, also after a power cut; what raises on the way leaves the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, sync and rename."""
    with replacing(path) as file:
        file.write(content)


def to_text(moment: datetime | None) -> str | None:
    """Return an aware moment as ``2026-11-23T10:00:00.123Z``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str | None) -> datetime | None:
    """Return the moment that ``to_text`` wrote."""
    return None if text is None else datetime.fromisoformat(text)

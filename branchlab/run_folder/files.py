"""Writing a file whole, and moments as text."""

from __future__ import annotations

import contextlib
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

JSON = dict[str, Any]


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, sync and rename: a reader sees the old file or the new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def to_text(moment: datetime | None) -> str | None:
    """Return an aware moment as ``2026-11-23T10:00:00.123Z``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str | None) -> datetime | None:
    """Return the moment that ``to_text`` wrote."""
    return None if text is None else datetime.fromisoformat(text)

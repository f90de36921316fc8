"""The checkpoints that a project's own script writes: which is the newest, and whether it is whole.

A script that is killed while it saves leaves half a file, often under the name of the only one that there is. What torch,
safetensors and zip write says how long it must be; of any other kind a file that is not empty has to be believed.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

_LOOKED_AT_MAX = 100
_ZIP = b"PK\x03\x04"
_HEADER_BYTES_MAX = 100 << 20
"""Of safetensors (its format's own limit)."""


def newest_whole(folder: Path, pattern: str) -> Path | None:
    """Return the newest whole file below ``folder`` that a glob matches; None where there is none.

    A pattern without a slash is looked for at any depth.
    """
    for path in _newest_first(folder, pattern):
        if is_whole(path):
            return path
    return None


def is_whole(path: Path) -> bool:
    """Whether a file has all that its own format says it has."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_ZIP))
        if head == _ZIP:
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        if path.suffix == ".safetensors":
            return _is_whole_safetensors(path)
        return bool(head.strip(b"\0"))
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def _newest_first(folder: Path, pattern: str) -> Iterator[Path]:
    wanted = pattern if "/" in pattern else f"**/{pattern}"
    found: list[tuple[float, str]] = []
    for path in folder.glob(wanted):
        try:
            if path.is_file():
                found.append((path.stat().st_mtime, os.fspath(path)))
        except OSError:
            continue
    for _, name in sorted(found, reverse=True)[:_LOOKED_AT_MAX]:
        yield Path(name)


def _is_whole_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(8)
        (length,) = struct.unpack("<Q", head) if len(head) == 8 else (0,)  # noqa: PLR2004  its first number
        if not 0 < length <= _HEADER_BYTES_MAX:
            return False
        tensors = json.loads(file.read(length))
        ends = [t["data_offsets"][1] for n, t in tensors.items() if n != "__metadata__"]
    return bool(path.stat().st_size == 8 + length + max(ends, default=0))

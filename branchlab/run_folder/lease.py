"""Locks that the kernel frees when their owner is gone, and who the owner is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, *, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold an exclusive flock on ``path``; yields whether it was had within ``wait_s`` seconds.

    flock, not POSIX locks: those are lost when the owner closes any other descriptor of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield _try_lock(fd, until=time.monotonic() + wait_s)
    finally:
        os.close(fd)


def _try_lock(fd: int, *, until: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        else:
            return True

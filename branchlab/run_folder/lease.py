"""Locks that the kernel frees when their owner is gone, and who the owner is.

On one machine the lock alone tells whether anybody works on a run. Between machines it may not (a network file system
need not carry flock), so the owner also writes down who it is; what it leaves on the disk every few seconds is its breath.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that stands for a run, told apart from any other that ever had its number.

    Attributes:
        boot: Id of the machine's start, "" where there is none. ``started``: clock ticks from then to the process's own.
        job: What a cluster calls it, for instance ``slurm:17_3``; "" for a run of this machine.
        is_for_one: Whether it stands for this run alone, so that a signal to it is meant for the run.
    """

    pid: int
    boot: str
    started: int
    host: str
    job: str = ""
    is_for_one: bool = True

    @classmethod
    def me(cls, *, job: str = "", is_for_one: bool = True) -> Holder:
        """Return this process."""
        pid = os.getpid()
        started = _start_time(pid) or 0
        return cls(
            pid=pid,
            boot=boot_id(),
            started=started,
            host=platform.node(),
            job=job,
            is_for_one=is_for_one,
        )

    @property
    def is_of_this_machine(self) -> bool:
        """Whether it is or was a process of this machine, perhaps before its last start."""
        return self.boot == boot_id() or self.host == platform.node()

    @property
    def is_alive(self) -> bool:
        """Whether exactly this process lives on this machine."""
        return self.boot == boot_id() and _start_time(self.pid) == self.started


@functools.cache
def boot_id() -> str:
    """Return what tells one start of this machine from any other; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> int | None:
    """Return when a process started; None when there is none, 0 where the system does not tell."""
    try:
        # The name in parentheses may hold anything; start time is the 22nd field, the 20th after it.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, ValueError, IndexError):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0


def write_holder(lease: Path, holder: Holder) -> None:
    """Say who holds a lease; only its holder does."""
    lease.write_text(json.dumps(asdict(holder)))


def read_holder(lease: Path) -> Holder | None:
    """Return who holds or held a lease last; None where nobody has said so."""
    try:
        return Holder(**json.loads(lease.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


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

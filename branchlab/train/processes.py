"""Processes that end cleanly: waking up on signals, and leaving no descendant behind.

A process group misses children that made a session of their own, and a list of children misses daemons; a subreaper
that kills until no child is left missed none (measured with six kinds of descendants). Where there is no subreaper
(macOS) the process group has to serve.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path

RUN_VARIABLE = "BRANCHLAB_RUN"
"""Holds the run's folder in the environment of whatever a run starts, so that what escaped is found again."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Waker:
    """Lets a loop sleep until a signal, a readable descriptor or a time-out comes."""

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._receiver, self._sender = socket.socketpair()
        for end in (self._receiver, self._sender):
            end.settimeout(0)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, lambda *_: None)

    def wait(self, *descriptors: int, timeout_s: float | None = None) -> tuple[set[int], set[int]]:
        """Return the descriptors that are readable and the signals that came."""
        readable, _, _ = select.select([self._receiver.fileno(), *descriptors], [], [], timeout_s)
        came: set[int] = set()
        if self._receiver.fileno() in readable:
            with contextlib.suppress(BlockingIOError):
                came = set(self._receiver.recv(4096))
        return set(readable), came

    def close(self) -> None:
        """Give the descriptors back; a forked child does this first."""
        signal.set_wakeup_fd(-1)
        self._receiver.close()
        self._sender.close()


def become_subreaper() -> None:
    """Adopt descendants whose parent ends, so that they can be found and ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when ``parent``, which forked it, ends (Linux; the parent has one thread)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended in between
            os._exit(1)


def end_strays(variable: str, value: str) -> None:
    """Kill processes of this user that carry a variable in their environment: what escaped an attempt that was killed."""
    mark = f"{variable}={value}".encode()
    for place in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in place.read_bytes().split(b"\0"):
                os.kill(int(place.parent.name), signal.SIGKILL)


def children() -> list[int]:
    """Return the direct children of this process, adopted ones included (Linux)."""
    found: list[int] = []
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in task.read_text().split()]
    return found


def end_descendants(group: int, *, within_s: float = 10.0) -> None:
    """Kill a process group and every descendant of this process until none is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        for pid in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def detach_streams(log: Path | None) -> None:
    """Point stdin at nothing, and stdout and stderr at a log file (or nothing)."""
    null = os.open(os.devnull, os.O_RDWR)
    target = (
        null
        if log is None
        else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
    )
    os.dup2(null, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    for fd in {null, target} - {0, 1, 2}:
        os.close(fd)

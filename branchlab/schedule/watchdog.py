"""Ends what holds a run and does not work on it: a shim that is stopped, or a process that escaped one that was killed.

The bounds of a run are kept by its shim. When the shim itself stands still (SIGSTOP, a debugger) nobody keeps them, and
its lease is held for ever; when it is gone and a process that it should have ended still has the lease open, likewise.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from branchlab.run_folder import RunFolder, locked, read_holder

_STILL_FOR_S = 30.0
"""A shim breathes every two seconds. Counted by a clock that stands still while the machine sleeps."""
_GONE_FOR_S = 2.0


@dataclass(frozen=True, slots=True)
class _Breath:
    pid: int
    moment: float
    seen_at: float
    is_gone: bool


class Watchdog:
    """Looks after runs that this machine holds."""

    def __init__(self) -> None:
        self._breaths: dict[str, _Breath] = {}

    def look(self, folder: RunFolder) -> None:
        """Look at a run whose lease is held; ends its holder when that has stood still for long."""
        holder, latest = read_holder(folder.lease), folder.latest()
        if holder is None or latest is None or not holder.is_of_this_machine:
            return
        if (
            not holder.is_for_one
        ):  # a command that stands for runs on other machines, this one perhaps
            return
        try:
            moment = latest.usage.stat().st_mtime
        except OSError:
            moment = 0.0
        now, is_gone = time.monotonic(), not holder.is_alive
        breath = self._breaths.get(folder.path.name)
        if breath is None or (breath.pid, breath.moment, breath.is_gone) != (
            holder.pid,
            moment,
            is_gone,
        ):
            self._breaths[folder.path.name] = _Breath(holder.pid, moment, now, is_gone)
        elif is_gone and now - breath.seen_at > _GONE_FOR_S:
            _end_whoever_has_open(folder.lease)
        elif now - breath.seen_at > _STILL_FOR_S:
            # Its trainer ends with it, whatever state it is in.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(holder.pid, signal.SIGKILL)


def release_slots(slots: Path) -> None:
    """End shims that hold a slot of this machine and stand still although their run has its result (Linux)."""
    for slot in slots.glob("*"):
        with locked(slot) as is_free:
            if is_free:
                continue
        folder = run_of_slot(slot)
        latest = folder.latest() if folder is not None else None
        if folder is None or latest is None or latest.read_result() is None:
            continue
        holder = read_holder(folder.lease)
        if holder is not None and holder.is_alive and holder.is_for_one and _is_stopped(holder.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(holder.pid, signal.SIGKILL)


def run_of_slot(slot: Path) -> RunFolder | None:
    """Return the run that holds a slot, or held it last."""
    try:
        text = slot.read_text()
    except OSError:
        return None
    return RunFolder(Path(text)) if text else None


def _is_stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] in {b"T", b"t"}


def _end_whoever_has_open(path: Path) -> None:
    """Kill processes of this user that have a file open (Linux), this one excepted."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            pid = int(link.parts[2])
            if pid != os.getpid() and link.readlink() == path:
                os.kill(pid, signal.SIGKILL)

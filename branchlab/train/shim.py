"""Whoever stands for a run: takes its lease, forks the trainer, watches over it, and sees to it that it has a result.

A shim is a session of its own and a subreaper. It bounds the time, the silence and the log of its trainer, samples what
it takes of the machine, ends every descendant, and writes a result when the trainer could not. It outlives whoever
started it, unless the order names a parent with which it ends; its trainer does not outlive it, so that nothing trains unwatched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from branchlab.domain import RunState
from branchlab.errors import BranchlabError
from branchlab.run_folder import LOST, Attempt, EventWriter, Holder, RunFolder, locked, write_holder
from branchlab.train import exits
from branchlab.train.processes import (
    RUN_VARIABLE,
    Waker,
    become_subreaper,
    detach_streams,
    die_with_parent,
    end_descendants,
    end_strays,
)
from branchlab.train.usage import Gauge, out_of_memory_kills
from branchlab.train.work import Order, work

STOP_NOW = signal.SIGUSR1
"""Ends a run without waiting for a checkpoint; SIGTERM lets it write one first."""

_LOG_BYTES_MAX = 64 << 20
_LOG_BYTES_KEPT = 8 << 20
_GRACE_S = 30.0
_BREATHLESS_S = 180.0
"""Longer than a breath is taken for one, see ``branchlab.run_folder``."""
_SAMPLE_EVERY_S = 2.0


def stand_for(order: Order) -> int:
    """Carry an order out in this process, which becomes the run's shim; return the exit code."""
    # Before anything is recorded: a stop that comes early finds a shim that will hear of it.
    waker = Waker([signal.SIGCHLD, signal.SIGTERM, STOP_NOW])
    become_subreaper()
    folder = RunFolder(order.run_folder)
    with _slot(order) as has_slot, locked(folder.lease, wait_s=2.0) as is_ours:
        if not is_ours or _is_worked_on(order, folder) or not _is_wanted(order, folder):
            return exits.ELSEWHERE
        if not has_slot:
            return exits.BUSY
        folder.stop.unlink(missing_ok=True)  # what is asked from here on is asked of this attempt
        end_strays(RUN_VARIABLE, str(folder.path))
        latest = folder.latest()
        if latest is not None:
            latest.write_result(RunState.LOST, reason=LOST)
        attempt = folder.attempt(max(order.attempt, folder.attempts() + 1))
        attempt.path.mkdir(parents=True)
        attempt.pulse.touch()
        write_holder(folder.lease, Holder.me(job=order.job))
        return _Watch(order, folder, attempt, waker).supervise()


@contextlib.contextmanager
def _slot(order: Order) -> Iterator[bool]:
    if order.slot is None:
        yield True
        return
    with locked(order.slot) as is_free:
        if is_free:
            order.slot.write_text(
                str(order.run_folder)
            )  # who waits for the slot finds whom it waits for
        yield is_free


def _is_wanted(order: Order, folder: RunFolder) -> bool:
    """Whether the attempt still has to be made. A job that its cluster starts anew goes on with what it left, unless it was taken back."""
    latest = folder.latest()
    result = latest.read_result() if latest is not None else None
    if result is not None and result["state"] == RunState.DONE:
        return False
    if order.is_restart:
        return folder.read_job() is not None
    return folder.attempts() < order.attempt


def _is_worked_on(order: Order, folder: RunFolder) -> bool:
    """Whether another machine works on the run. A job that is started anew waits: its lost node may be cut off, and alive."""
    until = time.monotonic() + (_BREATHLESS_S if order.is_restart else 0.0)
    while folder.breathes_elsewhere():
        if time.monotonic() >= until:
            return True
        time.sleep(1.0)
    return False


class _Watch:
    """One attempt, from the fork of its trainer to its result."""

    def __init__(self, order: Order, folder: RunFolder, attempt: Attempt, waker: Waker) -> None:
        self._order, self._folder, self._attempt, self._waker = order, folder, attempt, waker
        self._stop_by = float("inf")
        self._is_asked = False
        self._pulse, self._felt_at = 0.0, time.monotonic()

    def supervise(self) -> int:
        kills_before, shim = out_of_memory_kills(), os.getpid()
        trainer = os.fork()
        if trainer == 0:
            die_with_parent(shim)
            leave(_trainer, self._order, self._attempt, self._waker)
        gauge = Gauge(trainer, _visible(self._order))
        usage = EventWriter(self._attempt.usage)
        started, sampled_at = time.monotonic(), float("-inf")
        reason, status = "", None
        while status is None:
            _, came = self._waker.wait(timeout_s=min(1.0, self._order.timeout_s))
            self._hear(came, trainer)
            reason = reason or self._trouble(time.monotonic() - started)
            if reason or self._is_abandoned() or time.monotonic() > self._stop_by:
                os.kill(trainer, signal.SIGKILL)
            bound_log(self._attempt.log)
            pid, ended, spent = os.wait4(trainer, os.WNOHANG)
            status = ended if pid else None
            if pid or time.monotonic() - sampled_at >= _SAMPLE_EVERY_S:
                sampled_at = time.monotonic()
                with contextlib.suppress(OSError):  # a full disk ends no training
                    usage.write("usage", **(gauge.sum_up(spent) if pid else gauge.read()))
        end_descendants(trainer)
        if self._is_abandoned():
            return exits.ELSEWHERE
        self._see_to_result(os.waitstatus_to_exitcode(status), reason, kills_before)
        if self._order.job and self._is_stopped_by_cluster():
            return exits.AGAIN
        self._folder.forget_job()
        return 0

    def _hear(self, came: set[int], trainer: int) -> None:
        """Pass a request to stop on, whether it came as a signal or as a file."""
        asked = ""
        with contextlib.suppress(OSError):
            asked = self._folder.stop.read_text() or "checkpoint"
        if (signal.SIGTERM in came or asked) and not self._is_asked:
            self._is_asked = True
            self._stop_by = min(self._stop_by, time.monotonic() + _GRACE_S)
            os.kill(trainer, signal.SIGTERM)
        if STOP_NOW in came or asked == "now":
            self._stop_by = 0.0

    def _is_abandoned(self) -> bool:
        """Whether the process with which this one ends is gone. Asked, not told by the kernel: that watches a thread alone."""
        return self._order.parent not in {0, os.getppid()}

    def _trouble(self, elapsed_s: float) -> str:
        order = self._order
        if elapsed_s > order.timeout_s:
            return f"it took longer than [run] timeout_s = {order.timeout_s:g}"
        with contextlib.suppress(OSError):
            pulse = self._attempt.pulse.stat().st_mtime
            if pulse != self._pulse:
                self._pulse, self._felt_at = pulse, time.monotonic()
        # By a clock that stands still while the machine sleeps, and that nobody sets.
        if time.monotonic() - self._felt_at > order.silence_s:
            return f"it gave no sign of life for [run] silence_s = {order.silence_s:g} seconds"
        return ""

    def _see_to_result(self, code: int, reason: str, kills_before: int | None) -> None:
        if self._attempt.read_result() is not None:
            return
        kills = out_of_memory_kills()
        is_out_of_memory = (
            code == -signal.SIGKILL
            and not reason
            and self._stop_by == float("inf")
            and None not in {kills, kills_before}
            and kills != kills_before
        )
        # A cluster's signal may reach the trainer before it reaches its shim.
        is_signalled = bool(self._order.job) and code == -signal.SIGTERM
        is_cancelled = (self._stop_by < float("inf") or is_signalled) and not reason
        self._attempt.write_result(
            RunState.CANCELLED if is_cancelled else RunState.FAILED,
            reason=reason or _say_status(code, is_out_of_memory=is_out_of_memory),
            is_out_of_memory=is_out_of_memory,
        )

    def _is_stopped_by_cluster(self) -> bool:
        """Whether the run was stopped by a signal that nobody asked for: its cluster may start the job anew."""
        result = self._attempt.read_result()
        is_stopped = result is not None and result["state"] == RunState.CANCELLED
        return is_stopped and not self._folder.stop.exists()


def _visible(order: Order) -> str | None:
    """Return the GPUs of a run as CUDA calls them: those of a slot are counted among those that the command may see."""
    if order.visible_device is None:
        return None
    listed = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    numbers = [int(number) for number in order.visible_device.split(",")]
    return ",".join(listed[n] if n < len(listed) else str(n) for n in numbers)


def _trainer(order: Order, attempt: Attempt, shims_waker: Waker) -> int:
    os.setsid()
    shims_waker.close()
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, STOP_NOW):
        signal.signal(number, signal.SIG_DFL)
    detach_streams(attempt.log)
    os.environ[RUN_VARIABLE] = str(order.run_folder)
    if (devices := _visible(order)) is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices
    # Written through: what a killed run printed last is in its log.
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    os.chdir(order.worktree)
    try:
        return work(order, attempt)
    except (BranchlabError, OSError) as error:
        # The run folder itself could not be read or written, a full disk for instance.
        traceback.print_exc()
        attempt.write_result(RunState.FAILED, reason=f"{type(error).__name__}: {error}")
        return 1


def leave(function: Any, *arguments: object) -> None:  # noqa: ANN401
    """Run a function as the whole rest of a forked process."""
    code = 70
    try:
        code = function(*arguments)
    except BaseException:  # noqa: BLE001  a fork must never return into its parent's code
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _say_status(code: int, *, is_out_of_memory: bool) -> str:
    if code >= 0:
        return f"the training process left with exit code {code} without a result"
    name = signal.Signals(-code).name
    why = ": the machine ran out of memory" if is_out_of_memory else ""
    return f"the training process was ended by {name}{why}"


def bound_log(log: Path) -> None:
    """Cut a log that floods: its beginning is kept, and it says that it was cut."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return
    if size > _LOG_BYTES_MAX:
        os.truncate(log, _LOG_BYTES_KEPT)
        with log.open("ab") as file:
            file.write(
                b"\n[branchlab] the log passed %d bytes; what stood here was dropped\n"
                % _LOG_BYTES_MAX
            )

"""The warm parent: it has imported torch and the trainer, nothing of a project, and has no CUDA context.

Importing torch takes 1.3 to 2 s here; a fork of this process takes some 20 ms. It reads orders as JSON lines on stdin,
answers on stdout, and forks a shim for each run. The shim (own session, subreaper) takes the run's lease, forks the
trainer, bounds its time and its log, ends every descendant, and writes a result when the trainer could not. A shim
outlives this process: a run that has started is finished and recorded even when everything above it is killed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from branchlab.domain import RunState
from branchlab.errors import BranchlabError
from branchlab.run_folder import Attempt, RunFolder, locked
from branchlab.train.processes import Waker, become_subreaper, detach_streams, end_descendants
from branchlab.train.trainer import TRAINER_VERSION
from branchlab.train.work import Order, work

EXIT_ELSEWHERE = 3
"""The shim found that another process works on the run, or has finished it."""

STOP_NOW = signal.SIGUSR1
"""Ends a run without waiting for a checkpoint; SIGTERM lets it write one first."""

_LOG_BYTES_MAX = 64 << 20
_LOG_BYTES_KEPT = 8 << 20
_GRACE_S = 30.0
_NICE_TO_HAVE = ("PIL.Image",)
_OF_OPTIMIZERS = "torch._dynamo"
"""Torch imports it with the first optimiser: 900 modules, 1.6 s of CPU time (2026-11-23); here once instead of once a run."""


def main() -> None:
    """Serve orders until stdin ends."""
    for name in (*_NICE_TO_HAVE, *sys.argv[1:]):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    waker = Waker([signal.SIGCHLD])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _say(op="ready", **_describe())
    tickets: dict[int, int] = {}
    pending = b""
    is_open = True
    while is_open or tickets:
        readable, _ = waker.wait(*([0] if is_open else []))
        if 0 in readable:
            chunk = os.read(0, 1 << 16)
            is_open = bool(chunk)
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                _obey(json.loads(line), tickets, waker)
        _report_ended(tickets)


def _describe() -> dict[str, Any]:
    """Return what plans depend on. Counting devices goes through NVML, which makes no CUDA context."""
    num_cuda = torch.cuda.device_count()
    has_mps = torch.backends.mps.is_available()
    return {
        "devices": [f"cuda:{i}" for i in range(num_cuda)] or (["mps"] if has_mps else ["cpu"]),
        "torch": str(torch.__version__),
        "trainer": TRAINER_VERSION,
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def _obey(message: dict[str, Any], tickets: dict[int, int], waker: Waker) -> None:
    if message["op"] == "start":
        order = Order(
            ticket=message["ticket"],
            run_folder=Path(message["run_folder"]),
            attempt=message["attempt"],
            worktree=Path(message["worktree"]),
            timeout_s=message["timeout_s"],
            visible_device=message["visible_device"],
        )
        with contextlib.suppress(ImportError):
            importlib.import_module(_OF_OPTIMIZERS)
        pid = os.fork()
        if pid == 0:
            _leave(_shim, order, waker)
        tickets[pid] = order.ticket
    elif message["op"] == "stop":
        for pid, ticket in tickets.items():
            if ticket == message["ticket"]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, STOP_NOW if message["now"] else signal.SIGTERM)


def _report_ended(tickets: dict[int, int]) -> None:
    while tickets:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        with contextlib.suppress(BrokenPipeError):
            _say(op="ended", ticket=tickets.pop(pid, -1), code=os.waitstatus_to_exitcode(status))


def _say(**message: object) -> None:
    # Not through sys.stdout: what a closed pipe left in its buffer would be complained of at exit.
    os.write(1, json.dumps(message).encode() + b"\n")


def _leave(function: Any, *arguments: object) -> None:  # noqa: ANN401
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


def _shim(order: Order, parents_waker: Waker) -> int:
    os.setsid()
    parents_waker.close()
    detach_streams(None)
    # Before anything is recorded: a stop that comes early finds a shim that will hear of it.
    waker = Waker([signal.SIGCHLD, signal.SIGTERM, STOP_NOW])
    become_subreaper()
    folder = RunFolder(order.run_folder)
    with locked(folder.lease, wait_s=2.0) as is_ours:
        if not is_ours or folder.attempts() >= order.attempt or _is_done(folder):
            return EXIT_ELSEWHERE
        attempt = folder.attempt(order.attempt)
        attempt.path.mkdir(parents=True)
        folder.lease.write_text(
            f"{os.getpid()}\n"
        )  # whom to signal; the lock itself says whether it lives
        return _supervise(order, attempt, waker)


def _is_done(folder: RunFolder) -> bool:
    latest = folder.latest()
    result = latest.read_result() if latest is not None else None
    return result is not None and result["state"] == RunState.DONE


def _supervise(order: Order, attempt: Attempt, waker: Waker) -> int:
    """Fork the trainer, watch it, and see to it that the attempt has a result and leaves no process."""
    trainer = os.fork()
    if trainer == 0:
        _leave(_trainer, order, attempt, waker)
    started, stop_by = time.monotonic(), float("inf")
    reason, status = "", None
    while status is None:
        _, came = waker.wait(timeout_s=1.0)
        if signal.SIGTERM in came:
            stop_by = min(stop_by, time.monotonic() + _GRACE_S)
            os.kill(trainer, signal.SIGTERM)
        if STOP_NOW in came:
            stop_by = 0.0
        if time.monotonic() - started > order.timeout_s:
            reason = f"it took longer than [run] timeout_s = {order.timeout_s:g}"
        if reason or time.monotonic() > stop_by:
            os.kill(trainer, signal.SIGKILL)
        _bound_log(attempt.log)
        pid, ended = os.waitpid(trainer, os.WNOHANG)
        status = ended if pid else None
    end_descendants(trainer)
    if attempt.read_result() is None:
        is_cancelled = stop_by < float("inf") and not reason
        state = RunState.CANCELLED if is_cancelled else RunState.FAILED
        attempt.write_result(state, reason=reason or _say_status(os.waitstatus_to_exitcode(status)))
    return 0


def _trainer(order: Order, attempt: Attempt, shims_waker: Waker) -> int:
    os.setsid()
    shims_waker.close()
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, STOP_NOW):
        signal.signal(number, signal.SIG_DFL)
    detach_streams(attempt.log)
    if order.visible_device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = order.visible_device
    # Written through: what a killed run printed last is in its log.
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    os.chdir(order.worktree)
    try:
        return work(order)
    except (BranchlabError, OSError) as error:
        # The run folder itself could not be read or written, a full disk for instance.
        traceback.print_exc()
        attempt.write_result(RunState.FAILED, reason=f"{type(error).__name__}: {error}")
        return 1


def _say_status(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        more = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the training process was ended by {name}{more}"
    return f"the training process left with exit code {code} without a result"


def _bound_log(log: Path) -> None:
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


if __name__ == "__main__":
    main()
    os._exit(0)  # taking torch down in good order would keep the command line waiting

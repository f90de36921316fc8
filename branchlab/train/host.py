"""The warm parent: it has imported torch and the trainer, nothing of a project, and has no CUDA context.

Importing torch takes 1.3 to 2 s here; a fork of this process takes some 20 ms. It reads orders as JSON lines on stdin,
answers on stdout, and forks a shim for each run. A shim outlives this process: a run that has started is finished and
recorded even when everything above it is killed. What a killed shim leaves behind comes to this process, which ends it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from typing import Any

import torch

from branchlab.train.processes import Waker, become_subreaper, children, detach_streams
from branchlab.train.sharing import clear
from branchlab.train.shim import STOP_NOW, leave, stand_for
from branchlab.train.trainer import TRAINER_VERSION
from branchlab.train.work import Order

_NICE_TO_HAVE = ("PIL.Image",)
_OF_OPTIMIZERS = "torch._dynamo"
"""Torch imports it with the first optimiser: 900 modules, 1.6 s of CPU time (2026-11-23); here once instead of once a run."""


def main() -> None:
    """Serve orders until stdin ends."""
    for name in (*_NICE_TO_HAVE, *sys.argv[1:]):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    clear()
    waker = Waker([signal.SIGCHLD])
    become_subreaper()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _say(op="ready", **describe())
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
    clear()


def describe() -> dict[str, Any]:
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
        order = Order.of(message["order"])
        with contextlib.suppress(ImportError):
            importlib.import_module(_OF_OPTIMIZERS)
        pid = os.fork()
        if pid == 0:
            leave(_shim, order, waker)
        tickets[pid] = message["ticket"]
    elif message["op"] == "stop":
        for pid, ticket in tickets.items():
            if ticket == message["ticket"]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, STOP_NOW if message["now"] else signal.SIGTERM)


def _report_ended(tickets: dict[int, int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            break
        if pid in tickets:
            with contextlib.suppress(BrokenPipeError):
                _say(op="ended", ticket=tickets.pop(pid), code=os.waitstatus_to_exitcode(status))
    for stray in set(children()) - set(tickets):
        with contextlib.suppress(ProcessLookupError):
            os.kill(stray, signal.SIGKILL)


def _say(**message: object) -> None:
    # Not through sys.stdout: what a closed pipe left in its buffer would be complained of at exit.
    os.write(1, json.dumps(message).encode() + b"\n")


def _shim(order: Order, parents_waker: Waker) -> int:
    os.setsid()
    parents_waker.close()
    detach_streams(None)
    return stand_for(order)


if __name__ == "__main__":
    main()
    os._exit(0)  # taking torch down in good order would keep the command line waiting

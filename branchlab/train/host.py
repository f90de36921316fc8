"""The warm parent: it has imported torch and the trainer, nothing of a project, and has no CUDA context.

Importing torch takes 1.3 to 2 s here; a fork of this process takes some 20 ms. It reads orders as JSON lines, from stdin
or from the commands that come to its socket, answers, and forks a shim for each run. A shim outlives this process: a run that has started is finished and
recorded even when everything above it is killed. What a killed shim leaves behind comes to this process, which ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import json
import os
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from branchlab.train import exits
from branchlab.train.environment import remember
from branchlab.train.processes import Waker, become_subreaper, children, detach_streams
from branchlab.train.sharing import clear
from branchlab.train.shim import STOP_NOW, leave, stand_for
from branchlab.train.versions import TRAINER_VERSION, python_version
from branchlab.train.work import Order

_NICE_TO_HAVE = ("PIL.Image",)
_OF_OPTIMIZERS = "torch._dynamo"
"""Torch imports it with the first optimiser: 900 modules, 1.6 s of CPU time (2026-11-23); here once instead of once a run."""


@dataclass(slots=True)
class _Client:
    """A command that has runs started: where it is heard and answered, and what its runs inherit of it."""

    reader: int
    writer: int
    pending: bytes = b""
    hello: dict[str, Any] = field(default_factory=dict)

    def say(self, **message: object) -> None:
        # Not through sys.stdout: what a closed pipe left in its buffer would be complained of at exit.
        with contextlib.suppress(OSError):
            os.write(self.writer, json.dumps(message).encode() + b"\n")

    def hear(self) -> list[dict[str, Any]] | None:
        """Return what the command says; None once it has gone."""
        try:
            chunk = os.read(self.reader, 1 << 16)
        except ConnectionError:
            return None
        if not chunk:
            return None
        *lines, self.pending = (self.pending + chunk).split(b"\n")
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            return None  # whoever it is, it is no command of ours


def main() -> int:
    """Serve until the only command has gone, or none has come for a while; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=Path)
    parser.add_argument("--linger", type=float, default=0.0)
    parser.add_argument("preload", nargs="*")
    options = parser.parse_args()
    if options.socket is None:
        _Host(options.preload, None).serve()
        return 0
    lock = os.open(
        options.socket.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return exits.ANOTHER
    os.chdir(options.socket.parent)
    options.socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(options.socket))
        listener.listen(16)
        host = _Host(options.preload, listener, linger_s=options.linger)
        host.keeps_alone = (lock,)
        host.serve()
        options.socket.unlink(missing_ok=True)
    return 0


class _Host:
    """The parent: its commands, and the shims that it has forked for them.

    Args:
        preload: Modules to import besides torch.
        listener: Where commands come; None where there is one, at stdin and stdout.
        linger_s: How long it stays with no command and no run.
    """

    def __init__(
        self, preload: list[str], listener: socket.socket | None, *, linger_s: float = 0.0
    ) -> None:
        self._preload, self._listener, self._linger_s = preload, listener, linger_s
        self._clients: dict[int, _Client] = {}
        self._tickets: dict[int, tuple[_Client, int]] = {}
        self._waker = Waker([signal.SIGCHLD])
        self.keeps_alone: tuple[int, ...] = ()
        """Descriptors that no child may have: a lock would outlive this process in it."""

    def serve(self) -> None:
        """Warm up, and serve to the end."""
        become_subreaper()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for name in (*_NICE_TO_HAVE, *self._preload):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        clear()
        if self._listener is None:
            self._welcome(_Client(reader=0, writer=1))
        idle_since = time.monotonic()
        while True:
            is_busy = bool(self._clients or self._tickets)
            if not is_busy and (
                self._listener is None or time.monotonic() - idle_since >= self._linger_s
            ):
                break
            sources = [*self._clients, *([self._listener.fileno()] if self._listener else [])]
            readable, _ = self._waker.wait(*sources, timeout_s=None if is_busy else self._linger_s)
            if self._listener is not None and self._listener.fileno() in readable:
                connection, _ = self._listener.accept()
                self._welcome(_Client(reader=connection.detach(), writer=-1))
            for fd in readable & set(self._clients):
                self._attend(self._clients[fd])
            self._report_ended()
            if is_busy:
                idle_since = time.monotonic()
        clear()

    def _welcome(self, client: _Client) -> None:
        if client.writer < 0:
            client.writer = client.reader
        self._clients[client.reader] = client
        client.say(op="ready", **describe())

    def _attend(self, client: _Client) -> None:
        messages = client.hear()
        if messages is None:
            del self._clients[client.reader]
            os.close(client.reader)
            return
        for message in messages:
            self._obey(message, client)

    def _obey(self, message: dict[str, Any], client: _Client) -> None:
        match message["op"]:
            case "hello":
                client.hello = message
            case "start":
                with contextlib.suppress(ImportError):
                    importlib.import_module(_OF_OPTIMIZERS)
                remember()
                order = Order.of(message["order"])
                pid = os.fork()
                if pid == 0:
                    leave(self._shim, order, client.hello)
                self._tickets[pid] = client, message["ticket"]
            case "stop":
                number = STOP_NOW if message["now"] else signal.SIGTERM
                for pid, (owner, ticket) in self._tickets.items():
                    if owner is client and ticket == message["ticket"]:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, number)
            case _:
                pass

    def _report_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                break
            if pid in self._tickets:
                client, ticket = self._tickets.pop(pid)
                if self._clients.get(client.reader) is client:
                    client.say(op="ended", ticket=ticket, code=os.waitstatus_to_exitcode(status))
        for stray in set(children()) - set(self._tickets):
            with contextlib.suppress(ProcessLookupError):
                os.kill(stray, signal.SIGKILL)

    def _shim(self, order: Order, hello: dict[str, Any]) -> int:
        os.setsid()
        self._waker.close()
        detach_streams(None)
        # A command must see the end of its parent, whatever children that has.
        listeners = [self._listener.fileno()] if self._listener else []
        for fd in {*self._clients, *listeners, *self.keeps_alone} - {0, 1}:
            os.close(fd)
        if hello:
            os.environ.clear()
            os.environ.update(hello["environment"])
            os.umask(hello["umask"])
            if hello["cores"] is not None:
                os.sched_setaffinity(0, hello["cores"])
        return stand_for(order)


def describe() -> dict[str, Any]:
    """Return what plans depend on. Counting devices goes through NVML, which makes no CUDA context."""
    num_cuda = torch.cuda.device_count()
    has_mps = torch.backends.mps.is_available()
    return {
        "pid": os.getpid(),
        "devices": [f"cuda:{i}" for i in range(num_cuda)] or (["mps"] if has_mps else ["cpu"]),
        "torch": str(torch.__version__),
        "trainer": TRAINER_VERSION,
        "python": python_version(),
    }


if __name__ == "__main__":
    exit_code = main()
    os._exit(exit_code)  # taking torch down in good order would keep the command line waiting

"""The executor of this machine: one warm parent process that forks a child for each run."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from branchlab.errors import ExecutorError
from branchlab.run_folder import StateFolder
from branchlab.schedule.executor import Ended, Facts, Outcome, Start, surroundings

_START_WITHIN_S = 120.0
_EXITS = {3: Outcome.ELSEWHERE, 4: Outcome.BUSY}
"""Exit codes of ``branchlab.train.shim``."""
_PARENTS_MAX = 4
"""One that is killed is followed by another, within reason."""


class LocalExecutor:
    """Starts runs through ``branchlab.train.host``; constructed cheaply, warm by the time ``facts`` returns."""

    def __init__(self, state: StateFolder, *, preload: Sequence[str] = ()) -> None:
        self._state = state
        self._preload = preload
        self._host: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._log_from = 0
        self._open: set[int] = set()
        self._num_orders = 0
        self._num_parents = 0
        self._selector = selectors.DefaultSelector()
        self._facts: Facts | None = None

    def warm_up(self) -> None:
        """Start importing torch; returns at once."""
        if self._host is not None:
            return
        self._num_parents += 1
        with self._state.host_log.open("ab") as log:
            self._log_from = log.tell()
            self._host = subprocess.Popen(
                [sys.executable, "-P", "-m", "branchlab.train.host", *self._preload],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._state.path,
                env=surroundings(self._state),
                start_new_session=True,  # Ctrl-C reaches the command line alone, which decides what stops
            )
        assert self._host.stdout is not None
        os.set_blocking(self._host.stdout.fileno(), False)
        self._selector.register(self._host.stdout, selectors.EVENT_READ)

    def facts(self) -> Facts:
        """Return what plans depend on; waits until the parent is warm.

        Raises:
            ExecutorError: It could not start, for instance because torch does not import.
        """
        self.warm_up()
        until = time.monotonic() + _START_WITHIN_S
        while self._facts is None:
            for message in self._messages(timeout_s=until - time.monotonic()):
                if message["op"] == "ready":
                    self._facts = Facts(
                        devices=tuple(message["devices"]),
                        environment={
                            name: message[name] for name in ("python", "torch", "trainer")
                        },
                    )
            if self._facts is None and time.monotonic() > until:
                raise self._trouble(f"was not ready within {_START_WITHIN_S:g} s")
        return self._facts

    def start(self, orders: Sequence[Start]) -> None:
        """Start runs; returns at once."""
        for order in orders:
            self._open.add(order.ticket)
            self._num_orders += 1
            self._tell(op="start", ticket=order.ticket, order=order.order())

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return the orders that are over, as soon as there are any.

        Runs whose parent was killed go on by themselves, with nobody to tell of their end: they count as elsewhere.
        """
        if self._host is None:
            return self._orphans()
        try:
            messages = self._messages(timeout_s=timeout_s)
        except ExecutorError:
            if self._num_parents >= _PARENTS_MAX or self._facts is None:
                raise
            return self._orphans()
        ended = [m for m in messages if m["op"] == "ended"]
        self._open -= {message["ticket"] for message in ended}
        return [
            Ended(ticket=m["ticket"], outcome=_EXITS.get(m["code"], Outcome.ENDED)) for m in ended
        ]

    def stop(self, ticket: int, *, is_now: bool) -> None:
        """Ask a run to write a checkpoint and end, or end it at once."""
        if self._host is not None:
            self._tell(op="stop", ticket=ticket, now=is_now)

    def _orphans(self) -> list[Ended]:
        """Forget a parent that has ended, so that the next order starts another."""
        self.close()
        self._selector = selectors.DefaultSelector()
        self._pending = b""
        orphans, self._open = self._open, set()
        return [Ended(ticket=ticket, outcome=Outcome.ELSEWHERE) for ticket in orphans]

    def close(self) -> None:
        """Let the parent end once its runs have; runs are never ended by this."""
        if self._host is None:
            return
        assert self._host.stdin is not None
        assert self._host.stdout is not None
        if self._num_orders == 0:
            self._host.kill()  # it may be importing torch, and would see only later that nobody wants it
        with contextlib.suppress(OSError):
            self._host.stdin.close()
        self._selector.close()
        self._host.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._host.wait(timeout=1.0)
        self._host = None

    def _tell(self, **message: object) -> None:
        self.warm_up()
        assert self._host is not None
        assert self._host.stdin is not None
        try:
            self._host.stdin.write(json.dumps(message).encode() + b"\n")
            self._host.stdin.flush()
        except OSError:
            if self._num_parents >= _PARENTS_MAX:
                raise self._trouble("has ended") from None
            # Waiting finds out, and says so of every open order.

    def _messages(self, *, timeout_s: float) -> list[dict[str, Any]]:
        assert self._host is not None
        assert self._host.stdout is not None
        if not self._selector.select(max(0.0, timeout_s)):
            return []
        chunk = self._host.stdout.read()
        if chunk == b"":
            raise self._trouble("has ended")
        *lines, self._pending = (self._pending + (chunk or b"")).split(b"\n")
        return [json.loads(line) for line in lines]

    def _trouble(self, what: str) -> ExecutorError:
        return ExecutorError(
            f"the process that starts runs {what}: {_last_line(self._state.host_log, self._log_from) or 'it printed nothing'}",
            hint=f"its log: {self._state.host_log}; try: {sys.executable} -c 'import torch'",
        )


def _last_line(path: Path, offset: int) -> str:
    try:
        lines = path.read_bytes()[offset:].decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""

"""The executor of this machine: one warm parent process that forks a child for each run, in each environment that runs train in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from branchlab.errors import ExecutorError
from branchlab.run_folder import StateFolder
from branchlab.schedule.executor import Ended, Facts, Outcome, Start, surroundings
from branchlab.schedule.parent import Parent
from branchlab.train import exits

_START_WITHIN_S = 120.0
_EXITS = {exits.ELSEWHERE: Outcome.ELSEWHERE, exits.BUSY: Outcome.BUSY}
_SLICE_S = 0.02
"""So long one environment is listened to while there are others."""
_PARENTS_MAX = 4
"""One that is killed is followed by another, within reason."""


class LocalExecutor:
    """Starts runs through ``branchlab.train.host``; constructed cheaply, warm by the time ``facts`` returns.

    Args:
        state: Where runs of this executor live.
        preload: Modules that the warm parent imports besides torch.
        linger_s: A parent that is shared with other commands stays for so long after its last run; 0 has one of its own.
        python: Interpreter of its parent; None is this one.
        packages: What else its runs are keyed by: the digest of what is installed beside ``python``.
        variables: Of the environment, besides those that every trainer starts with.
    """

    def __init__(
        self,
        state: StateFolder,
        *,
        preload: Sequence[str] = (),
        linger_s: float = 0.0,
        python: Path | None = None,
        packages: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._python, self._packages = python, packages
        self._state = state
        self._preload = preload
        self._linger_s = linger_s
        self._variables = dict(variables or {})
        self._parent: Parent | None = None
        self._open: set[int] = set()
        self._num_orders = 0
        self._num_parents = 0
        self._facts: Facts | None = None
        self.parent_pid: int | None = None

    def warm_up(self) -> None:
        """Start importing torch, where no parent has done so already; returns at once."""
        if self._parent is not None:
            return
        self._num_parents += 1
        self._parent = Parent(
            self._preload,
            self._state.host_log,
            {**surroundings(self._state), **self._variables},
            self._linger_s,
            python=self._python,
        )
        self._parent.open()

    def facts(self) -> Facts:
        """Return what plans depend on; waits until the parent is warm.

        Raises:
            ExecutorError: It could not start, for instance because torch does not import.
        """
        until = time.monotonic() + _START_WITHIN_S
        while (facts := self._facts) is None:
            self.warm_up()
            try:
                self._messages(timeout_s=until - time.monotonic())
            except ExecutorError:
                # One that lingered may have ended just when it was found.
                if not self._linger_s or self._num_parents >= _PARENTS_MAX:
                    raise
                self._orphans()
            if time.monotonic() > until:
                raise self._trouble(f"was not ready within {_START_WITHIN_S:g} s")
        return facts

    def start(self, orders: Sequence[Start]) -> None:
        """Start runs; returns at once."""
        for order in orders:
            self._open.add(order.ticket)
            self._num_orders += 1
            self._tell(op="start", ticket=order.ticket, order=order.order())

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return the orders that are over, as soon as there are any.

        Runs whose parent was killed go on by themselves, with nobody to tell of their end: they are orphaned.
        """
        if self._parent is None:
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
        if self._parent is not None:
            self._tell(op="stop", ticket=ticket, now=is_now)

    def _orphans(self) -> list[Ended]:
        """Forget a parent that has ended, so that the next order starts another."""
        self.close()
        self.parent_pid = None
        orphans, self._open = self._open, set()
        return [Ended(ticket=ticket, outcome=Outcome.ORPHANED) for ticket in orphans]

    def close(self) -> None:
        """Let the parent go; runs are never ended by this."""
        if self._parent is not None:
            self._parent.close(is_unused=self._num_orders == 0)
            self._parent = None

    def _tell(self, **message: object) -> None:
        self.warm_up()
        assert self._parent is not None
        try:
            self._parent.send(**message)
        except OSError:
            if self._num_parents >= _PARENTS_MAX:
                raise self._trouble("has ended") from None
            # Waiting finds out, and says so of every open order.

    def _messages(self, *, timeout_s: float) -> list[dict[str, Any]]:
        assert self._parent is not None
        messages = self._parent.receive(timeout_s)
        if messages is None:
            raise self._trouble("has ended")
        for message in messages:
            if message["op"] == "ready":
                self.parent_pid = message["pid"]
                found = {name: message[name] for name in ("python", "torch", "trainer")}
                own = {"packages": self._packages} if self._packages else {}
                self._facts = Facts(devices=tuple(message["devices"]), environment=found | own)
        return messages

    def _trouble(self, what: str) -> ExecutorError:
        assert self._parent is not None
        log = self._parent.log
        return ExecutorError(
            f"the process that starts runs {what}: {_last_line(log, self._parent.log_from) or 'it printed nothing'}",
            hint=f"its log: {log}; try: {self._python or sys.executable} -c 'import torch'",
        )


class EnvironmentsExecutor:
    """Starts runs through one warm parent for each environment; what plans depend on is told by the first.

    Args:
        make: Returns the executor of an interpreter, constructed cheaply.
        first: Of main's environment; None is this one.
    """

    def __init__(
        self, make: Callable[[Path | None], LocalExecutor], first: Path | None = None
    ) -> None:
        self._make, self._first = make, first
        self._executors: dict[Path | None, LocalExecutor] = {}
        self._owners: dict[int, LocalExecutor] = {}

    def warm_up(self) -> None:
        """Start importing torch in the first environment; returns at once."""
        self._of(self._first).warm_up()

    def facts(self) -> Facts:
        """Return what plans depend on, as the first environment has it.

        Raises:
            ExecutorError: Its parent could not start.
        """
        return self._of(self._first).facts()

    def start(self, orders: Sequence[Start]) -> None:
        """Start runs, each in its environment; returns at once."""
        for order in orders:
            executor = self._of(order.python or self._first)
            self._owners[order.ticket] = executor
            executor.start([order])

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return the orders that are over, as soon as there are any."""
        until = time.monotonic() + timeout_s
        while True:
            busy = list(dict.fromkeys(self._owners.values()))
            slice_s = min(_SLICE_S, timeout_s) if len(busy) > 1 else timeout_s
            ended = [end for executor in busy for end in executor.wait(slice_s)]
            for end in ended:
                self._owners.pop(end.ticket, None)
            if ended or not busy or time.monotonic() >= until:
                return ended

    def stop(self, ticket: int, *, is_now: bool) -> None:
        """Ask a run to write a checkpoint and end, or end it at once."""
        if ticket in self._owners:
            self._owners[ticket].stop(ticket, is_now=is_now)

    def close(self) -> None:
        """Let the parents go; runs are never ended by this."""
        for executor in self._executors.values():
            executor.close()
        self._executors.clear()

    def _of(self, python: Path | None) -> LocalExecutor:
        if python not in self._executors:
            self._executors[python] = self._make(python)
        return self._executors[python]


def _last_line(path: Path, offset: int) -> str:
    try:
        lines = path.read_bytes()[offset:].decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""

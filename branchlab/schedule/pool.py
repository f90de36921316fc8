"""Carries a queue of runs out on slots, and says what changed.

The pool owns the order and nothing else: what a run gave is in its folder, whether it lives is its lease.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.domain import Run
from branchlab.errors import BranchlabError
from branchlab.run_folder import StateFolder
from branchlab.schedule.executor import Executor, Start

_TICK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The share of a device that one run holds."""

    device: str
    visible_device: str | None = None


@dataclass(slots=True)
class StopRequest:
    """Set from outside while a pool works: ``level`` 1 lets runs write a checkpoint, 2 ends them at once."""

    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened since the last change; empty ones come as a pulse for whoever draws progress."""

    started: tuple[Run, ...] = ()
    ended: tuple[Run, ...] = ()
    elsewhere: tuple[Run, ...] = ()
    refused: tuple[tuple[Run, str], ...] = ()
    """Runs whose work tree could not be made, with the reason."""


def slots_for(devices: Sequence[str], *, jobs: int, num_cores: int, num_runs: int) -> list[Slot]:
    """Return the slots of a machine.

    On a CPU there is one a core (two runs of one thread each do two to four times the images/s of one run with two
    threads on small images), on GPUs one a device; ``jobs`` above 0 sets their number, spread evenly over the devices.
    """
    gpus = [device for device in devices if device.startswith("cuda")]
    wanted = max(1, min(jobs or (len(gpus) or num_cores), num_runs or 1))
    if not gpus:
        wanted = wanted if jobs or devices[:1] == ["cpu"] else 1
        return [Slot(device=devices[0]) for _ in range(wanted)]
    numbers = [device.partition(":")[2] or None for device in gpus]
    return [Slot(device="cuda", visible_device=numbers[i % len(numbers)]) for i in range(wanted)]


class Pool:
    """Starts runs as slots become free, and says what changes until none is left.

    Args:
        prepare: Gives the work tree of a run's commit; an error of branchlab's fails that run alone.
        timeout_s: A run that takes longer is ended.
    """

    def __init__(
        self,
        executor: Executor,
        state: StateFolder,
        slots: Sequence[Slot],
        *,
        prepare: Callable[[Run], Path],
        timeout_s: float,
    ) -> None:
        self._executor = executor
        self._state = state
        self._free = list(slots)
        self._prepare = prepare
        self._timeout_s = timeout_s
        self._active: dict[int, tuple[Run, Slot]] = {}
        self._num_tickets = 0

    def carry_out(self, runs: Sequence[Run], stop: StopRequest) -> Iterator[Change]:
        """Yield what changes; once ``stop`` is raised nothing more is started and what runs is stopped."""
        # Which attempt it will be is said now: a run that is cancelled or taken up by others meanwhile is left alone.
        queue = deque((run, self._state.run(run.id).attempts() + 1) for run in runs)
        stopped_at_level = 0
        while self._active or (queue and not stop.level):
            if queue and self._free and not stop.level:
                yield self._fill(queue)
            if stop.level > stopped_at_level:
                stopped_at_level = stop.level
                for ticket in self._active:
                    self._executor.stop(ticket, is_now=stop.level > 1)
            yield self._collect()

    def _fill(self, queue: deque[tuple[Run, int]]) -> Change:
        started: list[Run] = []
        refused: list[tuple[Run, str]] = []
        while self._free and queue:
            run, attempt = queue.popleft()
            try:
                worktree = self._prepare(run)
            except BranchlabError as error:
                refused.append((run, error.message))
            else:
                self._start(run, attempt, worktree, self._free.pop(0))
                started.append(run)
        return Change(started=tuple(started), refused=tuple(refused))

    def _start(self, run: Run, attempt: int, worktree: Path, slot: Slot) -> None:
        self._num_tickets += 1
        self._executor.start(
            Start(
                ticket=self._num_tickets,
                run_folder=self._state.run(run.id),
                attempt=attempt,
                worktree=worktree,
                timeout_s=self._timeout_s,
                visible_device=slot.visible_device,
            )
        )
        self._active[self._num_tickets] = (run, slot)

    def _collect(self) -> Change:
        ended: list[Run] = []
        elsewhere: list[Run] = []
        for end in self._executor.wait(_TICK_S) if self._active else []:
            run, slot = self._active.pop(end.ticket)
            self._free.append(slot)
            (elsewhere if end.is_elsewhere else ended).append(run)
        return Change(ended=tuple(ended), elsewhere=tuple(elsewhere))

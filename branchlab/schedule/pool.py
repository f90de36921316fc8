"""Carries a queue of runs out on slots, and says what changed.

The pool owns the order and nothing else: what a run gave is in its folder, whether it lives is its lease, and which
share of the machine is taken is a lock that the run itself holds. So several commands share one machine and one queue
without a server: whoever comes second to a run watches it, and adopts what it gave.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from branchlab.domain import Run, RunState
from branchlab.errors import BranchlabError, ConfigError
from branchlab.run_folder import RunFolder, StateFolder, locked
from branchlab.schedule.executor import Bounds, Executor, Outcome, Start
from branchlab.schedule.packing import NOTHING_YET, Packing, Reading
from branchlab.schedule.watchdog import Watchdog, run_of_slot

_TICK_S = 0.2
_LOOK_EVERY_S = 0.5
_TRIES_MAX = 3
"""Of a run whose processes are killed, within one batch."""
_STARTS_MAX = 8
"""Of a run that did not even come to begin, its own starts and those of others included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The share of a device that one run holds. ``number`` tells shares of one device apart."""

    device: str
    visible_device: str | None = None
    number: int = 0

    @property
    def name(self) -> str:
        """Name of its lock."""
        which = f"-{self.visible_device}" if self.visible_device is not None else ""
        return f"{self.device}{which}-{self.number}"


_NOWHERE = Slot(device="")
"""Of runs whose executor decides where they work."""


@dataclass(slots=True)
class StopRequest:
    """Set from outside while a pool works: ``level`` 1 lets runs write a checkpoint, 2 ends them at once."""

    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened since the last change; empty ones come as a pulse for whoever draws progress.

    Attributes:
        elsewhere: Runs that another command carried out, and that are over.
        refused: Runs whose work tree could not be made, with the reason.
        handed_over: Runs that a cluster carries out by itself from here on, with what it calls each.
        again: Runs that went back into the queue, with the reason.
        stillborn: Runs whose processes ended before there was an attempt, again and again.
        dropped: Runs that are not needed any more, with the reason.
        late: Runs whose turn came after the time that there was.
    """

    started: tuple[Run, ...] = ()
    ended: tuple[Run, ...] = ()
    elsewhere: tuple[Run, ...] = ()
    handed_over: tuple[tuple[Run, str], ...] = ()
    refused: tuple[tuple[Run, str], ...] = ()
    again: tuple[tuple[Run, str], ...] = ()
    stillborn: tuple[Run, ...] = ()
    dropped: tuple[tuple[Run, str], ...] = ()
    late: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a pool goes about it.

    Attributes:
        prepare: Gives the work tree of a run's commit; an error of branchlab's fails that run alone.
        why_not: Asked when a run's turn has come: why it is not needed any more, or nothing.
        starts_for_s: After so long nothing more is started; None sets no limit.
        shares_slots: Whether runs hold the locks of their slots, so that other commands' runs wait for them.
        packing: Learns how many runs a GPU takes at once; None fills every slot.
        python_of: Gives the interpreter of a run's environment, None for the executor's own; an error fails that run alone.
    """

    prepare: Callable[[Run], Path]
    bounds: Bounds
    why_not: Callable[[Run], str] = lambda _: ""
    starts_for_s: float | None = None
    shares_slots: bool = False
    packing: Packing | None = None
    python_of: Callable[[Run], Path | None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queued:
    """A run that waits. Which attempt it will be is said early: one that others take up meanwhile is left alone."""

    run: Run
    attempt: int
    tries: int = 1
    starts: int = 1
    is_alone: bool = False


@dataclass(slots=True)
class _News:
    """A change in the making."""

    started: list[Run] = field(default_factory=list)
    ended: list[Run] = field(default_factory=list)
    elsewhere: list[Run] = field(default_factory=list)
    handed_over: list[tuple[Run, str]] = field(default_factory=list)
    refused: list[tuple[Run, str]] = field(default_factory=list)
    again: list[tuple[Run, str]] = field(default_factory=list)
    stillborn: list[Run] = field(default_factory=list)
    dropped: list[tuple[Run, str]] = field(default_factory=list)

    def change(self) -> Change:
        return Change(**{name: tuple(getattr(self, name)) for name in self.__slots__})


class Pool:
    """Starts runs as slots become free, and says what changes until none is left.

    Without slots everything is started at once: the executor shares its machines out itself.
    """

    def __init__(
        self, executor: Executor, state: StateFolder, slots: Sequence[Slot], manner: Manner
    ) -> None:
        self._executor = executor
        self._state = state
        self._slots = tuple(slots)
        self._manner = manner
        self._queue: deque[_Queued] = deque()
        self._active: dict[int, tuple[_Queued, Slot]] = {}
        self._watched: dict[str, _Queued] = {}
        """Runs that others carry out, by id: another command, or shims whose parent was killed."""
        self._orphaned: set[str] = set()
        """Those of them that were started here."""
        self._busy: dict[Slot, float] = {}
        self._watchdog = Watchdog()
        self._num_tickets = 0
        self._looked_at = 0.0

    def carry_out(self, runs: Sequence[Run], stop: StopRequest) -> Iterator[Change]:
        """Yield what changes; once ``stop`` is raised nothing more is started and what runs is stopped."""
        self._queue = deque(
            _Queued(run=run, attempt=self._folder(run).attempts() + 1) for run in runs
        )
        stopped_at_level = 0
        limit_s = self._manner.starts_for_s
        starts_until = float("inf") if limit_s is None else time.monotonic() + limit_s
        while (
            self._active
            or self._orphaned & self._watched.keys()
            or ((self._queue or self._watched) and not stop.level)
        ):
            if self._queue and time.monotonic() > starts_until:
                yield Change(late=tuple(queued.run for queued in self._queue))
                self._queue.clear()
            if self._queue and not stop.level:
                yield self._fill()
            if stop.level > stopped_at_level:
                stopped_at_level = stop.level
                for ticket in self._active:
                    self._executor.stop(ticket, is_now=stop.level > 1)
                for run_id in self._orphaned & self._watched.keys():
                    self._state.run(run_id).ask_to_stop(is_now=stop.level > 1)
            if stop.level:
                self._queue.clear()
            yield self._collect()

    def hear(self, readings: Mapping[str, Reading]) -> None:
        """Learn from what runs tell of themselves, by id, how many a GPU takes."""
        if self._manner.packing is None:
            return
        by_device: dict[str | None, dict[str, Reading]] = {}
        for queued, slot in self._active.values():
            reading = readings.get(queued.run.id, NOTHING_YET)
            by_device.setdefault(slot.visible_device, {})[queued.run.id] = reading
        for device, of_device in by_device.items():
            self._manner.packing.hear(device, of_device)

    def _folder(self, run: Run) -> RunFolder:
        return self._state.run(run.id)

    def _fill(self) -> Change:
        news, orders = _News(), []
        while self._queue and (slot := self._free_slot(self._queue[0])) is not None:
            queued = self._queue.popleft()
            if self._folder(queued.run).attempts() >= queued.attempt:
                self._watched[queued.run.id] = queued
                continue
            if reason := self._manner.why_not(queued.run):
                news.dropped.append((queued.run, reason))
                continue
            try:
                python = self._manner.python_of(queued.run)
                worktree = self._manner.prepare(queued.run)
            except BranchlabError as error:
                news.refused.append((queued.run, error.message))
            else:
                orders.append(self._order(queued, worktree, slot, python))
                news.started.append(queued.run)
        if orders:
            self._executor.start(orders)
        return news.change()

    def _free_slot(self, queued: _Queued) -> Slot | None:
        """Return the first slot that a run can have: of the devices with the fewest runs on them."""
        if not self._slots:
            return _NOWHERE
        held = [slot for _, slot in self._active.values()]
        lonely = {slot.visible_device for one, slot in self._active.values() if one.is_alone}
        packing, now = self._manner.packing, time.monotonic()
        for slot in sorted(
            self._slots, key=lambda s: sum(h.visible_device == s.visible_device for h in held)
        ):
            beside = sum(h.visible_device == slot.visible_device for h in held)
            if (
                slot in held
                or self._busy.get(slot, 0.0) > now
                or slot.visible_device in lonely
                or (queued.is_alone and beside)
                or (packing is not None and beside >= packing.room(slot.visible_device))
            ):
                continue
            if self._is_lock_free(slot):
                return slot
            self._busy[slot] = now + _LOOK_EVERY_S
        return None

    def _is_lock_free(self, slot: Slot) -> bool:
        if not self._manner.shares_slots:
            return True
        path = self._state.slots / slot.name
        with locked(path) as is_free:
            pass
        if not is_free and (folder := run_of_slot(path)) is not None:
            self._watchdog.look(folder)
        return is_free

    def _order(self, queued: _Queued, worktree: Path, slot: Slot, python: Path | None) -> Start:
        self._num_tickets += 1
        self._active[self._num_tickets] = (queued, slot)
        return Start(
            ticket=self._num_tickets,
            run_folder=self._folder(queued.run),
            attempt=queued.attempt,
            worktree=worktree,
            bounds=self._manner.bounds,
            visible_device=slot.visible_device,
            slot=self._state.slots / slot.name
            if self._manner.shares_slots and self._slots
            else None,
            python=python,
        )

    def _collect(self) -> Change:
        news = _News()
        if self._active:
            for end in self._executor.wait(_TICK_S):
                queued, slot = self._active.pop(end.ticket)
                match end.outcome:
                    case Outcome.ENDED:
                        self._settle(queued, slot, news)
                    case Outcome.ELSEWHERE:
                        self._watched[queued.run.id] = queued
                    case Outcome.ORPHANED:
                        self._watched[queued.run.id] = queued
                        self._orphaned.add(queued.run.id)
                    case Outcome.HANDED_OVER:
                        news.handed_over.append((queued.run, end.job))
                    case Outcome.BUSY:
                        self._busy[slot] = time.monotonic() + _LOOK_EVERY_S
                        self._queue.appendleft(queued)
        else:
            time.sleep(_TICK_S)
        if time.monotonic() - self._looked_at > _LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            for queued, _ in self._active.values():
                self._watchdog.look(self._folder(queued.run))
            self._look_at_watched(news)
        return news.change()

    def _settle(self, queued: _Queued, slot: Slot, news: _News) -> None:
        """Decide what becomes of a run whose processes have ended."""
        folder = self._folder(queued.run)
        if folder.is_held():
            self._watched[queued.run.id] = queued
            return
        latest = folder.latest()
        has_begun = latest is not None and folder.attempts() >= queued.attempt
        result = latest.read_result() if latest is not None and has_begun else None
        if result is None:
            if not self._try_again(queued, news):
                (news.ended if has_begun else news.stillborn).append(queued.run)
        elif result.get("is_out_of_memory") and not queued.is_alone:
            if self._manner.packing is not None:
                self._manner.packing.ran_out(slot.visible_device)
            alone = replace(queued, attempt=folder.attempts() + 1, is_alone=True)
            self._queue.appendleft(alone)
            news.again.append((queued.run, "out of memory: it runs again, alone on its device"))
        else:
            news.ended.append(queued.run)

    def _try_again(self, queued: _Queued, news: _News) -> bool:
        """Queue a run again whose processes were killed; returns whether it may be tried once more."""
        if queued.tries >= _TRIES_MAX or queued.starts >= _STARTS_MAX:
            return False
        attempts = self._folder(queued.run).attempts()
        # One that never came to start has cost nothing.
        tries = queued.tries + (attempts >= queued.attempt)
        self._queue.appendleft(
            replace(queued, attempt=attempts + 1, tries=tries, starts=queued.starts + 1)
        )
        if tries > queued.tries:
            news.again.append(
                (queued.run, "its processes were killed: it goes on from its last checkpoint")
            )
        return True

    def _look_at_watched(self, news: _News) -> None:
        for run_id, queued in list(self._watched.items()):
            folder = self._folder(queued.run)
            if folder.is_held():
                self._watchdog.look(folder)
                continue
            del self._watched[run_id]
            is_over = _is_over(folder, is_new=folder.attempts() >= queued.attempt)
            if not is_over and self._try_again(queued, news):
                continue
            news.elsewhere.append(queued.run)


def _is_over(folder: RunFolder, *, is_new: bool) -> bool:
    """Whether it is said what became of a run that others were to carry out, or that was there before."""
    latest = folder.latest()
    result = latest.read_result() if latest is not None else None
    match result and result["state"]:
        case RunState.DONE:
            return True
        case RunState.FAILED:
            return is_new
        case RunState.CANCELLED:
            # By whom? An interrupt of the other command stops none of ours; a run that somebody cancelled stays so.
            return is_new and folder.stop.exists()
        case _:
            return False


def slots_for(
    devices: Sequence[str],
    *,
    jobs: int,
    num_cores: int,
    num_runs: int,
    most_per_gpu: int = 1,
    processes: int = 1,
) -> list[Slot]:
    """Return the slots of a machine.

    On a CPU there is one a core (two runs of one thread each do two to four times the images/s of one run with two
    threads on small images), on GPUs ``most_per_gpu`` a device; ``jobs`` above 0 sets their number, spread evenly over
    the devices. A run of several processes takes as many GPUs, or cores.

    Raises:
        ConfigError: There are fewer GPUs than one run takes.
    """
    gpus = [device for device in devices if device.startswith("cuda")]
    groups = [gpus[i : i + processes] for i in range(0, len(gpus) - processes + 1, processes)]
    if gpus and not groups:
        raise ConfigError(
            f"[run] processes = {processes}: a run takes {processes} GPUs, and there are {len(gpus)}: {', '.join(gpus)}",
            hint=f'set processes = {len(gpus)}, or device = "cpu"',
        )
    as_many = len(groups) * most_per_gpu or max(1, num_cores // processes)
    wanted = max(1, min(jobs or as_many, num_runs or 1))
    if not gpus:
        wanted = wanted if jobs or devices[:1] == ["cpu"] else 1
        return [Slot(device=devices[0], number=i) for i in range(wanted)]
    numbers = [",".join(device.partition(":")[2] for device in group) or None for group in groups]
    return [
        Slot(device="cuda", visible_device=numbers[i % len(numbers)], number=i // len(numbers))
        for i in range(wanted)
    ]

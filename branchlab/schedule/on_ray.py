"""The executor of a Ray cluster: an actor a run, which Ray places where there is room.

Ray's part is small on purpose: it finds a machine, holds its CPUs and GPUs, carries calls, and says when the machine is
gone. What the calls mean stands in ``errand`` and ``outpost``. Actors are owned by this process: when it ends, however it
ends, Ray ends them, and their runs end with them. Ray itself is imported when the first run is started, not before.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from branchlab.config import RayOptions
from branchlab.errors import BranchlabError, ExecutorError
from branchlab.git.parcel import pack
from branchlab.git.repository import Repository
from branchlab.schedule.errand import Call, Course, Errand
from branchlab.schedule.executor import Ended, Facts, Outcome, Start
from branchlab.schedule.outpost import Goods, Outpost
from branchlab.schedule.ray_facts import ask_cluster, check_installed

_ENGINE = "ray"
_GIB = 1 << 30
_ASK_AGAIN_S = 1.0


@dataclass(slots=True, kw_only=True)
class _Running:
    """An errand with its actor. ``answer`` is Ray's handle of the call that is under way."""

    errand: Errand
    course: Course
    actor: Any
    call: Call
    answer: Any
    asked_at: float
    has_arrived: bool = False


class RayExecutor:
    """Starts runs on the nodes of a Ray cluster; constructed cheaply, connected with the first run.

    Args:
        repository: Where the commits of runs are.
        options: ``[executor.ray]``.
        share: ``[run] share``: paths that work trees get links for.
        jobs: Runs at once; 0 hands over all, and Ray lets those wait that have no room.
    """

    def __init__(
        self,
        repository: Repository,
        options: RayOptions,
        *,
        share: Sequence[str] = (),
        jobs: int = 0,
    ) -> None:
        self._repository = repository
        self._options = options
        self._share = tuple(share)
        self._jobs = jobs
        self._ray: Any = None
        self._is_connection_ours = False
        self._facts: Facts | None = None
        self._waiting: dict[int, Start] = {}
        self._running: dict[int, _Running] = {}
        self._parcels: dict[str, Any] = {}
        self._over: list[Ended] = []

    def facts(self) -> Facts:
        """Return what plans depend on, of the cluster's nodes.

        Raises:
            ExecutorError: No cluster can be reached, or its nodes cannot carry runs out.
        """
        options = self._options
        if self._share and not options.shared and not options.data_root:
            raise ExecutorError(
                f"[run] share: '{self._share[0]}' is on this machine, and Ray nodes do not see it",
                hint="set [executor.ray] data_root (where the nodes have it) or shared = true",
            )
        if self._facts is None:
            self._facts = ask_cluster(options, share=() if options.shared else self._share)
        return self._facts

    def start(self, orders: Sequence[Start]) -> None:
        """Hand runs over; Ray lets them wait until a node has room."""
        self._connect()
        self._waiting |= {order.ticket: order for order in orders}
        self._fill()

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return the orders that are over, as soon as there are any."""
        if not self._over:
            self._carry_on(timeout_s)
            self._look_after()
            self._fill()
        over, self._over = self._over, []
        return over

    def stop(self, ticket: int, *, is_now: bool) -> None:
        """Ask a run to write a checkpoint and end, or end it at once."""
        if self._waiting.pop(ticket, None) is not None:
            self._over.append(Ended(ticket=ticket))
        elif ticket in self._running:
            self._running[ticket].errand.ask_to_stop(is_now=is_now)

    def close(self) -> None:
        """Leave the cluster. Runs that are still under way end, and are gone on with by the next command."""
        for ticket in list(self._running):
            self._end(ticket, Outcome.ENDED)
        self._waiting.clear()
        self._over.clear()
        self._parcels.clear()
        if self._ray is not None and self._is_connection_ours:
            self._ray.shutdown()
        self._ray = None

    def _connect(self) -> None:
        if self._ray is not None:
            return
        self.facts()  # asked from a process of its own, so that what cannot be reached is known before Ray hangs on it
        check_installed(self._options)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray = importlib.import_module("ray")
        self._is_connection_ours = not ray.is_initialized()
        if self._is_connection_ours:
            with _own_signals():
                ray.init(
                    address=self._options.address, log_to_driver=False, logging_level="CRITICAL"
                )
        self._ray = ray

    def _fill(self) -> None:
        while self._waiting and not 0 < self._jobs <= len(self._running):
            ticket = next(iter(self._waiting))
            self._send_out(self._waiting.pop(ticket))

    def _send_out(self, order: Start) -> None:
        errand = Errand(order, engine=_ENGINE, is_shared=self._options.shared)
        if not errand.take_up():
            self._over.append(Ended(ticket=order.ticket, outcome=Outcome.ELSEWHERE))
            return
        try:
            course = self._course(errand)
        except BranchlabError as error:
            errand.fail(error.message)
            errand.close()
            self._over.append(Ended(ticket=order.ticket))
            return
        actor, call = self._actor(), next(course)
        self._running[order.ticket] = _Running(
            errand=errand,
            course=course,
            actor=actor,
            call=call,
            answer=_ask(actor, call),
            asked_at=time.monotonic(),
        )

    def _actor(self) -> Any:  # noqa: ANN401  Ray's handle
        options = self._options
        wanted = {
            "num_cpus": options.cpus,
            "num_gpus": options.gpus,
            "memory": int(options.memory_gib * _GIB) or None,
            "max_restarts": 0,
        }
        return (
            self._ray.remote(Outpost)
            .options(**wanted)
            .remote(options.scratch, options.checkpoint_every_s)
        )

    def _course(self, errand: Errand) -> Course:
        if self._options.shared:
            return errand.course(None, None)
        run = errand.order.run_folder.read_plan()
        commit = run.checked_out
        if commit not in self._parcels:
            self._parcels[commit] = self._ray.put(pack(self._repository, commit))
        goods = Goods(run_id=run.id, share=self._share, data_root=self._options.data_root)
        return errand.course(goods, self._parcels[commit])

    def _carry_on(self, timeout_s: float) -> None:
        """Take in what has come back, and make the next calls."""
        asked = {running.answer: ticket for ticket, running in self._running.items()}
        if not asked:
            time.sleep(timeout_s)
            return
        ready, rest = self._ray.wait(list(asked), num_returns=1, timeout=timeout_s)
        if ready and rest:
            ready += self._ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        for answer in ready:
            self._advance(asked[answer])

    def _advance(self, ticket: int) -> None:
        running, errors = self._running[ticket], self._ray.exceptions
        try:
            value = self._ray.get(running.answer)
        except errors.ActorUnavailableError:
            time.sleep(min(_ASK_AGAIN_S, running.errand.order.bounds.silence_s))
            running.answer = _ask(running.actor, running.call)
            return
        except errors.RayTaskError as error:
            if not isinstance(error.cause, BranchlabError | OSError):
                raise
            running.errand.fail(f"on its node: {_first_line(error.cause)}")
            self._end(ticket, Outcome.ENDED)
            return
        except errors.RayError as error:
            running.errand.lose(f"its node or worker was lost: {_first_line(error)}")
            self._end(ticket, Outcome.ENDED)
            return
        running.has_arrived = True
        try:
            running.call = running.course.send(value)
        except StopIteration as end:
            self._end(ticket, end.value)
        else:
            running.answer, running.asked_at = _ask(running.actor, running.call), time.monotonic()

    def _look_after(self) -> None:
        """End what waits in vain: nobody wants it any more, or nobody answers."""
        now = time.monotonic()
        for ticket, running in list(self._running.items()):
            errand = running.errand
            if not running.has_arrived:
                outcome = errand.withdraw()
                if outcome is not None:
                    self._end(ticket, outcome)
            elif errand.is_overdue or now - running.asked_at > errand.order.bounds.silence_s:
                errand.lose(f"its node gave no answer for {now - running.asked_at:.0f} s")
                self._end(ticket, Outcome.ENDED)

    def _end(self, ticket: int, outcome: Outcome) -> None:
        running = self._running.pop(ticket)
        running.course.close()
        self._ray.kill(running.actor)
        running.errand.close()  # before the pool looks whether anybody still holds the run
        self._over.append(Ended(ticket=ticket, outcome=outcome))


def _ask(actor: Any, call: Call) -> Any:  # noqa: ANN401  Ray's handles
    name, arguments = call
    return getattr(actor, name).remote(*arguments)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Put our handling of signals back, which Ray replaces: a SIGTERM lets runs write a checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

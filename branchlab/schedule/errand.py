"""One run that an outpost on another machine carries out, seen from here.

Where no file system is shared, this end holds the run's lease and writes all that arrives into its folder: an index, a
``logs -f``, another command's ``run`` see what they would see of a local run. When this process is killed the kernel frees
the lease, the run is lost, and the next command goes on from the last checkpoint that arrived. Where the file system is
shared the run's own shim holds the lease over there, and this end merely waits.

The course of an errand is a generator: it yields the next call to the outpost and is sent what came back, so that who makes
the calls, and which engine carries them, stands elsewhere.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from branchlab.domain import RunState
from branchlab.errors import ExecutorError
from branchlab.run_folder import LOST, Holder, RunFolder, locked, newest_whole, write_holder
from branchlab.schedule.executor import Outcome, Start
from branchlab.schedule.mirror import Copy, Piece, whole_file
from branchlab.schedule.outpost import Goods, News
from branchlab.train import exits

Call = tuple[str, tuple[Any, ...]]
"""Name of an outpost's method, and its arguments."""
Course = Generator[Call, Any, Outcome]

_EXITS = {exits.ELSEWHERE: Outcome.ELSEWHERE, exits.BUSY: Outcome.BUSY}
_NOW_WITHIN_S = 15.0
_WITH_ORDER = (
    "run.json",
    "record.json",
    "sample.json",
    "checkpoints/last.pt",
    "checkpoints/best.pt",
)


class Errand:
    """One run on its way.

    Args:
        order: What the pool wants.
        engine: What the engine is called; in the lease.
        is_shared: Whether the machine over there sees this one's files under the same paths.
    """

    def __init__(self, order: Start, *, engine: str, is_shared: bool) -> None:
        self.order = order
        self._engine = engine
        self._is_shared = is_shared
        self._held = ExitStack()
        self._has_begun = False
        self._stop = ""
        self._stop_by = float("inf")

    @property
    def _folder(self) -> RunFolder:
        return self.order.run_folder

    def take_up(self) -> bool:
        """Take the run's lease; return whether it is ours to carry out."""
        if self._is_shared:
            return True
        is_free = self._held.enter_context(locked(self._folder.lease))
        latest = self._folder.latest()
        result = latest.read_result() if latest is not None else None
        is_wanted = self._folder.attempts() < self.order.attempt
        is_done = result is not None and result["state"] == RunState.DONE
        if not is_free or self._folder.breathes_elsewhere() or is_done or not is_wanted:
            self._held.close()
            return False
        if latest is not None:
            latest.write_result(RunState.LOST, reason=LOST)
        self._folder.stop.unlink(missing_ok=True)
        write_holder(self._folder.lease, Holder.me(job=self._engine, is_for_one=False))
        return True

    def course(self, goods: Goods | None, parcel: object) -> Course:
        """Carry the run out; ends with what became of it.

        Args:
            goods: What travels, None where all can be seen from over there.
            parcel: The commit, as the engine hands it on.

        Raises:
            ExecutorError: What arrives cannot be written here.
        """
        host = yield "arrive", ()
        self._begin(host)
        if goods is not None:
            for piece in self._outgoing():
                yield "give", (piece,)
        order = {**self.order.order(), "job": f"{self._engine}:{host}"}
        refusal = yield "begin", (order, goods, parcel)
        if refusal:
            self.fail(refusal)
            return Outcome.ENDED
        copy = Copy(self._folder.path) if goods is not None else None
        while True:
            had = dict(copy.had) if copy is not None else {}
            news: News = yield "pull", (had, self._wish())
            for piece in news.pieces:
                assert copy is not None
                self._write(copy, piece)
            if news.code is not None:
                yield "leave", ()
                return self._conclude(news.code, news.complaint)

    def ask_to_stop(self, *, is_now: bool) -> None:
        """Let the run write a checkpoint and end, or end at once; passed on with the next call."""
        if is_now and self._stop != "now":
            self._stop_by = time.monotonic() + _NOW_WITHIN_S
        self._stop = "now" if is_now or self._stop == "now" else "checkpoint"

    @property
    def is_overdue(self) -> bool:
        """Whether it should have ended long since."""
        return time.monotonic() > self._stop_by

    def withdraw(self) -> Outcome | None:
        """Return what became of a run that waits for a machine and need not any more; None where it still shall run."""
        if self._has_begun:
            return None
        if not self._is_shared and self._folder.stop.exists():
            self._folder.attempt(self.order.attempt).write_result(
                RunState.CANCELLED, reason="cancelled before it began"
            )
            return Outcome.ENDED
        if self._folder.attempts() >= self.order.attempt:
            return Outcome.ELSEWHERE
        return Outcome.ENDED if self._stop else None

    def lose(self, why: str) -> None:
        """Take in that whoever carried the run out is gone. It is left without a result, and so can be tried again."""
        if self._stop:
            self._settle(RunState.CANCELLED, f"stopped; {why}")
            return
        attempt = self._folder.attempt(self.order.attempt)
        with self._ours() as is_ours:
            if is_ours:
                # An attempt that never came to be costs a try too: nodes that cannot start any run would be tried for ever.
                attempt.path.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(OSError), attempt.log.open("a") as log:
                    log.write(f"\n[branchlab] {why}\n")

    def fail(self, reason: str) -> None:
        """Record that the run could not be carried out over there."""
        self._settle(RunState.FAILED, reason)

    def close(self) -> None:
        """Give the lease back."""
        self._held.close()

    def _begin(self, host: str) -> None:
        self._has_begun = True
        if not self._is_shared:
            holder = Holder.me(job=f"{self._engine}:{host}", is_for_one=False)
            write_holder(self._folder.lease, holder)
            self._folder.attempt(self.order.attempt).path.mkdir(parents=True, exist_ok=True)

    def _outgoing(self) -> Iterator[Piece]:
        script = self._folder.read_plan().script
        found = (
            newest_whole(self._folder.files, script.checkpoint)
            if script is not None and script.checkpoint
            else None
        )
        more = [found.relative_to(self._folder.path).as_posix()] if found is not None else []
        for path in (*_WITH_ORDER, *more):
            for piece in whole_file(self._folder.path, path):
                yield replace(piece, path=f"{self._folder.path.name}/{piece.path}")

    def _wish(self) -> str:
        """Return how the run shall end, if it shall: another command says so in the run's folder."""
        if not self._is_shared:
            with contextlib.suppress(OSError):
                self.ask_to_stop(is_now=self._folder.stop.read_text() == "now")
        return self._stop

    def _write(self, copy: Copy, piece: Piece) -> None:
        try:
            copy.take(piece)
        except OSError as error:
            raise ExecutorError(
                f"{self._folder.path / piece.path} could not be written: {error.strerror}",
                hint="make room on the disk; the same command goes on with the run",
            ) from None

    def _conclude(self, code: int, complaint: str) -> Outcome:
        if self._is_shared and code in _EXITS:
            return _EXITS[code]
        attempt = self._folder.attempt(self.order.attempt)
        if code >= 0 and not attempt.usage.exists():
            self.fail(complaint or f"the node's process left with exit code {code}")
        return Outcome.ENDED

    def _settle(self, state: RunState, reason: str) -> None:
        with self._ours() as is_ours:
            if is_ours:
                self._folder.attempt(self.order.attempt).write_result(state, reason=reason)

    @contextlib.contextmanager
    def _ours(self) -> Iterator[bool]:
        """Give whether nobody else works on the run."""
        if not self._is_shared:
            yield True
            return
        with locked(self._folder.lease) as is_free:
            yield is_free

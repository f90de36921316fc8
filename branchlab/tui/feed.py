"""Polling: run folders twice a second while runs go on, git when refs or the config have changed.

Everything happens in one worker thread, which owns its index; the event loop only gets messages. A poll that took long
makes the next pause longer, so that watching never takes more than a fifth of a core.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from branchlab.config import CONFIG_NAME
from branchlab.domain import RunRecord
from branchlab.errors import BranchlabError
from branchlab.git.glance import RefsGlance
from branchlab.lab.branches import all_branches
from branchlab.lab.project import Project, open_project
from branchlab.store.index import Index
from branchlab.store.known_runs import KnownRuns
from branchlab.tui.failure import record_failure
from branchlab.tui.messages import Said, SnapshotRead
from branchlab.tui.views import Snapshot, snapshot_of

if TYPE_CHECKING:
    from branchlab.lab.status import Status

_BUSY_PAUSE_S = 0.5
_IDLE_PAUSE_S = 1.0
_ALL_EVERY_S = 20.0
"""So often git and all run folders are read although nothing says that they have changed."""
_PAUSE_PER_WORK = 4.0
_PAUSE_MAX_S = 10.0


class Feed:
    """Reads the lab again and again, and tells what is new.

    ``ask`` and ``stop`` may be called from any thread; all else belongs to the thread of ``work``.
    """

    def __init__(
        self,
        project: Project,
        tell: Callable[[Message], object],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.project = project
        self._tell = tell
        self._now = now
        self._wake = threading.Event()
        self._is_stopping = False
        self._is_forced = False
        self._index: Index | None = None
        self._status: Status | None = None
        self._known: KnownRuns | None = None
        self._snapshot: Snapshot | None = None
        self._records: tuple[RunRecord, ...] = ()
        self._runs_stamp: Hashable = None
        self._refreshed_at = 0.0
        self._glance: RefsGlance | None = None
        self._refs: tuple[Hashable, Hashable] | None = None
        self._refs_read_at = 0.0
        self._states: Hashable = None
        self._is_status_due = True
        self._status_took = self._status_from = 0.0
        self._last_error = ""

    def ask(self) -> None:
        """Have everything read anew: the config, git and the index."""
        self._is_forced = True
        self._wake.set()

    def stop(self) -> None:
        """Let ``work`` return."""
        self._is_stopping = True
        self._wake.set()

    def work(self) -> None:
        """Poll until ``stop`` is called."""
        due = 0.0
        while not self._is_stopping:
            began = time.monotonic()
            is_due = began >= due or self._is_forced
            try:
                if is_due:
                    self._poll()
                if is_due and self._last_error:
                    self._last_error = ""
                    self._tell(Said("", is_error=False))
            except BranchlabError as error:
                self._complain(f"{error.message}; {error.hint}" if error.hint else error.message)
            except Exception as error:  # noqa: BLE001  the door of a worker: recorded whole, and shown
                self._complain(record_failure(error, self.project.state))
            now = time.monotonic()
            if is_due:
                is_busy = any(not record.state.is_over for record in self._records)
                pause = _BUSY_PAUSE_S if is_busy else _IDLE_PAUSE_S
                took = now - began - self._status_took
                due = now + min(max(pause, took * _PAUSE_PER_WORK), _PAUSE_MAX_S)
            self._wake.wait(max(0.0, due - now))
            self._wake.clear()
        if self._index is not None:
            self._index.close()

    def _poll(self) -> None:
        is_forced, self._is_forced = self._is_forced, False
        self._status_took = 0.0
        if is_forced:
            self._refs = None
        has_new_refs = self._look_at_refs(is_forced=is_forced)
        has_new_records = self._look_at_runs()
        self._is_status_due |= has_new_refs
        if has_new_records:
            # A mean or a verdict changes only with a run's state; epochs are shown from the records.
            states = frozenset((r.run.id, r.state, r.attempts) for r in self._records)
            self._is_status_due |= states != self._states
            self._states = states
        # A status that takes long waits its turn, and the runs are watched on meanwhile.
        began = time.monotonic()
        if self._status is None or is_forced or (self._is_status_due and began > self._status_from):
            from branchlab.lab.status import status  # while the rows of last time stand already

            self._status = status(self.project)
            self._is_status_due = False
            self._status_took = time.monotonic() - began
            self._status_from = time.monotonic() + self._status_took * _PAUSE_PER_WORK
            has_new_records = True
        if has_new_records:
            self._snapshot = snapshot_of(
                self._status, self._records, read_at=self._now(), before=self._snapshot
            )
            self._tell(SnapshotRead(self._snapshot))

    def _look_at_refs(self, *, is_forced: bool) -> bool:
        """Return whether a branch or the config has changed; a changed config is read."""
        now = time.monotonic()
        if self._glance is None:
            self._glance = RefsGlance(self.project.repository.common_dir)
        has_changed = self._glance.has_changed()
        config = self._config_stamp()
        if self._refs is None and not is_forced:
            # The project has just been opened, and its status, which is due, reads the branches itself.
            self._refs, self._refs_read_at = (config, None), now
            return True
        is_old = now - self._refs_read_at > _ALL_EVERY_S
        if self._refs is not None and not (has_changed or is_old or config != self._refs[0]):
            return False
        self._refs_read_at = now
        branches = all_branches(self.project)
        refs = (config, tuple((branch.name, branch.tip) for branch in branches))
        is_same = refs == self._refs or (self._refs == (config, None) and not has_changed)
        if is_same:
            self._refs = refs
            return False
        if is_forced or (self._refs is not None and config != self._refs[0]):
            self.project = open_project(self.project.here)
        self._refs = refs
        return True

    def _config_stamp(self) -> Hashable:
        return _changed_at(self.project.repository.root / CONFIG_NAME)

    def _look_at_runs(self) -> bool:
        if self._index is None or self._known is None:
            self._index = Index(self.project.state)
            self._known = KnownRuns(self._index)
        self._refresh(self._index)
        if not self._known.look():
            return False
        self._records = self._known.records
        return True

    def _refresh(self, index: Index) -> None:
        """Bring the index up to date where that may be needed.

        Runs that are over change only by a command that writes the index itself. Looking at 3,000 of them takes 50 ms.
        """
        now = time.monotonic()
        stamp = _changed_at(self.project.state.runs)
        is_open = any(not record.state.is_over for record in self._records)
        is_there = self.project.state.index.exists()
        if (
            is_open
            or not is_there
            or stamp != self._runs_stamp
            or now - self._refreshed_at > _ALL_EVERY_S
        ):
            index.refresh()
            self._runs_stamp, self._refreshed_at = stamp, now

    def _complain(self, text: str) -> None:
        if text != self._last_error:
            self._last_error = text
            self._tell(Said(text, is_error=True))


def _changed_at(path: Path) -> Hashable:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size

"""The tracker: a process that mirrors runs into other tools while they train, and ends when none is open any more.

It only reads run folders, so that it may be killed or started anywhere, and serves runs of clusters as those of this
machine. A tool that fails is tried again, at longer and longer intervals; the others are not kept waiting for it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from branchlab.domain import RunRecord, RunState
from branchlab.errors import BranchlabError
from branchlab.export.sender import Sender
from branchlab.export.tool import Destination, destination_of, missing, open_tool
from branchlab.lab.project import Project, open_project
from branchlab.lab.track import TrackerFiles
from branchlab.run_folder import StateFolder, locked
from branchlab.schedule.jobs import look_after

_LOOK_EVERY_S, _LOOK_EVERY_S_MAX = 1.0, 5.0
_LOOK_AT_JOBS_EVERY_S = 30.0
_RETRY_S, _RETRY_S_MAX = 5.0, 60.0
_LAST_TRIES_S = 20.0
"""How long a tool that fails is waited for when no run is open any more; what is left is written by the next tracker."""


@dataclass(slots=True)
class Keeper:
    """Keeps one destination up to date, and knows what is in its way.

    Attributes:
        is_in_trouble: Whether it was said that it cannot be written.
        is_behind: Whether something is known to be missing there.
    """

    destination: Destination
    state: StateFolder
    files: TrackerFiles
    retry_s: float = _RETRY_S
    not_before: float = 0.0
    is_in_trouble: bool = False
    is_behind: bool = False
    _failed: set[str] = field(default_factory=set)
    _sender: Sender | None = None
    _earlier: Mapping[str, int] = field(default_factory=dict)

    def bring_up(self, records: Sequence[RunRecord]) -> bool:
        """Write what is new; return whether anything was. What goes wrong is said, once, and tried again later."""
        if time.monotonic() < self.not_before:
            return False
        try:
            found = self._bring_up(records)
        except Exception as error:  # noqa: BLE001  whatever a tool raises; recorded whole, no run is hurt by it
            self._complain(error)
            return False
        if not self.is_behind:
            if self.is_in_trouble:
                self._say("is written again; nothing is missing there")
            self.is_in_trouble, self.retry_s = False, _RETRY_S
        return found

    def _bring_up(self, records: Sequence[RunRecord]) -> bool:
        bookmarks = self.destination.bookmarks(self.state)
        if self._sender is None:
            self._earlier = bookmarks.earlier(lambda: records)
            tool = open_tool(self.destination, self._say)
            self._sender = Sender(tool, bookmarks, self._say)
        wanted = [r for r in records if r.attempts > self._earlier.get(r.run.id, 0)]
        # One that has failed comes last: whatever is wrong with it keeps no other run waiting.
        wanted.sort(key=lambda record: record.run.id in self._failed)
        with self._sender.alone(wait_s=_LOOK_EVERY_S) as is_ours:
            self.is_behind = not is_ours
            return is_ours and sum(self._send(self._sender, record) for record in wanted) > 0

    def _send(self, sender: Sender, record: RunRecord) -> bool:
        self._failed.add(record.run.id)
        found = sender.send(record, self.state.run(record.run.id))
        self._failed.discard(record.run.id)
        return found

    def _complain(self, error: Exception) -> None:
        _record_whole()
        self.close()
        self.is_behind = True
        self.not_before = time.monotonic() + self.retry_s
        self.retry_s = min(2 * self.retry_s, _RETRY_S_MAX)
        # The same tool fails in many words for one reason: the first are said, all are in the log.
        if not self.is_in_trouble:
            text = f"cannot be written: {_one_line(error)}; runs go on, it is tried again"
            self.is_in_trouble = self._say(text)

    def _say(self, text: str) -> bool:
        return self.files.note(f"{self.destination.tool} ({self.destination.address}): {text}")

    def close(self) -> None:
        """Let go of the tool."""
        sender, self._sender = self._sender, None
        try:
            if sender is not None:
                sender.close()
        except Exception:  # noqa: BLE001  a tool that failed may fail again while it is closed
            _record_whole()


def track(project: Project) -> None:
    """Mirror runs until none is open; at once nothing where another tracker works."""
    files = TrackerFiles.of(project.state)
    while True:
        with locked(files.lock) as is_ours:
            if not is_ours:
                return
            files.make_room()
            _Tracker(project, files).work()
        # A command that came while the lock was still held relies on this one.
        if not project.state.is_at_work():
            return


class _Tracker:
    def __init__(self, project: Project, files: TrackerFiles) -> None:
        tools = dict.fromkeys(project.config.track.to)
        self._project = project
        self._files = files
        self._keepers = [
            Keeper(destination_of(tool, project.config.track, project.state), project.state, files)
            for tool in tools
            if missing(tool) is None
        ]
        self._index = project.index()

    def work(self) -> None:
        every_s, looked_at, idle_since = _LOOK_EVERY_S, 0.0, float("inf")
        try:
            while True:
                if time.monotonic() - looked_at > _LOOK_AT_JOBS_EVERY_S:
                    look_after(self._project.state)
                    looked_at = time.monotonic()
                # Whether anything is open is asked first: what ends after is found over, and written, below.
                is_at_work = self._project.state.is_at_work()
                records = self._records()
                is_open = is_at_work or any(self._is_open(record) for record in records)
                is_news = sum(keeper.bring_up(records) for keeper in self._keepers) > 0
                every_s = _LOOK_EVERY_S if is_news else min(1.1 * every_s, _LOOK_EVERY_S_MAX)
                idle_since = float("inf") if is_open else min(idle_since, time.monotonic())
                is_behind = any(keeper.is_behind for keeper in self._keepers)
                patience_s = _LAST_TRIES_S if is_behind else 0.0
                if not is_open and time.monotonic() - idle_since >= patience_s:
                    return
                time.sleep(every_s)
        finally:
            for keeper in self._keepers:
                keeper.close()
            self._index.close()

    def _records(self) -> list[RunRecord]:
        try:
            self._index.refresh()
        except BranchlabError:
            _record_whole()  # locked, or no room: the records are those of the last time
        return self._index.runs()

    def _is_open(self, record: RunRecord) -> bool:
        is_queued = (
            record.state is RunState.PLANNED and self._project.state.run(record.run.id).job.exists()
        )
        return is_queued or record.state is RunState.RUNNING


def _record_whole() -> None:
    """Leave the traceback of what went wrong in the log, which may be on the full disk itself."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
        sys.stderr.flush()


def _one_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"


if __name__ == "__main__":
    os.nice(5)
    track(open_project(Path(sys.argv[1])))

"""From run folders to one destination: nothing missing, nothing twice, whoever is killed in between.

Of a run only what lies beyond its bookmark is written, and the bookmark moves when it has been. One process at a time
writes into a destination; what another one has written meanwhile is seen by its bookmark.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from branchlab.domain import RunRecord
from branchlab.export.bookmarks import Bookmark, Bookmarks
from branchlab.export.news import Place, Reading
from branchlab.export.tool import Tell, Tool
from branchlab.run_folder import RunFolder, locked


class Sender:
    """Writes runs into one destination."""

    def __init__(self, tool: Tool, bookmarks: Bookmarks, tell: Tell) -> None:
        self._tool = tool
        self._bookmarks = bookmarks
        self._tell = tell
        self._readings: dict[str, tuple[Bookmark, Reading]] = {}

    @contextlib.contextmanager
    def alone(self, *, wait_s: float) -> Iterator[bool]:
        """Keep other processes from writing into the destination; yields whether none does after so long."""
        with locked(self._bookmarks.lock, wait_s=wait_s) as is_ours:
            yield is_ours

    def send(self, record: RunRecord, folder: RunFolder) -> bool:
        """Write what is new of a run that has begun; return whether anything was."""
        run_id, attempts = record.run.id, record.attempts
        mark = self._bookmarks.read(run_id)
        if not attempts or (mark is not None and mark.ended == attempts and record.state.is_over):
            self._readings.pop(run_id, None)
            return False
        known = self._readings.pop(run_id, None)
        if known is None or known[0] != mark or self._goes_back(known[1], attempts):
            known = self._begin(record, folder, mark)
        mark, reading = known
        news = reading.news()
        if news.is_anew and mark.place.attempt:
            mark, reading = self._begin(record, folder, mark, is_anew=True)
            news = reading.news()
        if news.num_damaged:
            self._tell(f"{run_id}: {news.num_damaged} damaged lines are left out")
        if not news and not record.state.is_over:
            self._readings[run_id] = mark, reading
            return False
        own = self._tool.send(record, news, mark.own) if news else mark.own
        after = replace(mark, place=news.place, own=own, ended=0)
        if record.state.is_over:
            own = self._tool.end(record, folder, own)
            after = replace(after, own=own, ended=attempts)
        self._bookmarks.write(run_id, after)
        if not record.state.is_over:
            self._readings[run_id] = after, reading
        return True

    def _begin(
        self,
        record: RunRecord,
        folder: RunFolder,
        mark: Bookmark | None,
        *,
        is_anew: bool = False,
    ) -> tuple[Bookmark, Reading]:
        found = mark or Bookmark()
        own, is_anew = self._tool.begin(record, found.own, is_anew=is_anew)
        begun = Bookmark(place=Place() if is_anew else found.place, own=own)
        # What finds the record again is kept before anything else is written there.
        self._bookmarks.write(record.run.id, begun)
        return begun, Reading(folder, begun.place)

    def _goes_back(self, reading: Reading, attempts: int) -> bool:
        """Whether a new attempt takes steps again that the tool would refuse."""
        return reading.place.attempt not in {0, attempts} and not self._tool.takes_earlier_steps

    def close(self) -> None:
        """Let go of the tool."""
        self._tool.close()

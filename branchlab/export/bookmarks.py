"""How far each run has been written into one destination, kept on disk so that any process can go on from there.

A folder a destination, ``.branchlab/track/<tool>-<digest of its address>``, one file a run, written whole after what it
speaks of has been written there. A kill in between repeats the last piece, which every tool takes as one that it has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from branchlab.domain import RunRecord
from branchlab.export.news import Place
from branchlab.run_folder import JSON, write_atomically

_EARLIER = "earlier.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """How far one run has been written.

    Attributes:
        own: What the tool needs to find its own record of the run again.
        ended: Number of the attempt whose end has been written; 0 while the run is open there.
    """

    place: Place = field(default_factory=Place)
    own: JSON = field(default_factory=dict)
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Bookmarks:
    """The bookmarks of one destination."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by whoever writes into the destination."""
        return self.folder / "lock"

    def read(self, run_id: str) -> Bookmark | None:
        """Return a run's; None where there is none that can be read: then it is written from the start."""
        try:
            document = json.loads(self._path(run_id).read_bytes())
            return Bookmark(**{**document, "place": Place(**document["place"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, run_id: str, bookmark: Bookmark) -> None:
        """Keep a run's."""
        write_atomically(self._path(run_id), json.dumps(asdict(bookmark)).encode())

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def earlier(self, records: Callable[[], Sequence[RunRecord]]) -> Mapping[str, int]:
        """Return the runs that were over when this destination was first watched, with their attempts then.

        They are left to ``branchlab export``: who names a tool in the config does not ask for all that ever ran.
        """
        path = self.folder / _EARLIER
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            found = {r.run.id: r.attempts for r in records() if r.state.is_over}
            write_atomically(path, json.dumps(found).encode())
        return found if isinstance(found, dict) else {}

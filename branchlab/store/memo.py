"""Facts about git objects that never change, kept by object id: patch ids, forecasts, landings.

A cache and nothing more: a failure to read is a miss, a failure to write is forgotten, a damaged file is deleted. It is a file
of its own, so that the index can be thrown away without losing minutes of git's work, and the other way round.

Thread safety: a connection a call. Consistency: writers take a flock, because SQLite before 3.51.3 can lose a WAL reset
with two of them; it keeps the plain rollback journal.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from branchlab.run_folder import StateFolder, locked

_LOCK_WAIT_S = 2.0
_CHUNK = 500
_ROWS_MAX = 400_000
"""Some 80 MB. Beyond it the oldest half goes."""

_TABLE = """
CREATE TABLE IF NOT EXISTS memo (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    UNIQUE (kind, key) ON CONFLICT REPLACE
) STRICT;
"""


class Memo:
    """Keeps bytes by kind and key below ``.branchlab/``."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state

    @property
    def path(self) -> Path:
        return self._state.path / "memo.sqlite"

    def get(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is kept of some keys."""
        if not keys or not self.path.exists():
            return {}
        found: dict[str, bytes] = {}
        with self._forgiving(), contextlib.closing(self._connect()) as connection:
            for at in range(0, len(keys), _CHUNK):
                chunk = keys[at : at + _CHUNK]
                marks = ",".join("?" * len(chunk))
                query = f"SELECT key, value FROM memo WHERE kind = ? AND key IN ({marks})"  # noqa: S608  marks only
                found.update(connection.execute(query, (kind, *chunk)).fetchall())
        return found

    def put(self, kind: str, items: Mapping[str, bytes], *, most: int | None = None) -> None:
        """Keep more; of kinds that are large only the latest ``most``."""
        if not items:
            return
        with self._forgiving():
            self._state.create()
            with locked(self._state.path / "memo.lock", wait_s=_LOCK_WAIT_S) as is_ours:
                if is_ours:
                    self._write(kind, items, most)

    def _write(self, kind: str, items: Mapping[str, bytes], most: int | None) -> None:
        with contextlib.closing(self._connect()) as connection, connection:
            connection.execute(_TABLE)
            connection.executemany(
                "INSERT INTO memo (kind, key, value) VALUES (?, ?, ?)",
                [(kind, key, value) for key, value in items.items()],
            )
            if most is not None:
                connection.execute(
                    "DELETE FROM memo WHERE kind = ? AND number <= "
                    "(SELECT number FROM memo WHERE kind = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                    (kind, kind, most),
                )
            (first, last) = connection.execute(
                "SELECT min(number), max(number) FROM memo"
            ).fetchone()
            if last - first > _ROWS_MAX:
                half = (first + last) // 2
                connection.execute("DELETE FROM memo WHERE number < ?", (half,))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=_LOCK_WAIT_S)

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError:
            pass  # locked for too long, read-only, or full
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError):
                self.path.unlink()
        except OSError:
            pass

"""Tables of the index, as numbered migrations that are applied once, in order, inside one transaction."""

from __future__ import annotations

import sqlite3

from branchlab.errors import StoreError

_MIGRATIONS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, key TEXT NOT NULL, branch TEXT NOT NULL, "commit" TEXT NOT NULL, tree TEXT NOT NULL,
        seed INTEGER NOT NULL, scale TEXT NOT NULL, batch TEXT NOT NULL, planned_at TEXT NOT NULL,
        plan TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL, attempt INTEGER NOT NULL,
        events_offset INTEGER NOT NULL, events_damaged INTEGER NOT NULL,
        epoch INTEGER NOT NULL, epochs INTEGER NOT NULL, step INTEGER NOT NULL, steps INTEGER NOT NULL,
        images_per_s REAL, started_at TEXT, ended_at TEXT, duration_s REAL, metrics TEXT NOT NULL
    ) STRICT;
    CREATE INDEX runs_by_key ON runs(key);
    CREATE INDEX runs_by_branch ON runs(branch, planned_at);
    CREATE TABLE metrics (
        run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
        name TEXT NOT NULL, step INTEGER NOT NULL, epoch INTEGER NOT NULL, value REAL NOT NULL,
        PRIMARY KEY (run, name, step)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE runs ADD COLUMN usage TEXT NOT NULL DEFAULT '{}';
    """,
    """
    ALTER TABLE runs ADD COLUMN data TEXT NOT NULL DEFAULT '';
    """,
    """
    ALTER TABLE runs ADD COLUMN slices TEXT NOT NULL DEFAULT '{}';
    """,
    """
    ALTER TABLE runs ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX runs_by_changed ON runs(changed);
    CREATE TABLE changes (number INTEGER NOT NULL) STRICT;
    INSERT INTO changes VALUES (0);
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this program's version.

    Raises:
        StoreError: They were written by a newer program.
    """
    version = _version(connection)
    if version > len(_MIGRATIONS):
        raise StoreError(
            f"the index has version {version}; this branchlab knows up to {len(_MIGRATIONS)}",
            hint="update branchlab, or delete .branchlab/index.sqlite: it is made again from the run folders",
        )
    for number in range(version, len(_MIGRATIONS)):
        connection.executescript(
            f"BEGIN IMMEDIATE;{_MIGRATIONS[number]}PRAGMA user_version={number + 1};COMMIT;"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])

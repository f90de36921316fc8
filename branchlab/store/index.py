"""The index over the run folders: one writer, any number of readers, derived and disposable.

``refresh`` brings it up to date with the folders and may be called any time, from any offset, as often as one likes:
rows and the offset that they were read up to are committed together. Writing is guarded by a flock besides SQLite's
own locks, because SQLite before 3.51.3 can lose a WAL reset with two writing connections. Readers open read-only.

Thread safety: an Index belongs to the thread that opened it. Consistency: a reader sees whole refreshes.
Durability: none is needed, the folders are the truth; a damaged file is put aside and made again.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from branchlab.domain import Run as PlannedRun
from branchlab.domain import RunRecord, RunState, Sample, Scale
from branchlab.errors import StoreError
from branchlab.run_folder import (
    StateFolder,
    from_text,
    locked,
    script_of,
)
from branchlab.store.ingest import look, upsert
from branchlab.store.schema import migrate

_LOCK_WAIT_S = 10.0
_CURVES = "SELECT run, epoch, value FROM metrics WHERE name = ? ORDER BY run, step"
# CROSS JOIN is an order in SQLite: some runs are looked up by key; the planner would read all of them instead.
_CURVES_OF_SOME = (
    "SELECT run, epoch, metrics.value FROM json_each(?) AS wanted CROSS JOIN metrics"
    " ON run = wanted.value AND name = ? ORDER BY run, step"
)


class Index:
    """Runs and metrics of one repository."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._reader: sqlite3.Connection | None = None
        self._file = 0
        self._known: dict[str, tuple[tuple[Any, ...], RunRecord]] = {}

    def refresh(self) -> None:
        """Read what the run folders have new. Without folders nothing is written.

        Raises:
            StoreError: Another process has held the index's lock for too long, or the disk refuses to be written.
        """
        if not self._state.runs.is_dir():
            return
        with locked(self._state.path / "index.lock", wait_s=_LOCK_WAIT_S) as is_ours:
            if not is_ours:
                raise StoreError(
                    f"the index was locked by another process for {_LOCK_WAIT_S:g} s",
                    hint=f"see which: fuser {self._state.path / 'index.lock'}",
                )
            try:
                self._ingest_all()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise StoreError(
                        f"the index cannot be written: {error}", hint="is the disk full?"
                    ) from None
                self._put_aside()
                self._ingest_all()

    def runs(self) -> list[RunRecord]:
        """Return all runs, the latest planned first; asked again, what has not changed is the same object."""
        rows = self._read("SELECT * FROM runs ORDER BY planned_at DESC, id", ())
        before, self._known = self._known, {}
        for row in rows:
            run_id, values = row["id"], tuple(row)
            known = before.get(run_id)
            if known is None or known[0] != values:
                known = values, self._record(row)
            self._known[run_id] = known
        return [record for _, record in self._known.values()]

    def runs_of_branch(self, branch: str) -> list[RunRecord]:
        """Return the runs that were planned for a branch, the latest planned first."""
        return self._records(
            "SELECT * FROM runs WHERE branch = ? ORDER BY planned_at DESC, id", (branch,)
        )

    def runs_since(self, change: int) -> tuple[list[RunRecord], int]:
        """Return the runs that have changed after a change, and the latest change among them; -1 is before all."""
        rows = self._read("SELECT * FROM runs WHERE changed > ?", (change,))
        return self._to_records(rows), max((row["changed"] for row in rows), default=change)

    def ids(self) -> set[str]:
        """Return the ids of all runs."""
        return {row["id"] for row in self._read("SELECT id FROM runs", ())}

    def count(self) -> int:
        """Return how many runs there are."""
        rows = self._read("SELECT count(*) FROM runs", ())
        return int(rows[0][0]) if rows else 0

    def run(self, run_id: str) -> RunRecord | None:
        """Return one run."""
        records = self._records("SELECT * FROM runs WHERE id = ?", (run_id,))
        return records[0] if records else None

    def runs_of_key(self, key: str) -> list[RunRecord]:
        """Return every run of a key, the latest planned first."""
        return self._records(
            "SELECT * FROM runs WHERE key = ? ORDER BY planned_at DESC, id", (key,)
        )

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Return (step, value) pairs of one metric."""
        rows = self._read(
            "SELECT step, value FROM metrics WHERE run = ? AND name = ? ORDER BY step",
            (run_id, metric),
        )
        return [(row["step"], row["value"]) for row in rows]

    def points(self, run_id: str, metric: str) -> list[tuple[int, int, float]]:
        """Return (step, epoch, value) of one metric."""
        rows = self._read(
            "SELECT step, epoch, value FROM metrics WHERE run = ? AND name = ? ORDER BY step",
            (run_id, metric),
        )
        return [(row["step"], row["epoch"], row["value"]) for row in rows]

    def epoch_curves(
        self, metric: str, runs: Iterable[str] | None = None
    ) -> dict[str, list[tuple[int, float]]]:
        """Return (epoch, last value in it) of one metric, by run: of all runs, or of some without reading the others."""
        if runs is None:
            rows = self._read(_CURVES, (metric,))
        else:
            rows = self._read(_CURVES_OF_SOME, (json.dumps(list(runs)), metric))
        found: dict[str, dict[int, float]] = {}
        for row in rows:
            found.setdefault(row["run"], {})[row["epoch"]] = row["value"]
        return {run: sorted(values.items()) for run, values in found.items()}

    def metric_names(self) -> list[str]:
        """Return the names of all metrics that any run has recorded."""
        return [
            row["name"] for row in self._read("SELECT DISTINCT name FROM metrics ORDER BY name", ())
        ]

    def metric_names_of(self, run_ids: Sequence[str]) -> list[str]:
        """Return the names of the metrics that some runs have recorded; without looking at those of others."""
        marks = ", ".join("?" * len(run_ids))
        query = f"SELECT DISTINCT name FROM metrics WHERE run IN ({marks}) ORDER BY name"  # noqa: S608  marks alone
        return [row["name"] for row in self._read(query, tuple(run_ids))]

    def data_version(self) -> int:
        """Return a number that changes when another connection has written (costs 4 microseconds)."""
        rows = self._read("PRAGMA data_version", ())
        return int(rows[0][0]) if rows else 0

    def stamp(self) -> tuple[int, int]:
        """Return which file is read, and its ``data_version``: equal stamps mean that nothing has changed.

        A file that was put aside or deleted, and made again, is opened anew.
        """
        try:
            file = self._state.index.stat().st_ino
        except OSError:
            file = 0
        if file != self._file:
            self.close()
        version = self.data_version()
        return self._file, version

    def close(self) -> None:
        """Give the connection back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read(self, query: str, values: tuple[object, ...]) -> list[sqlite3.Row]:
        if self._reader is None and not self._state.index.exists():
            return []
        try:
            if self._reader is None:
                self._reader = sqlite3.connect(
                    f"file:{_quoted(self._state.index)}?mode=ro", uri=True
                )
                self._reader.row_factory = sqlite3.Row
                self._file = self._state.index.stat().st_ino
            return self._reader.execute(query, values).fetchall()
        except FileNotFoundError:  # deleted this moment
            self.close()
            return []
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from None

    def _records(self, query: str, values: tuple[object, ...]) -> list[RunRecord]:
        return self._to_records(self._read(query, values))

    def _to_records(self, rows: list[sqlite3.Row]) -> list[RunRecord]:
        return [self._record(row) for row in rows]

    def _record(self, row: sqlite3.Row) -> RunRecord:
        try:
            return _record(row)
        except (ValueError, TypeError, KeyError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> StoreError:
        return StoreError(
            f"the index cannot be read: {error}",
            hint=f"delete it, it is made again from the run folders: rm {self._state.index}",
        )

    def _put_aside(self) -> None:
        self.close()
        for suffix in ("-wal", "-shm"):
            self._state.index.with_name(self._state.index.name + suffix).unlink(missing_ok=True)
        self._state.index.replace(self._state.index.with_suffix(".damaged"))

    @contextmanager
    def _writer(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._state.index, isolation_level=None, timeout=_LOCK_WAIT_S)
        connection.row_factory = sqlite3.Row
        try:
            connection.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
            )
            migrate(connection)
            yield connection
        finally:
            connection.close()

    def _ingest_all(self) -> None:
        with self._writer() as connection:
            # Of those that are done only the names are held against one another: there may be 10,000.
            settled = {
                row["id"]
                for row in connection.execute(
                    "SELECT id FROM runs WHERE state = ?", (str(RunState.DONE),)
                )
            }
            known = {
                row["id"]: row
                for row in connection.execute(
                    "SELECT id, state, attempt, events_offset, events_damaged, usage, metrics "
                    "FROM runs WHERE state != ?",
                    (str(RunState.DONE),),
                )
            }
            names = {entry.name for entry in os.scandir(self._state.runs)}
            updates = []
            for run_id in sorted(names - settled):
                folder = self._state.run(run_id)
                if (update := look(folder, known.get(run_id))) is not None:
                    updates.append(update)
            gone = [(run_id,) for run_id in (*settled, *known) if run_id not in names]
            if not updates and not gone:
                return
            connection.execute("BEGIN IMMEDIATE")
            # Counted apart from the runs: the number of one that is deleted is never given again.
            connection.execute("UPDATE changes SET number = number + 1")
            (change,) = connection.execute("SELECT number FROM changes").fetchone()
            for update in updates:
                upsert(connection, update, change=change)
            connection.executemany("DELETE FROM runs WHERE id = ?", gone)
            connection.execute("COMMIT")


@lru_cache(maxsize=2048)
def _plan(text: str) -> Mapping[str, Any]:
    """Return what a plan says of its run beside what has a column; the seeds of a branch share it."""
    plan = json.loads(text)
    sample = plan["sample"]
    if isinstance(sample, list):  # as an earlier version wrote it
        sample = dict(zip(("fraction", "strategy", "seed"), sample, strict=True))
    return {**plan, "sample": Sample(**sample), "script": script_of(plan.get("script"))}


def _record(row: sqlite3.Row) -> RunRecord:
    run = PlannedRun(
        id=row["id"],
        key=row["key"],
        branch=row["branch"],
        commit=row["commit"],
        tree=row["tree"],
        seed=row["seed"],
        scale=Scale(row["scale"]),
        batch=row["batch"],
        planned_at=from_text(row["planned_at"]),
        **_plan(row["plan"]),
    )
    return RunRecord(
        run=run,
        state=RunState(row["state"]),
        metrics=json.loads(row["metrics"]),
        epoch=row["epoch"],
        epochs=row["epochs"],
        step=row["step"],
        steps=row["steps"],
        images_per_s=row["images_per_s"],
        attempts=row["attempt"],
        started_at=from_text(row["started_at"]),
        ended_at=from_text(row["ended_at"]),
        duration_s=row["duration_s"],
        usage=json.loads(row["usage"]),
        reason=row["reason"],
        data=row["data"],
        slices=_Slices(row["slices"]),
    )


class _Slices(Mapping[str, float]):
    """Values by name that are read where somebody asks for one: ``status`` asks for none, and there may be hundreds a run."""

    __slots__ = ("_read", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._read: dict[str, float] | None = None

    def __getitem__(self, name: str) -> float:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Slices):
            return self._text == other._text
        return isinstance(other, Mapping) and self._values() == dict(other)

    __hash__ = None  # type: ignore[assignment]  # as any mapping that is compared by content

    def _values(self) -> dict[str, float]:
        if self._read is None:
            found = json.loads(self._text)
            self._read = found if isinstance(found, dict) else {}
        return self._read


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    # SQLITE_ERROR: its tables are not those that its version promises.
    name = getattr(error, "sqlite_errorname", "")
    return name in {"SQLITE_NOTADB", "SQLITE_ERROR"} or name.startswith("SQLITE_CORRUPT")


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))

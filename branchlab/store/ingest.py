"""From a run folder to rows of the index: what is new since the last look, and the state that the folder shows."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from branchlab.domain import Run, RunState
from branchlab.errors import StoreError
from branchlab.run_folder import (
    JSON,
    LOST,
    EventChunk,
    RunFolder,
    locked,
    parse_event,
    read_events,
    to_text,
)

Row = tuple[str, str, int, int, float]
"""Of the table of metrics: run, name, step, epoch, value."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a folder has new: columns of the run, rows of its metrics, and whether those there are to go first."""

    columns: dict[str, Any]
    rows: list[Row]
    is_anew: bool = False


def look(folder: RunFolder, row: sqlite3.Row | None) -> Update | None:
    """Return what a folder holds beyond the row, or None when nothing is new."""
    number = folder.attempts()
    if (
        row is not None
        and row["attempt"] == number
        and row["state"] in {RunState.FAILED, RunState.CANCELLED, RunState.LOST}
        and not folder.job.exists()
    ):
        return None
    # How it ended is looked for before the events: a run that ends in between is found unfinished, and read again later.
    number, state, result = _standing(folder)
    is_same_attempt = row is not None and row["attempt"] == number
    earlier, chunk = _new_events(folder, number, row)
    known = json.loads(row["usage"]) if row is not None and is_same_attempt else {}
    usage = {**known, **_usage(folder, number)}
    is_quiet = row is not None and chunk.next_offset == row["events_offset"] and usage == known
    if row is not None and is_same_attempt and row["state"] == state and is_quiet:
        return None
    try:
        run = folder.read_plan()
    except StoreError:
        return None
    values: dict[str, Any] = {
        **_plan_columns(run),
        "state": str(state),
        "reason": (result or {}).get("reason", ""),
        "attempt": number,
        "events_offset": chunk.next_offset,
        "events_damaged": chunk.num_damaged,
        "usage": json.dumps(usage | _device_memory(chunk.events)),
    }
    so_far = json.loads(row["metrics"]) if row is not None and is_same_attempt else {}
    earlier, is_anew = _since_anew(earlier, chunk.events)
    metric_rows = _fold({}, earlier, run.id) + _fold(values, chunk.events, run.id, so_far)
    if result is not None:
        values["ended_at"] = result.get("ended_at")
        values["duration_s"] = result.get("duration_s")
        if result.get("metrics"):
            values["metrics"] = json.dumps(_floats(result["metrics"]))
        if result.get("slices"):
            values["slices"] = json.dumps(_floats(result["slices"]))
    elif row is None or not is_same_attempt:
        values.setdefault("metrics", "{}")
    return Update(values, metric_rows, is_anew)


def _since_anew(earlier: list[JSON], latest: Iterable[JSON]) -> tuple[list[JSON], bool]:
    """Leave out what came before an attempt that began anew; returns whether there is one."""
    if any(event.get("is_anew") for event in latest):
        return [], True
    starts = [place for place, event in enumerate(earlier) if event.get("is_anew")]
    return (earlier[starts[-1] :], True) if starts else (earlier, False)


def _new_events(
    folder: RunFolder, number: int, row: sqlite3.Row | None
) -> tuple[list[JSON], EventChunk]:
    """Return what attempts before ``number`` hold beyond the row, and what ``number`` itself does.

    A run that went on from a checkpoint has the first part of its curves in an earlier attempt.
    """
    earlier: list[JSON] = []
    chunk = EventChunk((), 0, 0)
    first = max(1, row["attempt"]) if row is not None else 1
    for at in range(min(first, number), number + 1):
        earlier += chunk.events
        is_known = row is not None and row["attempt"] == at
        chunk = _read_to_end(
            folder,
            at,
            offset=row["events_offset"] if row is not None and is_known else 0,
            num_damaged=row["events_damaged"] if row is not None and is_known else 0,
        )
    return earlier, chunk


def _read_to_end(folder: RunFolder, number: int, *, offset: int, num_damaged: int) -> EventChunk:
    events: list[JSON] = []
    while number:
        chunk = read_events(folder.attempt(number).events, offset=offset)
        if chunk.next_offset == offset:
            break
        events += chunk.events
        offset, num_damaged = chunk.next_offset, num_damaged + chunk.num_damaged
    return EventChunk(tuple(events), offset, num_damaged)


def _usage(folder: RunFolder, number: int) -> dict[str, float]:
    """Return the latest sample of what an attempt takes of its machine."""
    try:
        with folder.attempt(number).usage.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _USAGE_TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return {}
    event = next((found for line in reversed(lines) if (found := parse_event(line))), {})
    return {
        name: float(value)
        for name, value in event.items()
        if isinstance(value, int | float) and name != "seq"
    }


def _device_memory(events: Iterable[JSON]) -> dict[str, float]:
    found = [event["device_memory_gib"] for event in events if "device_memory_gib" in event]
    return {"device_memory_gib": float(found[-1])} if found else {}


def _standing(folder: RunFolder) -> tuple[int, RunState, JSON | None]:
    """Return the latest attempt, its state and its result; a dead attempt is recorded as lost by whoever finds it."""
    number = folder.attempts()
    if not number:
        return 0, RunState.PLANNED, None
    with locked(folder.lease) as is_free:
        if not is_free:
            # With a result too: its shim still ends what the run has started, and sums up what it took.
            return number, RunState.RUNNING, None
        # Under the lease nothing moves: what has ended or begun since the first look is seen now.
        number = folder.attempts()
        result = folder.attempt(number).read_result()
        if result is None:
            if folder.breathes_elsewhere():
                return number, RunState.RUNNING, None
            folder.attempt(number).write_result(RunState.LOST, reason=LOST)
            result = folder.attempt(number).read_result()
    if result is None:  # there is one, and it is damaged
        result = {"state": RunState.LOST, "reason": "its result cannot be read"}
    state = RunState(result["state"])
    if state is not RunState.DONE and folder.job.exists():
        return number, RunState.PLANNED, None  # its cluster goes on with it
    return number, state, result


def _plan_columns(run: Run) -> dict[str, Any]:
    plan = {
        "task": run.task,
        "sample": asdict(run.sample),
        "flags": dict(run.flags),
        "arguments": dict(run.arguments),
        "epochs": run.epochs,
        "deterministic": run.deterministic,
        "environment": dict(run.environment),
        "device": run.device,
        "threads": run.threads,
        "processes": run.processes,
        "budget_s": run.budget_s,
        "script": asdict(run.script) if run.script is not None else None,
        "code": run.code,
        "content": run.content,
    }
    return {
        "id": run.id,
        "key": run.key,
        "branch": run.branch,
        "commit": run.commit,
        "tree": run.tree,
        "seed": run.seed,
        "scale": str(run.scale),
        "batch": run.batch,
        "planned_at": to_text(run.planned_at or datetime.fromtimestamp(0, UTC)),
        "plan": json.dumps(plan),
    }


def _fold(
    values: dict[str, Any],
    events: Iterable[JSON],
    run_id: str,
    so_far: dict[str, float] | None = None,
) -> list[Row]:
    """Fold events into the columns of a run; return the rows of its metrics.

    The shared trainer says all metrics of an epoch at once. A script says one now and one then: each stands until it is
    said again, also those that are known ``so_far``.
    """
    rows: list[Row] = []
    known = dict(so_far or {})
    for event in events:
        match event["kind"]:
            case "start":
                values |= {
                    "started_at": event["at"],
                    "epochs": event["epochs"],
                    "steps": event["steps"],
                    "data": _data(event),
                }
                if "metrics" in event:  # what a script's earlier attempts told, where it goes on
                    known |= _floats(event["metrics"])
                    values["metrics"] = json.dumps(known)
            case "told":
                found = _floats(event["values"])
                known |= found
                values |= {"step": event["step"], "epoch": event["epoch"]}
                values["metrics"] = json.dumps(known)
                rows += [
                    (run_id, name, event["step"], event["epoch"], value)
                    for name, value in found.items()
                ]
            case "metric" | "epoch":
                values["step"] = event["step"]
                values |= {"steps": event["steps"]} if "steps" in event else {}
                found = _floats(event["values"])
                rows += [
                    (run_id, name, event["step"], event["epoch"], value)
                    for name, value in found.items()
                ]
                if event["kind"] == "epoch":
                    values |= {"epoch": event["epoch"], "images_per_s": event["images_per_s"]}
                    values["metrics"] = json.dumps(found)
            case _:
                pass
    return rows


def _data(start: JSON) -> str:
    """Return digests of what a run trains on, as far as it tells them."""
    ids = start.get("sample_digest", "")
    return f"{ids}:{start.get('targets_digest', '')}" if ids else ""


def _floats(values: JSON) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


_USAGE_TAIL = 4096
_COUNTS = dict.fromkeys(("epoch", "epochs", "step", "steps"), 0)
_DEFAULTS = {**_COUNTS, **dict.fromkeys(("metrics", "usage", "slices"), "{}"), "data": ""}


def upsert(connection: sqlite3.Connection, update: Update, *, change: int) -> None:
    """Write what ``look`` found; a new attempt starts its columns anew, metrics of equal steps are replaced.

    Args:
        connection: Within a transaction.
        update: What is new of one run.
        change: Number of the transaction, which readers know it by that want only what is new.
    """
    values = {**update.columns, "changed": change}
    row = connection.execute("SELECT attempt FROM runs WHERE id = ?", (values["id"],)).fetchone()
    if row is None or row["attempt"] != values["attempt"]:
        values = {"started_at": None, "ended_at": None, "duration_s": None, **_DEFAULTS, **values}
    if row is None:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", list(values.values()))  # noqa: S608  column names above
    else:
        sets = ", ".join(f'"{name}" = ?' for name in values)
        connection.execute(f"UPDATE runs SET {sets} WHERE id = ?", [*values.values(), values["id"]])  # noqa: S608
    if update.is_anew:
        connection.execute("DELETE FROM metrics WHERE run = ?", (values["id"],))
    connection.executemany(
        "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?)",
        [row for row in update.rows if row[-1] == row[-1]],
    )

"""Runs and their metrics as two tables, for whatever reads tables: CSV, Parquet, pandas, polars.

*runs*: a row a run, with its last metrics as columns. *metrics*: a row a value (long form), what the index holds and when it was
measured. Values that are no number are kept: ``nan``, ``inf``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from branchlab.domain import RunRecord
from branchlab.errors import ConfigError
from branchlab.export.facts import group_of
from branchlab.export.news import Reading
from branchlab.run_folder import RunFolder, to_text, write_atomically

Row = Mapping[str, Any]

METRIC_COLUMNS = ("run", "branch", "seed", "scale", "epoch", "step", "name", "value", "at")
_RUN_COLUMNS = (
    *(
        "run",
        "branch",
        "commit",
        "tree",
        "seed",
        "scale",
        "fraction",
        "command",
        "group",
        "flags",
        "state",
        "reason",
    ),
    *("device", "epoch", "step", "attempts", "images_per_s", "key", "batch"),
    *("planned_at", "started_at", "ended_at", "duration_s"),
)


def run_rows(records: Iterable[RunRecord]) -> list[Row]:
    """Return a row a run; every metric that any of them has is a column of all."""
    records = list(records)
    names = sorted({name for record in records for name in record.metrics})
    return [_run_row(record, names) for record in records]


def _run_row(record: RunRecord, names: Sequence[str]) -> Row:
    run = record.run
    values = (
        *(run.id, run.branch, run.commit, run.tree, run.seed, str(run.scale), run.sample.fraction),
        *(
            run.script.line if run.script is not None else "",
            group_of(run),
            json.dumps(dict(run.flags), sort_keys=True),
            str(record.state),
            record.reason,
        ),
        *(run.device, record.epoch, record.step, record.attempts, record.images_per_s),
        *(
            run.key,
            run.batch,
            run.planned_at,
            record.started_at,
            record.ended_at,
            record.duration_s,
        ),
    )
    metrics = {
        (f"metric {name}" if name in _RUN_COLUMNS else name): record.metrics.get(name)
        for name in names
    }
    return {**dict(zip(_RUN_COLUMNS, values, strict=True)), **metrics}


def run_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the columns of a table of runs, also of an empty one."""
    return tuple(rows[0]) if rows else _RUN_COLUMNS


def metric_rows(record: RunRecord, folder: RunFolder) -> list[Row]:
    """Return a row a value of a run, by name and step."""
    run = record.run
    points = sorted(Reading(folder).news().points, key=lambda point: (point.name, point.step))
    return [
        {
            "run": run.id,
            "branch": run.branch,
            "seed": run.seed,
            "scale": str(run.scale),
            "epoch": point.epoch,
            "step": point.step,
            "name": point.name,
            "value": point.value,
            "at": point.at,
        }
        for point in points
    ]


def to_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Return a table as CSV; times as ``2026-11-23T10:00:00.123Z``, numbers with all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return text.getvalue()


def _cell(value: object) -> object:
    return to_text(value) if isinstance(value, datetime) else value


def write_parquet(rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
    """Write a table as Parquet; times are moments in UTC.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise not_installed("pyarrow") from None
    types = {
        "seed": pa.int64(),
        **dict.fromkeys(("epoch", "step", "attempts"), pa.int64()),
        **dict.fromkeys(("value", "fraction", "images_per_s", "duration_s"), pa.float64()),
        **dict.fromkeys(("at", "planned_at", "started_at", "ended_at"), pa.timestamp("ms", "UTC")),
    }
    fixed = {*METRIC_COLUMNS, *_RUN_COLUMNS}
    fields = [
        pa.field(c, types.get(c, pa.string()) if c in fixed else pa.float64()) for c in columns
    ]
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema(fields))
    content = io.BytesIO()
    parquet.write_table(table, content)
    write_atomically(path, content.getvalue())


def to_pandas(rows: Sequence[Row], columns: Sequence[str]) -> Any:  # noqa: ANN401  a DataFrame, unknown without pandas
    """Return a table as a DataFrame of pandas.

    Raises:
        ConfigError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise not_installed("pandas") from None
    return pd.DataFrame([dict(row) for row in rows], columns=list(columns))


def to_polars(rows: Sequence[Row], columns: Sequence[str]) -> Any:  # noqa: ANN401  a DataFrame, unknown without polars
    """Return a table as a DataFrame of polars.

    Raises:
        ConfigError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError:
        raise ConfigError("polars is not installed here", hint="pip install polars") from None
    return pl.DataFrame({c: [row[c] for row in rows] for c in columns}, strict=False)


def not_installed(package: str) -> ConfigError:
    """Return the complaint where something of the extra ``frames`` is missing."""
    return ConfigError(f"{package} is not installed here", hint="pip install 'branchlab[frames]'")

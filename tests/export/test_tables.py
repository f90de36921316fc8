"""Tables as pandas reads them back, number for number."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from branchlab.export.tables import (
    METRIC_COLUMNS,
    metric_rows,
    run_columns,
    run_rows,
    to_csv,
    to_pandas,
    write_parquet,
)
from branchlab.run_folder import StateFolder
from tests.export.conftest import WrittenRun

pytestmark = [pytest.mark.tools]


@pytest.fixture
def runs(state: StateFolder) -> list[WrittenRun]:
    found = [WrittenRun(state, f"r{seed}", seed=seed) for seed in (0, 1)]
    for one in found:
        one.begin()
        one.epoch(1, **{"val/third": 1 / 3, "val/nan": math.nan, "val/inf": math.inf})
        one.epoch(2, seed=7.0)
        one.end()
    return found


def of_index(runs: list[WrittenRun]) -> dict[tuple[str, str, int], float]:
    return {
        (one.run.id, name, step): value
        for one in runs
        for name, curve in one.indexed().items()
        for step, value in curve.items()
    }


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_metrics_are_read_back_by_pandas_as_the_index_has_them(
    runs: list[WrittenRun], tmp_path: Path, kind: str
) -> None:
    import pandas as pd

    rows = [row for one in runs for row in metric_rows(one.record(), one.folder)]
    if kind == "csv":
        (tmp_path / "m.csv").write_text(to_csv(rows, METRIC_COLUMNS))
        frame = pd.read_csv(tmp_path / "m.csv", parse_dates=["at"])
    elif kind == "parquet":
        write_parquet(rows, METRIC_COLUMNS, tmp_path / "m.parquet")
        frame = pd.read_parquet(tmp_path / "m.parquet")
    else:
        frame = to_pandas(rows, METRIC_COLUMNS)
    assert tuple(frame.columns) == METRIC_COLUMNS
    assert str(frame["at"].dt.tz) == "UTC"
    is_nan = frame["value"].isna()
    assert set(frame[is_nan]["name"]) == {"val/nan"}
    found = {
        (row.run, row.name_, row.step): row.value
        for row in frame[~is_nan].rename(columns={"name": "name_"}).itertuples()
    }
    assert found == of_index(runs)


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_runs_have_their_last_metrics_as_columns_and_none_hides_another(
    runs: list[WrittenRun], tmp_path: Path, kind: str
) -> None:
    import pandas as pd

    records = [one.record() for one in runs]
    rows = run_rows(records)
    columns = run_columns(rows)
    if kind == "csv":
        (tmp_path / "r.csv").write_text(to_csv(rows, columns))
        frame = pd.read_csv(tmp_path / "r.csv")
    elif kind == "parquet":
        write_parquet(rows, columns, tmp_path / "r.parquet")
        frame = pd.read_parquet(tmp_path / "r.parquet")
    else:
        frame = to_pandas(rows, columns)
    assert list(frame["seed"]) == [0, 1]
    assert list(frame["metric seed"]) == [7.0, 7.0]
    assert list(frame["val/accuracy"]) == [r.metrics["val/accuracy"] for r in records]
    assert frame["group"].nunique() == 1


def test_tables_without_rows_keep_their_columns(tmp_path: Path) -> None:
    import pandas as pd

    write_parquet([], METRIC_COLUMNS, tmp_path / "m.parquet")
    assert tuple(pd.read_parquet(tmp_path / "m.parquet").columns) == METRIC_COLUMNS
    assert to_csv([], run_columns([])).count("\n") == 1
    assert list(to_pandas([], run_columns([])).columns)[:2] == ["run", "branch"]

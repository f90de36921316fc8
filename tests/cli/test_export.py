"""``export`` and ``[track]`` where none of the tools is installed, and the tables that need none."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from branchlab.run_folder import StateFolder
from branchlab.store.index import Index
from tests.cli.conftest import IDENTITY, UserRepository

NONE_OF_THEM = """
import sys
for name in ("mlflow", "tensorboard", "wandb", "pyarrow", "pandas", "polars", "matplotlib"):
    sys.modules[name] = None
"""


@pytest.fixture
def without_tools(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which Python finds none of the tools."""
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding/sitecustomize.py").write_text(NONE_OF_THEM)
    known = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "BRANCHLAB_"))}
    return known | IDENTITY | {"PYTHONPATH": str(tmp_path / "hiding")}


def call(
    project: UserRepository, env: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=project.root, env=env, check=False,
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_metrics_as_csv_are_what_the_index_holds(trained: UserRepository) -> None:
    done = trained.branchlab("export", "--to", "csv", "--out", "-")
    assert done.returncode == 0, done.stderr
    found = {
        (row["run"], row["name"], int(row["step"])): float(row["value"])
        for row in rows_of(done.stdout)
    }
    index = Index(StateFolder(trained.root / ".branchlab"))
    index.refresh()
    expected = {
        (record.run.id, name, step): value
        for record in index.runs()
        for name in index.metric_names()
        for step, value in index.curve(record.run.id, name)
    }
    index.close()
    assert expected
    assert found == expected


def test_the_runs_as_csv_are_what_runs_lists(trained: UserRepository) -> None:
    done = trained.branchlab("export", "--to", "csv", "--table", "runs", "--out", "-")
    found = {row["run"]: row for row in rows_of(done.stdout)}
    listed = json.loads(trained.branchlab("runs", "--json").stdout)["runs"]
    assert found.keys() == {run["id"] for run in listed}
    for run in listed:
        row = found[run["id"]]
        assert (row["branch"], row["state"]) == (run["branch"], run["state"])
        assert json.loads(row["flags"]) == run["flags"]
        assert row["started_at"] == (run["started_at"] or "")
        assert all(float(row[name]) == value for name, value in run["metrics"].items())


def test_both_tables_go_into_a_folder_for_some_branches_and_runs_only(
    trained: UserRepository, tmp_path: Path
) -> None:
    (first, *_) = rows_of(
        trained.branchlab("export", "main", "--to", "csv", "--table", "runs", "--out", "-").stdout
    )
    done = trained.branchlab(
        "export", "wide", first["run"], "--to", "csv", "--out", str(tmp_path / "out"), "--json"
    )
    document = json.loads(done.stdout)
    assert set(document) == {"to", "place", "files", "runs", "written"}
    assert len(document["runs"]) == 3
    for name in ("runs", "metrics"):
        rows = rows_of(Path(document["files"][name]).read_text())
        assert {row["branch"] for row in rows} == {"main", "exp/wide"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "excel"], "is not one of"),
        (["wied", "--to", "csv"], "did you mean"),
        (["--to", "csv", "--out", "-", "--json"], "leaves no room"),
        (["--to", "parquet", "--out", "-"], "leaves no room"),
        (["--to", "mlflow", "--table", "runs"], "holds no tables"),
        (["--to", "csv", "--out", "/dev/null/x"], "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_said(
    trained: UserRepository, arguments: list[str], said: str
) -> None:
    done = trained.branchlab("export", *arguments)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr


@pytest.mark.parametrize("tool", ["mlflow", "tensorboard", "wandb"])
def test_a_tool_that_is_not_installed_is_said_with_the_command_that_installs_it(
    trained: UserRepository, without_tools: dict[str, str], tool: str
) -> None:
    done = call(trained, without_tools, "-m", "branchlab.cli", "export", "--to", tool)
    assert done.returncode == 2
    assert f"{tool} is not installed" in done.stderr
    assert f"pip install 'branchlab[{tool}]'" in done.stderr


@pytest.mark.parametrize(
    ("what", "extra"),
    [
        ("lab.runs().to_pandas()", "branchlab[frames]"),
        ("lab.metrics().to_polars()", "pip install polars"),
        ("lab.plot_curves()", "branchlab[frames]"),
        ("lab.plot_verdicts()", "branchlab[frames]"),
    ],
)
def test_a_notebook_without_pandas_or_matplotlib_says_what_to_install(
    trained: UserRepository, without_tools: dict[str, str], what: str, extra: str
) -> None:
    code = f"""
import branchlab
from branchlab.errors import ConfigError
lab = branchlab.open()
try:
    {what}
except ConfigError as error:
    print(error.message, error.hint)
"""
    done = call(trained, without_tools, "-c", code)
    assert "not installed" in done.stdout, done.stderr
    assert extra in done.stdout


def test_runs_go_on_without_the_tools_that_the_config_names(
    project: UserRepository, without_tools: dict[str, str]
) -> None:
    config = project.root / ".branchlab.toml"
    config.write_text(config.read_text() + '\n[track]\nto = ["mlflow", "wandb"]\n')
    done = call(project, without_tools, "-m", "branchlab.cli", "run", "wide", "--json")
    assert done.returncode == 0, done.stderr
    assert {run["state"] for run in json.loads(done.stdout)["runs"]} == {"done"}
    assert done.stderr.count("mlflow is not installed") == 1
    assert "pip install 'branchlab[wandb]'" in done.stderr


def test_an_unknown_tool_is_said_with_the_line_of_the_config(project: UserRepository) -> None:
    config = project.root / ".branchlab.toml"
    config.write_text(config.read_text() + '\n[track]\nto = ["mlflo"]\n')
    done = project.branchlab("runs")
    assert done.returncode == 2
    assert "did you mean 'mlflow'?" in done.stderr
    assert f"{len(config.read_text().splitlines())}:" in done.stderr

"""The example notebook, executed as Jupyter does, on the demo's lab."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from branchlab.lab.demo_lab import build_demo_lab

pytestmark = [pytest.mark.tools, pytest.mark.filterwarnings("default")]
NOTEBOOK = Path(__file__).resolve().parents[2] / "examples/notebooks/lab.ipynb"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = build_demo_lab(tmp_path_factory.mktemp("demo") / "lab")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "branchlab.cli", "run", "gelu", "cosine-head"),
            *("--seeds", "2", "--epochs", "2", "--sample", "0.1"),
        ],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr  # cosine-head is broken
    return root


def test_the_notebook_shows_tables_and_figures_of_a_lab(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("BRANCHLAB_LAB", str(lab))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    before = sorted(lab.iterdir())
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = [
        set(output.get("data", {})) for cell in notebook.cells for output in cell.get("outputs", ())
    ]
    assert sum("image/png" in kind for kind in kinds) == 2
    assert sum("text/html" in kind for kind in kinds) == 2
    said = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ())
    )
    assert "exp/gelu" in said
    assert "exp/cosine-head 0" in said
    assert sorted(lab.iterdir()) == before

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import branchlab
from branchlab.metric_log import TOLD_VARIABLE, log


def told(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_outside_a_run_nothing_happens(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(TOLD_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    branchlab.log(accuracy=0.9, step=1)
    assert not list(tmp_path.iterdir())


def test_numbers_come_as_they_are_and_the_others_stay_away(tmp_path, monkeypatch) -> None:
    path = tmp_path / "told"
    monkeypatch.setenv(TOLD_VARIABLE, str(path))
    log(
        {"val/acc": 0.9, "deep": {"a": 1, "b": {"c": 2}}, "name": "x", "on": True},
        loss=float("nan"),
        step=3,
        epoch=2,
    )
    log()
    assert told(path) == [
        {
            "values": {"val/acc": 0.9, "deep/a": 1.0, "deep/b/c": 2.0, "loss": "nan"},
            "step": 3,
            "epoch": 2,
        }
    ]


def test_a_tensor_of_one_element_is_a_number_and_a_larger_one_is_not(tmp_path, monkeypatch) -> None:
    import torch

    path = tmp_path / "told"
    monkeypatch.setenv(TOLD_VARIABLE, str(path))
    log(one=torch.tensor(0.5), many=torch.zeros(3), step=torch.tensor(7))
    assert told(path) == [{"values": {"one": 0.5}, "step": 7, "epoch": None}]


class Spiteful:
    def __float__(self) -> float:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "given", [{"a": Spiteful()}, {1: object()}, {"a": {"a": {}}}, [1, 2], "text"]
)
def test_whatever_is_told_nothing_is_raised(tmp_path, monkeypatch, given) -> None:
    monkeypatch.setenv(TOLD_VARIABLE, str(tmp_path / "nowhere" / "told"))
    log(given)
    log(given, step="not a number")


def test_a_script_that_logs_imports_no_torch() -> None:
    code = "import branchlab, sys; branchlab.log(a=1); print('torch' in sys.modules, 'git' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]

"""What a project holds between two steps is found by the name that its source gives it."""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from branchlab.train.held import Holdings, describe, lines_that_set

SOURCE = """
import torch
from torch import nn

NUM = 0
cache = {}

class Mixer:
    def __init__(self):
        self.rate = 0.5

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 2)
        self.register_buffer("kept", torch.zeros(1))
        self.register_buffer("lost", torch.zeros(1), persistent=False)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.lost = self.lost + 1
        cache[len(cache)] = 1
        return self.head(x)

class Task:
    shared = [1]

    def __init__(self):
        self.mixer = Mixer()
        self.own = torch.Generator().manual_seed(0)
        self.extra = nn.BatchNorm1d(2)
        self.me = self
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "heldlab.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import importlib

    module = importlib.import_module("heldlab")
    yield tmp_path, module
    del sys.modules["heldlab"]


def test_what_changes_in_a_step_and_is_in_no_checkpoint_is_found_with_its_line(project) -> None:
    folder, module = project
    task, model = module.Task(), module.Net()
    before = Holdings(task, model, folder).rows()

    model(torch.zeros(1, 2))
    torch.rand(1, generator=task.own)
    task.mixer.rate = 0.25
    task.extra(torch.ones(3, 2))
    module.Task.shared.append(2)
    after = Holdings(task, model, folder).rows()

    changed = {
        one[0]: (one[1], SOURCE.splitlines()[int(one[3].partition(":")[2]) - 1].strip())
        for one, two in zip(before, after, strict=True)
        if one != two
    }
    assert changed == {
        "model.lost": ("buffer", 'self.register_buffer("lost", torch.zeros(1), persistent=False)'),
        "model.calls": ("value", "self.calls += 1"),
        "Task.mixer.rate": ("value", "self.rate = 0.5"),
        "Task.own": ("generator", "self.own = torch.Generator().manual_seed(0)"),
        "Task.extra": ("value", "self.extra = nn.BatchNorm1d(2)"),
        "heldlab.cache": ("value", "cache[len(cache)] = 1"),
        "heldlab.Task.shared": ("value", "shared = [1]"),
    }


def test_looking_draws_nothing_and_finds_the_same_again(project) -> None:
    folder, module = project
    task, model = module.Task(), module.Net()
    holdings = Holdings(task, model, folder)
    state = torch.get_rng_state()

    assert holdings.rows() == holdings.rows()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (1, 2), (0.0, -0.0), ([1, [2]], [1, [3]]), ({"a": 1}, {"a": 2}), (torch.zeros(2), torch.ones(2)),
        (np.zeros(2), np.ones(2)), (itertools.count(3), itertools.count(4)), (random.Random(1), random.Random(2)),
        (np.random.default_rng(1), np.random.default_rng(2)), (np.random.RandomState(1), np.random.RandomState(2)),
    ],
)  # fmt: skip
def test_values_are_told_apart(one, two) -> None:
    assert describe(one) == describe(one)
    assert describe(one) != describe(two)


def test_what_cannot_be_told_apart_is_left_out() -> None:
    assert describe(object()) is None
    assert describe(iter([1])) is None
    assert describe({3, 1, 2}) == describe({2, 3, 1})


def test_the_last_line_that_sets_a_name_is_found() -> None:
    source = b"x = 1\nclass A:\n    y: int = 2\n    def f(self):\n        self.x, self.z[0] = 3, 4\n        self.y += 1\n"
    assert lines_that_set(source) == {"x": 5, "y": 6, "z": 5}

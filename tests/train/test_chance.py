"""Calls for what no seed decides are heard with their words in the source, and what is made different is put back."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from branchlab.domain import Outside
from branchlab.train.chance import ChanceWitness, made_different

SOURCE = """
import datetime, glob, os, random, secrets, threading, time, uuid
import numpy as np
import torch

def clocks():
    return time.time(), datetime.datetime.now(), time.perf_counter()

def drawn():
    return os.urandom(2), secrets.token_hex(2), uuid.uuid4(), np.random.default_rng()

def seeded():
    return random.Random(), torch.Generator().seed()

def fixed():
    torch.rand(3), np.random.default_rng(1), random.Random(2), torch.Generator().manual_seed(3)
    return sorted([3, 1]), torch.zeros(3), {1: 2}

def folders():
    return glob.glob(os.path.dirname(__file__) + "/*")

def started():
    one = threading.Thread(target=int)
    one.start()
    one.join()

def placed():
    return id(1), hash("a"), torch.empty(3), torch.zeros(2).new_empty(2), np.empty(2)
"""


@pytest.fixture
def heard(tmp_path: Path):
    """Return what is heard while a function of a small project runs."""
    path = tmp_path / "tiny.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("tiny_project", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(name: str) -> list[tuple[str, str]]:
        found = []
        witness = ChanceWitness(
            tmp_path, torch.device("cpu"), hear=lambda what, call, place: found.append((what, call, place))
        )  # fmt: skip
        with witness.present():
            getattr(module, name)()
        assert all(place.startswith("tiny.py:") for _, _, place in found)
        return [(what, call) for what, call, _ in found]

    return call


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("drawn", [("the system's random numbers", "os.urandom(2)")]),
        ("seeded", [("a random seed", "random.Random()")]),
        ("folders", [("the order of a folder", 'glob.glob(os.path.dirname(__file__) + "/*")')]),
        ("started", [("a thread", "one.start()")]),
        ("clocks", [("the clock", "time.time()")]),
        ("placed", [("an address", "id(1)"), ("a hash", 'hash("a")'), ("memory as it was found", "torch.empty(3)")]),
        ("fixed", []),
    ],
)  # fmt: skip
def test_a_call_is_heard_in_the_words_of_the_source(heard, function, expected) -> None:
    assert heard(function) == expected  # one of a kind and a line


def test_the_profiler_is_put_back(heard) -> None:
    before = sys.getprofile()
    heard("clocks")
    assert sys.getprofile() is before


def test_what_is_made_different_is_another_and_comes_back(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    names, now = os.listdir(tmp_path), time.time()  # noqa: PTH208  itself
    entries = [entry.name for entry in os.scandir(tmp_path)]
    before = (os.listdir, os.scandir, time.time, time.time_ns, sys.getswitchinterval())

    with made_different(set(Outside)):
        assert os.listdir(tmp_path) == names[::-1]  # noqa: PTH208  itself
        with os.scandir(tmp_path) as found:
            assert [entry.name for entry in found] == entries[::-1]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
        assert time.time() > now + 30_000_000
        one = threading.Thread(target=sorted, args=([2, 1],))
        one.start()
        one.join()

    assert (os.listdir, os.scandir, time.time, time.time_ns, sys.getswitchinterval()) == before


def test_nothing_is_made_different_that_was_not_asked_for(tmp_path: Path) -> None:
    before = os.listdir, time.time
    with made_different({Outside.ADDRESSES}):
        assert (os.listdir, time.time) == before


def test_objects_come_to_lie_in_another_order() -> None:
    def order() -> list[int]:
        held = [bytes(24) for _ in range(50)]
        return sorted(range(50), key=lambda i: id(held[i]))

    with made_different({Outside.ADDRESSES}, number=1):
        scattered = order()
    assert scattered != sorted(scattered)

"""Results of the features engine are kept by the two trees that they speak of."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from branchlab.lab.feature_reading import features_between


class Kept:
    """A memo in memory, as the store's is on disk."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], bytes] = {}
        self.num_puts = 0

    def get(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self.items[kind, key] for key in keys if (kind, key) in self.items}

    def put(self, kind: str, items: Mapping[str, bytes]) -> None:
        self.items |= {(kind, key): content for key, content in items.items()}
        self.num_puts += 1


class Lab:
    """A repository with one branch, one git command at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> None:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *identity, *words], cwd=self.root, check=True, capture_output=True)

    def commit(self, text: str) -> None:
        (self.root / "net.py").write_text(text)
        self.git("add", "net.py")
        self.git("commit", "--quiet", "-m", "work")


@pytest.fixture
def pair(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.commit("def f(x):\n    return x\n")
    made.git("checkout", "--quiet", "-b", "exp/a")
    made.commit("def f(x, on=False):\n    return x + 1 if on else x\n")
    return made


def test_what_was_kept_is_not_read_again(pair):
    memo = Kept()
    first = features_between(pair.root, "main", "exp/a", memo=memo)
    read = memo.num_puts
    assert features_between(pair.root, "main", "exp/a", memo=memo) == first
    assert memo.num_puts == read > 0
    assert first.features[0].flag == "on"


def test_an_amended_message_keeps_the_result_and_an_edit_does_not(pair):
    memo = Kept()
    features_between(pair.root, "main", "exp/a", memo=memo)
    read = memo.num_puts
    pair.git("commit", "--quiet", "--amend", "-m", "other words")
    features_between(pair.root, "main", "exp/a", memo=memo)
    assert memo.num_puts == read
    pair.commit("def f(x):\n    return x + 2\n")
    features_between(pair.root, "main", "exp/a", memo=memo)
    assert memo.num_puts > read


@pytest.mark.parametrize(
    "damaged", [b"", b"not json", b"[1]", b'[{"verdict": "new-one"}]', b"\xff"]
)
def test_what_was_kept_by_another_version_or_is_damaged_is_read_again(pair, damaged: bytes):
    memo = Kept()
    first = features_between(pair.root, "main", "exp/a", memo=memo)
    memo.items = {place: damaged for place in memo.items if place[0] == "features"}
    assert features_between(pair.root, "main", "exp/a", memo=memo) == first


def test_without_a_memo_it_works_all_the_same(pair):
    assert features_between(pair.root, "main", "exp/a").features

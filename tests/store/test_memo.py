import os
import sqlite3
import stat

import pytest

from branchlab.run_folder import StateFolder
from branchlab.store.memo import Memo


@pytest.fixture
def memo(tmp_path):
    return Memo(StateFolder(tmp_path / ".branchlab"))


def test_what_was_put_is_got_by_its_kind(memo):
    memo.put("patch", {"a": b"1", "b": b"2"})
    memo.put("merge", {"a": b"3"})
    assert memo.get("patch", ["a", "b", "c"]) == {"a": b"1", "b": b"2"}
    assert memo.get("merge", ["a"]) == {"a": b"3"}


def test_more_keys_than_sqlite_takes_at_once_are_got(memo):
    memo.put("patch", {str(n): b"x" for n in range(2500)})
    assert len(memo.get("patch", [str(n) for n in range(2600)])) == 2500


def test_what_is_put_again_is_replaced(memo):
    memo.put("patch", {"a": b"1"})
    memo.put("patch", {"a": b"2"})
    assert memo.get("patch", ["a"]) == {"a": b"2"}


def test_nothing_is_written_where_nothing_is_put(memo, tmp_path):
    memo.put("patch", {})
    assert memo.get("patch", ["a"]) == {}
    assert list(tmp_path.iterdir()) == []


def test_the_folder_it_makes_ignores_itself(memo):
    memo.put("patch", {"a": b"1"})
    assert (memo.path.parent / ".gitignore").read_text() == "*\n"


def test_a_damaged_file_is_a_miss_and_is_made_again(memo):
    memo.put("patch", {"a": b"1"})
    memo.path.write_bytes(b"not a database at all, not even close to one" * 40)
    assert memo.get("patch", ["a"]) == {}
    memo.put("patch", {"a": b"2"})
    assert memo.get("patch", ["a"]) == {"a": b"2"}


def test_a_locked_file_is_a_miss_and_no_error(memo, monkeypatch):
    memo.put("patch", {"a": b"1"})
    monkeypatch.setattr("branchlab.store.memo._LOCK_WAIT_S", 0.05)
    other = sqlite3.connect(memo.path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        assert memo.get("patch", ["a"]) == {}
        memo.put("patch", {"b": b"1"})
    finally:
        other.close()
    assert memo.get("patch", ["a", "b"]) == {"a": b"1"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_no_error(memo, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        memo.put("patch", {"a": b"1"})
        assert memo.get("patch", ["a"]) == {}
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_file_where_the_folder_should_be_is_no_error(memo, tmp_path):
    (tmp_path / ".branchlab").write_text("in the way")
    memo.put("patch", {"a": b"1"})
    assert memo.get("patch", ["a"]) == {}


def test_beyond_its_bound_the_oldest_half_goes(memo, monkeypatch):
    monkeypatch.setattr("branchlab.store.memo._ROWS_MAX", 10)
    for n in range(20):
        memo.put("patch", {str(n): b"x"})
    kept = memo.get("patch", [str(n) for n in range(20)])
    assert "19" in kept
    assert "0" not in kept
    assert len(kept) <= 12

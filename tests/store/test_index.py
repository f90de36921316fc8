from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import timedelta

import pytest

from branchlab.domain import RunState
from branchlab.errors import StoreError
from branchlab.run_folder import EventWriter, locked, read_events
from branchlab.store.index import Index


@pytest.fixture
def index(folders):
    made = Index(folders.state)
    yield made
    made.close()


def test_the_index_says_what_the_folders_hold(folders, index) -> None:
    folder = folders.plan("main-s0-a", seed=4)
    folders.attempt(folder, state=RunState.DONE)
    index.refresh()
    record = index.run("main-s0-a")
    assert record is not None
    assert record.run == folder.read_plan()
    assert (record.state, record.attempts, record.reason) == (RunState.DONE, 1, "it is done")
    assert (record.epoch, record.epochs, record.step, record.steps) == (3, 3, 12, 12)
    assert (record.metrics, record.images_per_s, record.duration_s) == (
        {"val/accuracy": 0.3},
        10.0,
        1.5,
    )
    assert record.ended_at is not None
    assert record.started_at is not None
    assert record.ended_at - record.started_at < timedelta(hours=1)
    assert index.curve("main-s0-a", "val/accuracy") == [(4, 0.1), (8, 0.2), (12, 0.3)]
    assert index.curve("main-s0-a", "val/odd") == []
    assert index.curve("main-s0-a", "val/far") == [(4, math.inf), (8, math.inf), (12, math.inf)]
    assert index.metric_names() == ["train/loss", "val/accuracy", "val/far"]
    assert index.metric_names_of(["main-s0-a", "another"]) == index.metric_names()
    assert index.metric_names_of(["another"]) == index.metric_names_of([]) == []
    assert index.points("main-s0-a", "val/accuracy") == [(4, 1, 0.1), (8, 2, 0.2), (12, 3, 0.3)]
    assert index.points("another", "val/accuracy") == []


def test_curves_by_epoch_hold_the_last_value_of_each_of_every_run(folders, index) -> None:
    for run_id in ("a", "b"):
        folders.attempt(folders.plan(run_id), state=RunState.DONE)
    events = EventWriter(folders.attempt(folders.plan("c"), epochs=range(1, 2)).events)
    events.write("metric", epoch=1, step=6, values={"val/accuracy": 0.9})
    index.refresh()
    curves = index.epoch_curves("val/accuracy")
    assert curves["a"] == curves["b"] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert curves["c"] == [(1, 0.9)]
    assert index.epoch_curves("no/metric") == {}
    assert index.epoch_curves("val/accuracy", ["c", "no-run"]) == {"c": [(1, 0.9)]}
    assert index.epoch_curves("val/accuracy", []) == {}


def test_a_refresh_without_news_changes_nothing(folders, index, contents) -> None:
    folders.attempt(folders.plan("a"), state=RunState.DONE)
    folders.attempt(folders.plan("b"), state=RunState.FAILED)
    folders.plan("c")
    index.refresh()
    before, version = contents(index), index.data_version()
    index.refresh()
    assert contents(index) == before
    assert index.data_version() == version


def test_slices_are_kept_apart_from_metrics(folders, index) -> None:
    plain, sliced = folders.plan("a"), folders.plan("b")
    folders.attempt(plain, state=RunState.DONE)
    attempt = folders.attempt(sliced)
    values = {"val/accuracy[shirt]": 0.25, "val/accuracy[bag]": 0.75}
    attempt.write_result(RunState.DONE, metrics={"val/accuracy": 0.5}, slices=values)
    index.refresh()
    records = {record.run.id: record for record in index.runs()}
    assert dict(records["b"].slices) == values
    assert records["b"].slices == values
    assert records["b"].metrics == {"val/accuracy": 0.5}
    assert not records["a"].slices
    assert records["b"] == index.run("b")
    assert "val/accuracy[shirt]" not in index.metric_names()


def test_an_index_of_a_version_without_slices_is_brought_up_to_date(folders, index) -> None:
    folders.attempt(folders.plan("a"), state=RunState.DONE)
    index.refresh()
    index.close()
    with sqlite3.connect(folders.state.index) as connection:
        connection.executescript(
            "DROP TABLE changes; DROP INDEX runs_by_changed; ALTER TABLE runs DROP COLUMN changed;"
            "ALTER TABLE runs DROP COLUMN slices; PRAGMA user_version = 3;"
        )
    folders.attempt(folders.plan("b"), state=RunState.DONE)
    index.refresh()
    assert {record.run.id: dict(record.slices) for record in index.runs()} == {"a": {}, "b": {}}


def test_an_index_made_again_says_the_same(folders, index, contents) -> None:
    resumed = folders.plan("resumed")
    folders.attempt(resumed, epochs=range(1, 2))
    index.refresh()
    folders.attempt(resumed, epochs=range(2, 4), state=RunState.DONE)
    for state in (RunState.DONE, RunState.FAILED, RunState.CANCELLED):
        folders.attempt(folders.plan(str(state)), state=state)
    folders.plan("planned")
    index.refresh()
    before = contents(index)
    index.close()
    for path in folders.state.path.glob("index.sqlite*"):
        path.unlink()
    index.refresh()
    assert contents(index) == before
    assert index.curve("resumed", "val/accuracy") == [(4, 0.1), (8, 0.2), (12, 0.3)]


def test_what_an_attempt_wrote_after_the_last_look_is_not_lost_when_the_next_one_begins(
    folders, index
) -> None:
    folder = folders.plan("a")
    with locked(folder.lease):
        attempt = folders.attempt(folder, epochs=range(1, 2))
        index.refresh()
        EventWriter(attempt.events).write(
            "epoch", epoch=2, step=8, values={"val/accuracy": 0.2}, images_per_s=1.0
        )
        folders.attempt(folder, epochs=range(3, 4))
        index.refresh()
    assert index.curve("a", "val/accuracy") == [(4, 0.1), (8, 0.2), (12, 0.3)]


def test_a_running_run_is_followed_event_by_event(folders, index) -> None:
    folder = folders.plan("a")
    attempt = folder.attempt(1)
    attempt.path.mkdir(parents=True)
    with locked(folder.lease):
        events = EventWriter(attempt.events)
        events.write("start", epochs=5, steps=50)
        for epoch in range(1, 4):
            values = {"val/accuracy": epoch / 10}
            events.write("epoch", epoch=epoch, step=epoch * 10, values=values, images_per_s=1.0)
            index.refresh()
            record = index.run("a")
            assert record is not None
            assert (record.state, record.epoch, record.step) == (
                RunState.RUNNING,
                epoch,
                epoch * 10,
            )
            assert record.metrics == values
            assert len(index.curve("a", "val/accuracy")) == epoch


def test_damaged_lines_are_counted_over_all_looks_and_hide_no_other_event(folders, index) -> None:
    folder = folders.plan("a")
    with locked(folder.lease):
        attempt = folders.attempt(folder, epochs=range(1, 2))
        for num_damaged in (1, 2):
            with attempt.events.open("ab") as file:
                file.write(b'{"seq":9,"kind":"epoch","crc32":"00000000"}\n')
            index.refresh()
            with sqlite3.connect(folders.state.index) as connection:
                found = connection.execute("SELECT events_damaged FROM runs").fetchone()
            connection.close()
            assert found == (num_damaged,)
    assert index.curve("a", "val/accuracy") == [(4, 0.1)]


def test_an_attempt_whose_lease_is_free_is_lost_and_says_so_in_its_folder(folders, index) -> None:
    folder = folders.plan("a")
    with locked(folder.lease):
        attempt = folders.attempt(folder)
        index.refresh()
        assert attempt.read_result() is None
    index.refresh()
    record = index.run("a")
    assert record is not None
    assert record.state is RunState.LOST
    assert "ended without a result" in record.reason
    result = attempt.read_result()
    assert result is not None
    assert result["state"] == "lost"


@pytest.mark.parametrize("result", [b"", b"{", b'{"state": "asleep"}'])
def test_a_damaged_result_is_a_lost_run_and_not_the_end_of_the_index(
    folders, index, result: bytes
) -> None:
    folders.attempt(folders.plan("a"), state=RunState.DONE).result.write_bytes(result)
    folders.attempt(folders.plan("b"), state=RunState.DONE)
    index.refresh()
    assert {record.run.id: record.state for record in index.runs()} == {
        "a": RunState.LOST,
        "b": RunState.DONE,
    }


def test_a_sample_is_read_as_an_earlier_version_wrote_it(folders, index) -> None:
    folders.plan("old")
    index.refresh()
    (before,) = index.runs()
    index.close()
    with contextlib.closing(sqlite3.connect(folders.state.index)) as connection, connection:
        plan = json.loads(connection.execute("SELECT plan FROM runs").fetchone()[0])
        plan["sample"] = [plan["sample"][name] for name in ("fraction", "strategy", "seed")]
        connection.execute("UPDATE runs SET plan = ?", (json.dumps(plan),))
    assert index.runs() == [before]


def test_a_deleted_run_folder_takes_its_rows_along(folders, index) -> None:
    for run_id in ("a", "b"):
        folders.attempt(folders.plan(run_id), state=RunState.DONE)
    index.refresh()
    shutil.rmtree(folders.state.run("a").path)
    index.refresh()
    assert [record.run.id for record in index.runs()] == ["b"]
    assert index.curve("a", "val/accuracy") == []


def test_what_is_no_run_folder_is_left_alone(folders, index) -> None:
    (folders.state.runs / ".DS_Store").write_text("x")
    (folders.state.runs / "empty").mkdir()
    folders.plan("good")
    folders.plan("bad").plan.write_text("{")
    shutil.copytree(folders.state.run("good").path, folders.state.runs / "copy")
    index.refresh()
    assert [record.run.id for record in index.runs()] == ["good"]


def test_runs_are_found_by_key_and_latest_first(folders, index) -> None:
    for minute, (run_id, branch) in enumerate([("a", "main"), ("b", "exp/x"), ("c", "main")]):
        folders.plan(run_id, minute=minute, branch=branch, key="one")
    index.refresh()
    assert [record.run.id for record in index.runs()] == ["c", "b", "a"]
    assert [record.run.id for record in index.runs_of_key("one")] == ["c", "b", "a"]
    assert index.runs_of_key("other") == []
    assert index.run("none") is None


def test_without_folders_nothing_is_written(tmp_path) -> None:
    from branchlab.run_folder import StateFolder

    index = Index(StateFolder(tmp_path / ".branchlab"))
    index.refresh()
    assert index.runs() == []
    assert index.data_version() == 0
    assert list(tmp_path.iterdir()) == []


def garbage(path) -> None:
    path.write_bytes(b"no database" * 1000)


def truncation(path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 10)


def lost_table(path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE metrics")
    connection.close()


@pytest.mark.parametrize("damage", [garbage, truncation, lost_table])
def test_a_damaged_index_is_put_aside_and_made_again(folders, index, contents, damage) -> None:
    folders.attempt(folders.plan("a"), state=RunState.DONE)
    index.refresh()
    before = contents(index)
    index.close()
    damage(folders.state.index)
    folders.attempt(folders.plan("b", minute=-1), state=RunState.DONE)
    index.refresh()
    assert folders.state.index.with_suffix(".damaged").exists()
    assert [record.run.id for record in index.runs()] == ["a", "b"]
    assert contents(index)[0][0] == before[0][0]


def test_an_index_of_a_newer_branchlab_is_refused_with_what_to_do(folders, index) -> None:
    folders.plan("a")
    index.refresh()
    connection = sqlite3.connect(folders.state.index)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="version 99") as caught:
        index.refresh()
    assert "update branchlab" in caught.value.hint


def test_an_index_that_cannot_be_opened_or_read_says_how_to_make_it_again(folders, index) -> None:
    folders.plan("a")
    index.refresh()
    connection = sqlite3.connect(folders.state.index)
    connection.execute("UPDATE runs SET plan = 'x'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="cannot be read") as caught:
        index.runs()
    assert "rm " in caught.value.hint
    index.close()
    folders.state.index.unlink()
    folders.state.index.mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        index.runs()


_REFRESH = """
import sys
from pathlib import Path
from branchlab.run_folder import StateFolder
from branchlab.store.index import Index
for _ in range(20):
    index = Index(StateFolder(Path(sys.argv[1])))
    index.refresh()
    print(len(index.runs()))
    index.close()
"""


def test_processes_that_refresh_at_once_agree(folders, index, contents) -> None:
    for i in range(12):
        folders.attempt(folders.plan(f"r{i:02}", minute=i), state=RunState.DONE)
    command = [sys.executable, "-c", _REFRESH, str(folders.state.path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err.decode()
        assert out.split() == [b"12"] * 20
    index.refresh()
    assert len(contents(index)[0]) == 12
    for record in index.runs():
        events = read_events(folders.state.run(record.run.id).attempt(1).events).events
        assert len(index.curve(record.run.id, "val/accuracy")) == sum(
            event["kind"] == "epoch" for event in events
        )


def test_an_index_that_stays_locked_is_said_and_not_waited_for_for_ever(
    folders, index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("branchlab.store.index._LOCK_WAIT_S", 0.05)
    folders.plan("a")
    with (
        locked(folders.state.path / "index.lock"),
        pytest.raises(StoreError, match="locked by another process"),
    ):
        index.refresh()


def test_asked_again_only_runs_that_have_changed_are_other_objects(folders, index) -> None:
    folders.attempt(folders.plan("a"), state=RunState.DONE)
    running = folders.plan("b")
    with locked(running.lease):
        events = EventWriter(folders.attempt(running, epochs=range(1, 2)).events)
        index.refresh()
        before = {record.run.id: record for record in index.runs()}
        assert all(record is before[record.run.id] for record in index.runs())
        events.write("epoch", epoch=2, step=8, values={"val/accuracy": 0.9}, images_per_s=1.0)
        index.refresh()
    after = {record.run.id: record for record in index.runs()}
    assert after["a"] is before["a"]
    assert (before["b"].epoch, after["b"].epoch) == (1, 2)
    shutil.rmtree(running.path)
    index.refresh()
    assert [record.run.id for record in index.runs()] == ["a"]
    events.close()

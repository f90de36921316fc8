from __future__ import annotations

import shutil

import pytest

from branchlab.domain import RunState
from branchlab.run_folder import EventWriter, locked
from branchlab.store.index import Index
from branchlab.store.known_runs import KnownRuns


@pytest.fixture
def index(folders):
    made = Index(folders.state)
    yield made
    made.close()


def ids(known: KnownRuns) -> list[str]:
    return [record.run.id for record in known.records]


def test_only_what_has_changed_is_another_object(folders, index) -> None:
    folders.attempt(folders.plan("done", minute=1), state=RunState.DONE)
    going = folders.plan("going", minute=2)
    known = KnownRuns(index)
    with locked(going.lease):
        attempt = folders.attempt(going, epochs=range(1, 2))
        index.refresh()
        assert known.look()
        assert not known.look()
        before = {record.run.id: record for record in known.records}
        EventWriter(attempt.events).write("metric", epoch=1, step=7, values={"train/loss": 0.5})
        index.refresh()
        assert known.look()
    after = {record.run.id: record for record in known.records}
    assert after["done"] is before["done"]
    assert after["going"].step == 7
    assert ids(known) == ["going", "done"]


def test_a_run_that_is_planned_later_stands_first(folders, index) -> None:
    known = KnownRuns(index)
    assert not known.look()
    for number, run_id in enumerate("bca"):
        folders.plan(run_id, minute=number)
        index.refresh()
        assert known.look()
    assert ids(known) == ["a", "c", "b"]


def test_a_deleted_run_is_gone_and_what_changes_after_it_is_still_seen(folders, index) -> None:
    kept, last = folders.plan("kept"), folders.plan("last")
    index.refresh()
    known = KnownRuns(index)
    known.look()
    folders.attempt(last, state=RunState.FAILED)
    index.refresh()
    known.look()
    shutil.rmtree(last.path)
    index.refresh()
    assert known.look()
    assert ids(known) == ["kept"]
    folders.attempt(kept, state=RunState.DONE)
    index.refresh()
    assert known.look()
    assert known.records[0].state is RunState.DONE


def test_an_index_that_is_made_again_is_read_on_and_unchanged_runs_stay_the_same_objects(
    folders, index
) -> None:
    folders.attempt(folders.plan("a"), state=RunState.DONE)
    index.refresh()
    known = KnownRuns(index)
    known.look()
    (before,) = known.records
    for path in folders.state.path.glob("index.sqlite*"):
        path.unlink()
    folders.plan("b", minute=1)
    index.refresh()
    assert known.look()
    assert ids(known) == ["b", "a"]
    assert known.records[1] is before


def test_without_an_index_there_are_no_runs(folders, index) -> None:
    folders.plan("a")
    index.refresh()
    known = KnownRuns(index)
    known.look()
    for path in folders.state.path.glob("index.sqlite*"):
        path.unlink()
    assert known.look()
    assert known.records == ()

from __future__ import annotations

import threading

import pytest

from branchlab.domain import RunState
from branchlab.errors import ConfigError
from branchlab.lab.runs import cancel, find_run, follow_log, list_runs, show, tail


@pytest.fixture
def done(repo):
    _, last = repo.run(names=("main",))
    return sorted(last.records)


def test_runs_are_listed_by_branch_and_state(repo, done) -> None:
    project = repo.open()
    assert {record.run.id for record in list_runs(project)} == set(done)
    assert len(list_runs(project, ["main"], limit=1)) == 1
    assert list_runs(project, states=[RunState.FAILED]) == []


def test_a_deleted_branch_keeps_its_runs(repo) -> None:
    repo.branch("exp/se", {"x.py": ""})
    repo.run(names=("se",), seeds=1)
    repo.git("branch", "--quiet", "-D", "exp/se")
    assert [r.run.branch for r in list_runs(repo.open(), ["exp/se"])] == ["exp/se"]


def test_a_run_is_found_by_the_beginning_of_its_id(repo, done) -> None:
    project = repo.open()
    assert find_run(project, done[0][:8]).run.id == done[0]
    with pytest.raises(ConfigError, match="fits 2 runs"):
        find_run(project, "main")
    with pytest.raises(ConfigError, match="no run 'mian-s0'") as caught:
        find_run(project, "mian-s0")
    assert "did you mean" in caught.value.hint


def test_a_run_is_shown_with_its_events_and_its_log(repo, done) -> None:
    details = show(repo.open(), done[0])
    assert details.record.state is RunState.DONE
    assert [event["kind"] for event in details.events] == [
        "start", *["epoch", "picture"] * 2, "end",
    ]  # fmt: skip
    assert [path.name for path in details.pictures] == [
        "inputs-epoch0001.png", "inputs-epoch0002.png",
    ]  # fmt: skip


def test_the_tail_of_a_log_is_its_last_lines(tmp_path) -> None:
    log = tmp_path / "log.txt"
    assert tail(log, 3) == []
    log.write_bytes(b"\xff\n" + b"x" * (1 << 20) + b"\nlast but one\nlast")
    assert tail(log, 2) == ["last but one", "last"]
    assert tail(log, 0) == []


def test_a_run_that_is_over_cannot_be_cancelled(repo, done) -> None:
    with pytest.raises(ConfigError, match="is done already"):
        cancel(repo.open(), [done[0]])


def test_a_running_run_is_cancelled_and_a_planned_one_never_begins(repo) -> None:
    session = repo.session(names=("main",), jobs=1, epochs=40, flags={"pause": 0.1})
    prepared = session.prepare()
    first, second = (run.id for run in prepared.plan.to_start)
    cancelled: list[str] = []

    def end_both() -> None:
        cancelled.extend(r.state for r in cancel(repo.open(), [second, first]))

    other = threading.Thread(target=end_both)
    for progress in session.carry_out(prepared):
        if progress.running and other.ident is None:
            other.start()
    other.join()
    session.close()
    assert cancelled == [RunState.CANCELLED, RunState.CANCELLED]
    records = repo.records()
    assert records[first].reason.startswith("stopped at step")
    assert records[second].reason == "cancelled before it began"


def test_a_log_is_read_to_its_end(repo, done) -> None:
    log = repo.open().state.run(done[0]).attempt(1).log
    log.write_bytes("one\ntwo é\nthree".encode())
    for is_following in (False, True):
        lines = follow_log(repo.open(), done[0], is_following=is_following)
        assert list(lines) == ["one", "two é", "three"]

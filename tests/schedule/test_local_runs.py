from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from branchlab.domain import RunState
from branchlab.errors import ConfigError, ExecutorError
from branchlab.run_folder import StateFolder, locked
from branchlab.schedule import watchdog
from branchlab.schedule.local import EnvironmentsExecutor, LocalExecutor
from branchlab.schedule.pool import Change, StopRequest
from branchlab.schedule.watchdog import release_slots
from branchlab.train.shim import _LOG_BYTES_KEPT, _LOG_BYTES_MAX, _visible, bound_log
from branchlab.train.work import Order


def stop_at_gate(lab, run, level: int) -> StopRequest:
    """Carry a run out, and raise the stop as soon as it stands at its gate."""
    stop = StopRequest()
    for _ in lab.start([run], stop):
        if lab.gate(run.id).exists():
            stop.level = level
    return stop


def is_gone(pid: int) -> bool:
    """Whether a process has ended; its parent may not have asked how."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_run_is_trained_and_recorded(lab) -> None:
    record = lab.carry_out(lab.plan("a"))["a"]
    assert record.state is RunState.DONE
    assert (record.epoch, record.step, record.attempts) == (8, 32, 1)
    assert {"val/accuracy", "val/loss", "train/loss", "train/lr"} <= record.metrics.keys()
    folder = lab.state.run("a")
    assert folder.checkpoint.exists()
    assert folder.attempt(1).val_examples.exists()
    with locked(folder.lease) as is_free:
        assert is_free


def test_runs_side_by_side_give_the_same_bits(lab) -> None:
    lab.carry_out(lab.plan("a"), lab.plan("b"), lab.plan("c"))
    assert lab.outcome("a") == lab.outcome("b") == lab.outcome("c")


def test_a_failing_import_fails_its_run_alone_with_its_reason_and_log(lab) -> None:
    broken = lab.root / "broken"
    broken.mkdir()
    (broken / "tiny.py").write_text("print('hello')\nimport nowhere_at_all\n")
    runs = [lab.plan("a"), lab.plan("b"), lab.plan("c")]
    records = lab.carry_out(*runs, prepare=lambda run: broken if run.id == "a" else lab.tree)
    assert [records[name].state for name in "abc"] == [
        RunState.FAILED, RunState.DONE, RunState.DONE,
    ]  # fmt: skip
    reason = "ModuleNotFoundError: No module named 'nowhere_at_all' (tiny.py:2)"
    assert records["a"].reason == reason
    assert lab.log("a").startswith("hello\n")
    assert "Traceback" in lab.log("a")


def test_a_work_tree_that_cannot_be_made_refuses_its_run_alone(lab) -> None:
    def prepare(run) -> Path:
        if run.id == "a":
            raise ConfigError("share: 'data' does not exist")
        return lab.tree

    runs = [lab.plan("a"), lab.plan("b")]
    changes = list(lab.start(runs, prepare=prepare))
    assert [(run.id, why) for c in changes for run, why in c.refused] == [
        ("a", "share: 'data' does not exist")
    ]
    assert lab.records()["b"].state is RunState.DONE


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("leave", "the training process left with exit code 7 without a result"),
        ("die", "the training process was ended by SIGKILL"),
        ("blow", "ValueError: boom (tiny.py:"),
    ],
)
def test_a_run_that_breaks_off_is_a_failed_run_and_can_be_gone_on_with(
    lab, deed: str, reason: str
) -> None:
    record = lab.carry_out(lab.plan("a", deed=deed), lab.plan("whole"))["a"]
    assert record.state is RunState.FAILED
    assert record.reason.startswith(reason)
    assert "at the gate" in lab.log("a")
    again = lab.carry_out(lab.state.run("a").read_plan())["a"]
    assert (again.state, again.attempts) == (RunState.DONE, 2)
    assert lab.outcome("a") == lab.outcome("whole")


def test_no_process_that_a_run_started_outlives_it(lab, wait_until) -> None:
    record = lab.carry_out(lab.plan("a", deed="spawn"))["a"]
    assert record.state is RunState.DONE
    pid = int(lab.gate("a").read_text())
    wait_until(lambda: is_gone(pid))


def test_a_run_that_takes_too_long_is_ended_and_says_so(lab) -> None:
    record = lab.carry_out(lab.plan("a", deed="sleep"), timeout_s=0.5)["a"]
    assert record.state is RunState.FAILED
    assert record.reason == "it took longer than [run] timeout_s = 0.5"


def test_a_run_that_hangs_is_ended_and_says_so(lab) -> None:
    run = lab.plan("a", deed="sleep")
    record = lab.carry_out(run, silence_s=1.5)["a"]
    assert record.state is RunState.FAILED
    assert record.reason == "it gave no sign of life for [run] silence_s = 1.5 seconds"


@pytest.mark.slow
def test_a_run_that_is_stopped_by_a_signal_is_shown_so_and_ends_within_its_bound(
    lab, wait_until
) -> None:
    run = lab.plan("a", deed="freeze")
    seen = [lab.records()["a"].usage.get("is_stopped") for _ in lab.start([run], silence_s=5)]
    assert 1.0 in seen
    record = lab.records()["a"]
    assert record.state is RunState.FAILED
    assert "no sign of life" in record.reason
    assert lab.carry_out(run, lab.plan("whole"))["a"].state is RunState.DONE
    assert lab.outcome("a") == lab.outcome("whole")


def test_a_shim_that_stands_still_is_ended_and_its_run_goes_on(lab, monkeypatch) -> None:
    monkeypatch.setattr(watchdog, "_STILL_FOR_S", 3.5)
    run = lab.plan("a", deed="freeze_shim")
    assert lab.carry_out(run, lab.plan("whole"))["a"].attempts == 2
    assert lab.outcome("a") == lab.outcome("whole")


@pytest.mark.slow
def test_a_shim_that_stands_still_after_its_run_gives_its_slot_back(lab, wait_until) -> None:
    run = lab.plan("a", deed="freeze_shim_alone")
    changes = lab.start([run], num_slots=1, shares_slots=True)
    for _ in changes:
        latest = lab.state.run("a").latest()
        if latest is not None and latest.read_result() is not None:
            break
    assert lab.state.run("a").is_held()
    release_slots(lab.state.slots)
    wait_until(lambda: not lab.state.run("a").is_held())
    list(changes)
    assert lab.records()["a"].state is RunState.DONE


def test_a_process_that_escaped_with_the_lease_is_ended(lab, wait_until) -> None:
    run = lab.plan("a", deed="escape")
    record = lab.carry_out(run, lab.plan("whole"))["a"]
    assert (record.state, record.attempts) == (RunState.DONE, 2)
    pid = int(lab.gate("a").read_text())
    wait_until(lambda: is_gone(pid))
    assert lab.outcome("a") == lab.outcome("whole")


def test_what_a_run_takes_of_the_machine_is_sampled(lab) -> None:
    record = lab.carry_out(lab.plan("a"))["a"]
    assert record.usage["memory_gib"] > 0.01
    assert record.usage["memory_gib_max"] >= record.usage["memory_gib"]
    assert "gpu_percent" not in record.usage


def test_a_stop_file_is_heard_where_no_signal_reaches(lab) -> None:
    run = lab.plan("a", deed="slow")
    for _ in lab.start([run]):
        if lab.gate("a").exists():
            lab.state.run("a").stop.write_text("checkpoint")
    assert lab.records()["a"].state is RunState.CANCELLED
    assert lab.state.run("a").checkpoint.exists()
    again = lab.carry_out(run)["a"]  # what was asked of the last attempt is not asked of this one
    assert (again.state, again.attempts) == (RunState.DONE, 2)


def test_a_run_that_is_asked_to_stop_writes_a_checkpoint_and_goes_on_bit_for_bit(lab) -> None:
    run = lab.plan("a", deed="slow")
    stop_at_gate(lab, run, 1)
    record = lab.records()["a"]
    assert record.state is RunState.CANCELLED
    assert record.reason.startswith("stopped at step ")
    assert lab.state.run("a").checkpoint.exists()
    again = lab.carry_out(run, lab.plan("whole"))["a"]
    assert (again.state, again.attempts) == (RunState.DONE, 2)
    assert lab.outcome("a") == lab.outcome("whole")


def test_a_run_that_is_ended_at_once_is_cancelled(lab) -> None:
    stop_at_gate(lab, lab.plan("a", deed="sleep"), 2)
    record = lab.records()["a"]
    assert record.state is RunState.CANCELLED
    assert "SIGKILL" in record.reason


def test_after_a_stop_nothing_more_is_started(lab) -> None:
    stop = StopRequest(level=1)
    assert list(lab.start([lab.plan("a")], stop)) == []
    assert lab.records()["a"].state is RunState.PLANNED


@pytest.mark.parametrize("deed", [pytest.param("orphan", marks=pytest.mark.slow), "vanish"])
def test_a_run_whose_processes_are_killed_goes_on_from_its_checkpoint(lab, deed: str) -> None:
    run = lab.plan("a", deed=deed)
    changes = list(lab.start([run]))
    assert [(r.id, why) for c in changes for r, why in c.again] == [
        ("a", "its processes were killed: it goes on from its last checkpoint")
    ]
    lab.carry_out(lab.plan("whole"))
    assert lab.records()["a"].attempts == 2
    assert lab.outcome("a") == lab.outcome("whole")
    first = lab.state.run("a").attempt(1).read_result()
    assert first is not None
    assert first["state"] == RunState.LOST


@pytest.mark.slow
def test_a_run_whose_processes_are_killed_every_time_is_lost(lab) -> None:
    run = lab.plan("a", deed="vanish")
    for _ in lab.start([run]):
        lab.gate("a").unlink(missing_ok=True)
    record = lab.records()["a"]
    assert (record.state, record.attempts) == (RunState.LOST, 3)
    assert "killed" in record.reason


def test_what_a_killed_run_had_started_ends_with_it(lab, wait_until) -> None:
    run = lab.plan("a", deed="abandon")
    lab.carry_out(run)
    pid = int(lab.gate("a").read_text())
    wait_until(lambda: is_gone(pid))


def test_runs_survive_the_kill_of_everything_above_them(lab, own_executor) -> None:
    run = lab.plan("a", deed="slow", at=20)
    is_killed = False
    for _ in lab.start([run, lab.plan("b"), lab.plan("c")], executor=own_executor, num_slots=1):
        if lab.gate("a").exists() and not is_killed:
            is_killed = True
            os.kill(own_executor.parent_pid, signal.SIGKILL)
    records = lab.carry_out(lab.plan("whole"))
    assert (records["a"].state, records["a"].attempts) == (RunState.DONE, 1)
    for name in "abc":
        assert lab.outcome(name) == lab.outcome("whole")


@pytest.mark.slow
def test_a_parent_that_is_killed_again_and_again_is_an_error(lab, own_executor) -> None:
    def watch() -> None:
        for number in range(9):
            lab.plan(f"slow{number}", deed="slow", at=2)
        runs = [lab.state.run(f"slow{number}").read_plan() for number in range(9)]
        for _ in lab.start(runs, executor=own_executor, num_slots=1):
            if own_executor.parent_pid is not None:
                os.kill(own_executor.parent_pid, signal.SIGKILL)

    with pytest.raises(ExecutorError, match="has ended") as caught:
        watch()
    assert "host.log" in caught.value.hint


def test_a_run_that_two_pools_are_given_is_trained_once(lab, own_executor) -> None:
    run = lab.plan("a", deed="slow", at=28)
    one, other = lab.start([run]), lab.start([run], executor=own_executor)
    next(one), next(other)
    changes = [*other, *one]
    assert sum(len(change.elsewhere) for change in changes) == 1
    assert sum(len(change.ended) for change in changes) == 1
    record = lab.records()["a"]
    assert (record.state, record.attempts) == (RunState.DONE, 1)


def test_two_commands_share_the_slots_of_a_machine(lab, own_executor) -> None:
    ours = lab.start([lab.plan("a", deed="slow", at=26)], num_slots=1, shares_slots=True)
    theirs = lab.start([lab.plan("b")], executor=own_executor, num_slots=1, shares_slots=True)
    next(ours)
    is_beside = False
    for _ in ours:
        next(theirs, None)
        is_beside = is_beside or lab.state.run("b").attempts() > 0
        if lab.state.run("a").latest().read_result() is None:
            assert lab.state.run("b").attempts() == 0
    list(theirs)
    assert lab.records()["b"].state is RunState.DONE


def test_an_order_that_comes_after_its_run_has_ended_starts_nothing(lab) -> None:
    run = lab.plan("a")
    changes = lab.start([run])
    folder = lab.state.run("a")
    with locked(folder.lease):
        next(changes)  # the order is given: attempt 1
        folder.attempt(1).write_result(RunState.DONE, metrics={})
    assert sum(len(change.elsewhere) for change in changes) == 1
    assert lab.records()["a"].attempts == 1


def test_a_log_that_floods_keeps_its_beginning_and_says_that_it_was_cut(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    bound_log(log)
    assert not log.exists()
    log.write_bytes(b"the beginning")
    os.truncate(log, _LOG_BYTES_MAX)
    bound_log(log)
    assert log.stat().st_size == _LOG_BYTES_MAX
    os.truncate(log, _LOG_BYTES_MAX + 1)
    bound_log(log)
    content = log.read_bytes()
    assert content.startswith(b"the beginning")
    assert len(content) < _LOG_BYTES_KEPT + 200
    assert b"the log passed 67108864 bytes" in content[_LOG_BYTES_KEPT:]


def test_a_parent_that_cannot_start_says_why_and_nothing_of_an_older_one(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    state.host_log.write_text("an old complaint\n")
    executor = LocalExecutor(state)
    executor.warm_up()
    os.kill(executor._parent._process.pid, signal.SIGKILL)
    with pytest.raises(ExecutorError, match="has ended: it printed nothing"):
        executor.facts()
    executor.close()


@pytest.fixture
def lingering(tmp_path, monkeypatch) -> Callable[..., LocalExecutor]:
    """Return a maker of executors that share a parent, in a runtime folder of the test's own."""
    runtime = Path(tempfile.mkdtemp(prefix="bl-"))  # sockets take short names alone
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    (runtime / "branchlab").mkdir(mode=0o700)
    made: list[LocalExecutor] = []

    def make(linger_s: float = 60.0) -> LocalExecutor:
        state = StateFolder(tmp_path / f"state{len(made)}")
        state.create()
        made.append(LocalExecutor(state, linger_s=linger_s))
        return made[-1]

    yield make
    pids = {executor.parent_pid for executor in made} - {None}
    for executor in made:
        executor.close()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(runtime)


def test_a_parent_that_lingers_serves_the_next_command(lab, lingering, monkeypatch) -> None:
    one = lingering()
    one.facts()
    lab.carry_out(lab.plan("a"), executor=one)
    one.close()
    monkeypatch.setenv("OF_THE_SECOND", "yes")
    other = lingering()
    other.facts()
    assert other.parent_pid == one.parent_pid
    (lab.tree / "tiny.py").write_text(
        "import os\nfrom pathlib import Path\n"
        + (lab.tree / "tiny.py").read_text()
        + "\n    Path('seen').write_text(os.environ['OF_THE_SECOND'])\n"
    )
    lab.carry_out(lab.plan("b"), executor=other)
    assert lab.outcome("a") == lab.outcome("b")
    # A run has the environment of the command that started it.
    assert (lab.tree / "seen").read_text() == "yes"


def test_two_commands_at_once_share_a_parent_and_hear_of_their_own_runs(lab, lingering) -> None:
    one, other = lingering(), lingering()
    one.facts(), other.facts()
    assert one.parent_pid == other.parent_pid
    changes = [
        lab.start([lab.plan(name)], executor=executor)
        for name, executor in (("a", one), ("b", other))
    ]
    ended = [[run.id for change in stream for run in change.ended] for stream in changes]
    assert ended == [["a"], ["b"]]


@pytest.mark.slow
def test_another_environment_at_import_is_another_parent(lingering, monkeypatch) -> None:
    one = lingering()
    one.facts()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    other = lingering()
    other.facts()
    assert other.parent_pid != one.parent_pid


def test_a_parent_ends_when_nobody_comes(lingering, wait_until) -> None:
    executor = lingering(linger_s=0.3)
    executor.facts()
    pid = executor.parent_pid
    executor.close()
    wait_until(lambda: is_gone(pid))
    again = lingering(linger_s=0.3)
    again.facts()
    assert again.parent_pid != pid


def test_a_lingering_parent_that_is_killed_is_followed_by_another(lab, lingering) -> None:
    executor = lingering()
    executor.facts()
    os.kill(executor.parent_pid, signal.SIGKILL)
    assert lab.carry_out(lab.plan("a"), executor=executor)["a"].state is RunState.DONE


@pytest.mark.slow
def test_a_lingering_parent_that_is_killed_while_runs_go_on_is_followed_by_another(
    lab, lingering
) -> None:
    executor = lingering()
    executor.facts()
    runs = [lab.plan("a", deed="slow", at=20), lab.plan("b"), lab.plan("c")]
    is_killed = False
    for _ in lab.start(runs, executor=executor, num_slots=1):
        if lab.gate("a").exists() and not is_killed:
            is_killed = True
            os.kill(executor.parent_pid, signal.SIGKILL)
    assert {name: record.state for name, record in lab.records().items()} == dict.fromkeys(
        "abc", RunState.DONE
    )
    assert lab.records()["a"].attempts == 1


@pytest.mark.slow
def test_an_interrupt_stops_runs_whose_parent_is_gone(lab, own_executor) -> None:
    run, stop = lab.plan("a", deed="slow", at=4), StopRequest()
    is_killed = False
    for change in lab.start([run], stop, executor=own_executor):
        if lab.gate("a").exists() and not is_killed:
            is_killed = True
            os.kill(own_executor.parent_pid, signal.SIGKILL)
        elif is_killed and change == Change() and own_executor.parent_pid is None:
            stop.level = 1
    assert not lab.state.run("a").is_held()
    assert lab.records()["a"].state is RunState.CANCELLED


def test_what_a_command_was_started_with_is_not_handed_to_a_parent_that_lingers(
    lingering, tmp_path
) -> None:
    fd = os.open(tmp_path / "cron.lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(fd, 1)
    executor = lingering()
    executor.facts()
    theirs = {Path(f"/proc/{executor.parent_pid}/fd/{n}").resolve() for n in range(3, 40)}
    os.close(fd)
    assert tmp_path / "cron.lock" not in theirs


@pytest.mark.parametrize(
    ("seen", "slot", "given"),
    [(None, "1", "1"), ("3", "0", "3"), ("2,5,7", "1,2", "5,7"), ("GPU-aa,GPU-bb", "1", "GPU-bb")],
)
def test_the_gpus_of_a_slot_are_counted_among_those_that_the_command_sees(
    monkeypatch, seen: str | None, slot: str, given: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    order = Order(
        run_folder=Path(), attempt=1, worktree=Path(), timeout_s=1, silence_s=1, visible_device=slot
    )
    assert _visible(order) == given


def test_closing_a_parent_that_was_never_started_does_nothing(tmp_path: Path) -> None:
    LocalExecutor(StateFolder(tmp_path)).close()


@pytest.mark.slow
def test_runs_of_two_environments_are_trained_by_a_parent_of_each(lab) -> None:
    made: list[LocalExecutor] = []

    def make(python: Path | None) -> LocalExecutor:
        made.append(LocalExecutor(lab.state, python=python, packages="ab12" if python else ""))
        return made[-1]

    executor = EnvironmentsExecutor(make)
    own = Path(sys.executable)  # the same packages, told apart by its path all the same
    runs = [lab.plan("here"), lab.plan("there")]
    pythons = {"here": None, "there": own}
    found = lab.carry_out(*runs, executor=executor, python_of=lambda run: pythons[run.id])
    assert {record.state for record in found.values()} == {RunState.DONE}
    assert lab.outcome("here") == lab.outcome("there")
    assert "packages" not in made[0].facts().environment
    assert made[1].facts().environment["packages"] == "ab12"
    assert made[0].parent_pid != made[1].parent_pid
    executor.close()


def test_a_run_without_its_environment_fails_alone(lab) -> None:
    def python_of(run):
        if run.id == "bad":
            raise ExecutorError("its environment cannot be made: no numpy 99")

    changes = list(lab.start([lab.plan("good"), lab.plan("bad")], python_of=python_of))
    refused = [one for change in changes for one in change.refused]
    assert [(run.id, why) for run, why in refused] == [
        ("bad", "its environment cannot be made: no numpy 99")
    ]
    assert lab.records()["good"].state is RunState.DONE

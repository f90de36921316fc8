"""An errand and its outpost in one process: what they say to each other, with no engine between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from branchlab.domain import RunState, Script
from branchlab.git.parcel import Parcel, pack
from branchlab.run_folder import locked, read_holder
from branchlab.schedule.errand import Errand
from branchlab.schedule.executor import Bounds, Outcome, Start
from branchlab.schedule.outpost import Goods, Outpost
from branchlab.schedule.watchdog import Watchdog


class Road:
    """Carries the calls of an errand to an outpost."""

    def __init__(self, lab, run, scratch: Path, **goods: object) -> None:
        self.lab, self.folder = lab, lab.state.run(run.id)
        bounds = Bounds(timeout_s=600.0, silence_s=600.0, checkpoint_s=0.2)
        attempt = self.folder.attempts() + 1
        order = Start(
            ticket=1, run_folder=self.folder, attempt=attempt, worktree=lab.tree, bounds=bounds
        )
        self.errand = Errand(order, engine="road", is_shared=False)
        self.outpost = Outpost(str(scratch), 0.0)
        self.goods = Goods(run_id=run.id, **goods)
        self.calls: list[str] = []

    def walk(self) -> Iterator[Outcome | None]:
        """Yield after each call; last what became of the run."""
        assert self.errand.take_up()
        parcel = pack(self.lab.repository, self.lab.commit)
        course = self.errand.course(self.goods, parcel)
        call = next(course)
        while True:
            self.calls.append(call[0])
            value = getattr(self.outpost, call[0])(*call[1])
            try:
                call = course.send(value)
            except StopIteration as end:
                self.errand.close()
                yield end.value
                return
            yield None

    def carry_out(self) -> Outcome | None:
        *_, last = self.walk()
        return last

    def break_off(self) -> None:
        """End both, as when this process is killed."""
        self.outpost.leave()
        self.errand.close()


def test_a_run_far_away_is_recorded_here_with_the_bits_of_a_local_one(
    committed, warm, tmp_path: Path
) -> None:
    (tmp_path / "node" / "data").mkdir(parents=True)
    goods = {"share": ("data",), "data_root": str(tmp_path / "node")}
    road = Road(committed, committed.plan("a"), tmp_path / "far", **goods)
    states = set()
    for _ in road.walk():
        if road.calls[-1] == "begin":
            (link,) = (tmp_path / "far").glob("*/tree/data")
            assert link.resolve() == tmp_path / "node" / "data"
            states.add(committed.records()["a"].state)
    assert states == {RunState.RUNNING}
    assert committed.outcome("a") == committed.outcome_undisturbed(warm)
    folder = road.folder
    assert folder.checkpoint.exists()
    assert folder.attempt(1).val_examples.exists()
    assert folder.attempt(1).log.exists()
    assert committed.records()["a"].attempts == 1
    with locked(folder.lease) as is_free:
        assert is_free
    assert list((tmp_path / "far").iterdir()) == []


@pytest.mark.slow
def test_it_goes_on_from_the_last_checkpoint_that_arrived(committed, warm, tmp_path: Path) -> None:
    run = committed.plan("a", deed="slow")
    first = Road(committed, run, tmp_path / "far")
    for _ in first.walk():
        if committed.gate("a").exists() and first.folder.checkpoint.exists():
            break
    first.break_off()
    assert committed.records()["a"].state is RunState.LOST
    assert Road(committed, run, tmp_path / "far").carry_out() is Outcome.ENDED
    one, other = committed.resumed_at("a")
    assert one == 0 < other
    assert committed.outcome("a") == committed.outcome_undisturbed(warm)


@pytest.mark.slow
@pytest.mark.parametrize("is_now", [False, True])
def test_a_stop_in_the_folder_here_ends_the_run_over_there(
    committed, tmp_path: Path, *, is_now: bool
) -> None:
    road = Road(committed, committed.plan("a", deed="slow"), tmp_path / "far")
    for _ in road.walk():
        if road.calls[-1] == "begin":
            holder = read_holder(road.folder.lease)
            assert holder is not None
            assert (holder.pid, holder.is_for_one) == (os.getpid(), False)
            assert holder.job.startswith("road:")
        if committed.gate("a").exists():
            road.folder.ask_to_stop(is_now=is_now)  # a signal to the holder would end this test
    result = committed.result("a")
    assert result["state"] == RunState.CANCELLED
    assert ("SIGKILL" if is_now else "stopped at step") in result["reason"]


def test_a_run_that_somebody_works_on_is_left_alone(committed, tmp_path: Path) -> None:
    run = committed.plan("a")
    with locked(committed.state.run("a").lease):
        assert not Road(committed, run, tmp_path).errand.take_up()
    road = Road(committed, run, tmp_path)
    road.folder.attempt(1).write_result(RunState.DONE, metrics={})
    assert not road.errand.take_up()


def test_shared_data_that_the_node_lacks_fails_the_run_and_says_where(
    committed, tmp_path: Path
) -> None:
    how = {"share": ("data",), "data_root": "/nowhere"}
    Road(committed, committed.plan("a"), tmp_path / "far", **how).carry_out()
    result = committed.result("a")
    assert result["state"] == RunState.FAILED
    assert result["reason"].startswith("[run] share: 'data' is not at /nowhere/data on the node ")


def test_a_commit_that_does_not_arrive_whole_fails_the_run(committed, tmp_path: Path) -> None:
    outpost = Outpost(str(tmp_path), 0.0)
    outpost.arrive()
    parcel = Parcel(commit=committed.commit, pack=b"nothing of a pack")
    assert outpost.begin({}, Goods(run_id="a"), parcel)
    outpost.leave()


def test_a_node_on_which_nothing_starts_fails_the_run_with_what_it_printed(
    committed, tmp_path: Path, monkeypatch
) -> None:
    run = committed.plan("a")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    Road(committed, run, tmp_path / "far").carry_out()
    assert committed.result("a")["reason"] == "the node's process left with exit code 1"


def test_a_loss_leaves_no_result_but_costs_a_try(committed, tmp_path: Path) -> None:
    road = Road(committed, committed.plan("a"), tmp_path)
    assert road.errand.take_up()
    road.errand.lose("its node was lost: gone")
    road.errand.close()
    assert road.folder.attempts() == 1
    assert "[branchlab] its node was lost: gone" in committed.log("a")
    assert committed.records()["a"].state is RunState.LOST


def test_a_loss_while_it_is_stopped_is_the_stop_that_was_asked_for(
    committed, tmp_path: Path
) -> None:
    road = Road(committed, committed.plan("a"), tmp_path)
    assert road.errand.take_up()
    road.errand.ask_to_stop(is_now=False)
    road.errand.lose("gone")
    assert committed.result("a")["state"] == RunState.CANCELLED
    road.errand.close()


def test_the_command_that_stands_for_it_is_not_ended_for_standing_still(
    committed, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("branchlab.schedule.watchdog._STILL_FOR_S", 0.0)
    monkeypatch.setattr("branchlab.schedule.watchdog._GONE_FOR_S", 0.0)
    road = Road(committed, committed.plan("a"), tmp_path)
    road.folder.attempt(1).write_result(RunState.LOST)
    road = Road(committed, committed.plan("a"), tmp_path)
    assert road.errand.take_up()
    watchdog = Watchdog()
    for _ in range(3):
        watchdog.look(road.folder)  # it would end this test
    road.errand.close()


def test_a_run_that_waits_for_a_machine_can_be_cancelled(committed, tmp_path: Path) -> None:
    road = Road(committed, committed.plan("a"), tmp_path)
    assert road.errand.take_up()
    assert road.errand.withdraw() is None
    road.folder.ask_to_stop()
    assert road.errand.withdraw() is Outcome.ENDED
    assert committed.result("a")["reason"] == "cancelled before it began"
    road.errand.close()


OWNER = """
import json, sys, time
from branchlab.git.parcel import pack
from branchlab.git.repository import Repository
from branchlab.schedule.mirror import whole_file
from branchlab.schedule.outpost import Goods, Outpost
from dataclasses import replace
from pathlib import Path
tree, folder, scratch, commit = sys.argv[1:]
outpost = Outpost(scratch, 0.0)
outpost.arrive()
for piece in whole_file(Path(folder), "run.json"):
    outpost.give(replace(piece, path=f"a/{piece.path}"))
order = {"attempt": 1, "timeout_s": 600, "silence_s": 600}
print(outpost.begin(order, Goods(run_id="a"), pack(Repository.find(Path(tree)), commit)), flush=True)
while True:
    outpost.pull({}, "")
"""


@pytest.mark.slow
def test_a_run_ends_with_its_outpost_and_the_next_one_takes_away_what_it_left(
    committed, tmp_path: Path, wait_until, monkeypatch
) -> None:
    run, far = committed.plan("a", deed="slow"), tmp_path / "far"
    arguments = [committed.tree, committed.state.run("a").path, far, committed.commit]
    with subprocess.Popen([sys.executable, "-c", OWNER, *map(str, arguments)]) as owner:
        wait_until(committed.gate("a").exists)
        (scratch,) = far.iterdir()
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not _processes_below(scratch))
    assert not list(scratch.glob("a/attempts/1/result.json"))
    monkeypatch.setattr("branchlab.schedule.outpost._SWEPT_AFTER_S", 0.0)
    Road(committed, run, far).carry_out()
    assert list(far.iterdir()) == []


def _processes_below(folder: Path) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and "branchlab.train.node" in line:
            found.append(line)
    return found


SCRIPT = """
import json, os, sys, time
from pathlib import Path
out, *resume = map(Path, sys.argv[1:])
first = int(resume[-1].read_text()) + 1 if resume else 1
for epoch in range(first, 5):
    print(json.dumps({"epoch": epoch, "val/accuracy": epoch / 10}), flush=True)
    (out / "state.ckpt").write_text(str(epoch))
    if epoch == 2 and first == 1:
        print("at the gate", flush=True)
        time.sleep(600)
"""


@pytest.mark.slow
def test_a_script_far_away_writes_here_and_goes_on_from_its_checkpoint(
    committed, tmp_path: Path
) -> None:
    (committed.tree / "train.py").write_text(SCRIPT)
    committed.git("add", "train.py")
    committed.git("commit", "--quiet", "-m", "a script")
    committed.commit = committed.git("rev-parse", "HEAD")
    script = Script(
        command=("python", "train.py", "{run_dir}"),
        resume=("--", "{checkpoint}"),
        checkpoint="*.ckpt",
    )
    run = replace(committed.plan("a"), task="", script=script)
    committed.state.run("a").write_plan(run)
    road = Road(committed, run, tmp_path / "far")
    for _ in road.walk():
        checkpoint = road.folder.files / "state.ckpt"
        if checkpoint.exists() and checkpoint.read_text() == "2":
            break
    road.break_off()
    assert Road(committed, run, tmp_path / "far").carry_out() is Outcome.ENDED
    record = committed.records()["a"]
    assert (record.state, record.attempts) == (RunState.DONE, 2)
    assert record.metrics == {"val/accuracy": 0.4}
    assert '"epoch": 3' in committed.log("a")
    assert '"epoch": 1' not in committed.log("a")
    assert (road.folder.files / "state.ckpt").read_text() == "4"
    assert not list(road.folder.path.rglob("told.jsonl"))

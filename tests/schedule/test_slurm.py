"""The executor of Slurm without a cluster: what is asked for, what is known beforehand, and what became of jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from branchlab.config import SlurmOptions
from branchlab.domain import RunState
from branchlab.errors import ConfigError, ExecutorError
from branchlab.run_folder import Holder, Job, RunFolder, StateFolder, locked, write_holder
from branchlab.schedule.executor import Bounds, Start
from branchlab.schedule.jobs import look_after
from branchlab.schedule.slurm import (
    SlurmExecutor,
    minutes_of,
    parameters,
    seconds_of,
)
from branchlab.train import exits

DAY_S = 86_400.0
BOUNDS = Bounds(timeout_s=DAY_S, silence_s=900.0)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / ".branchlab")
    made.create()
    return made


def orders(state: StateFolder, *run_ids: str) -> list[Start]:
    for run_id in run_ids:
        state.run(run_id).path.mkdir()
    return [
        Start(
            ticket=ticket, run_folder=state.run(run_id), attempt=1, worktree=state.path,
            bounds=BOUNDS,
        )
        for ticket, run_id in enumerate(run_ids)
    ]  # fmt: skip


def test_everything_that_is_asked_for_reaches_the_script(state, played_slurm) -> None:
    options = SlurmOptions(
        partition="main", account="lab", qos="low", gpus=2, cpus=4, memory_gib=1.5,
        extra={"constraint": "a100", "exclusive": True, "nice": 100, "spread-job": False}, jobs=3,
    )  # fmt: skip
    executor = SlurmExecutor(state, options, jobs=9)
    executor.facts()
    executor.start(orders(state, *"abcdefgh"))
    script = played_slurm.told("sbatch")
    asked = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2]
        for line in script.splitlines()
        if line.startswith("#SBATCH")
    )
    assert asked.pop("output").startswith(str(state.path / "slurm"))
    assert asked.pop("error").endswith("%A_%a_0_log.err")
    assert asked == {
        "array": "0-7%3", "partition": "main", "account": "lab", "qos": "low",
        "gpus-per-node": "2", "cpus-per-task": "4", "mem": "1536M", "nodes": "1",
        "job-name": "branchlab", "open-mode": "append", "requeue": "", "signal": "TERM@60",
        "time": "1440", "constraint": "a100", "exclusive": "", "nice": "100",
    }  # fmt: skip
    assert any(
        line.startswith("srun") and "--cpus-per-task=4" in line for line in script.splitlines()
    )
    assert script.rstrip().endswith("exit $code")
    assert sys.executable in script


def test_what_is_left_out_is_left_to_the_cluster() -> None:
    asked = parameters(SlurmOptions(), minutes=5, at_once=1)
    for name in ("partition", "account", "qos", "gpus_per_node", "mem"):
        assert asked[name] is None
    # A signal a minute before the end would end a job of a few minutes before it has begun.
    assert asked["additional_parameters"] == {"requeue": True, "signal": "TERM@10"}


@pytest.mark.parametrize(
    ("time_s", "timeout_s", "limit_s", "minutes"),
    [
        (None, DAY_S, None, 1442),
        (None, DAY_S, DAY_S, 1440),
        (None, 90.0, DAY_S, 4),
        (None, DAY_S, 90.0, 1),
        (90.0, DAY_S, None, 2),
    ],
)
def test_a_job_may_take_as_long_as_its_run_and_no_longer_than_its_partition_gives(
    time_s: float | None, timeout_s: float, limit_s: float | None, minutes: int
) -> None:
    options = SlurmOptions(time_s=time_s)
    assert minutes_of(options, timeout_s=timeout_s, limit_s=limit_s) == minutes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("infinite", None), ("n/a", None), ("", None), ("30:00", 1800.0), ("1:30:00", 5400.0),
        ("2-00:00:00", 2 * DAY_S), ("1-12", 1.5 * DAY_S), ("10", 600.0),
    ],
)  # fmt: skip
def test_limits_are_read_as_slurm_writes_them(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_a_login_node_knows_what_plans_depend_on_without_torch(played_slurm) -> None:
    code = (
        "import sys, json, pathlib\n"
        "from branchlab.config import SlurmOptions\n"
        "from branchlab.run_folder import StateFolder\n"
        "from branchlab.schedule.slurm import SlurmExecutor\n"
        "for options in (SlurmOptions(cpus=3), SlurmOptions(gpus=2)):\n"
        "    facts = SlurmExecutor(StateFolder(pathlib.Path('.')), options).facts()\n"
        "    print(json.dumps([facts.devices, dict(facts.environment), facts.threads]))\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    from branchlab.train.host import describe

    here = describe()
    environment = {name: here[name] for name in ("python", "torch", "trainer")}
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [["cpu"], environment, 3],
        [["cuda:0", "cuda:1"], environment, 1],
    ]


def test_a_missing_extra_and_a_machine_without_slurm_say_what_to_do(
    state, played_slurm, monkeypatch
) -> None:
    executor = SlurmExecutor(state, SlurmOptions())
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "submitit", None)
        with pytest.raises(ExecutorError, match="needs submitit") as caught:
            executor.facts()
        assert caught.value.hint == "pip install 'branchlab[slurm]'"
    (played_slurm.programs / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(played_slurm.programs))
    with pytest.raises(ExecutorError, match="sbatch is not on PATH") as caught:
        executor.facts()
    assert "login node" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (SlurmOptions(partition="lnog"), "partition = 'lnog': there is no such partition"),
        (SlurmOptions(time_s=2 * DAY_S), "the partition gives at most 86400 s"),
    ],
)
def test_a_job_that_would_wait_for_ever_is_refused_before_it_is_handed_in(
    state, played_slurm, options: SlurmOptions, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        SlurmExecutor(state, options).facts()


def test_runs_are_handed_over_with_the_job_that_each_became(state, played_slurm) -> None:
    executor = SlurmExecutor(state, SlurmOptions())
    executor.start(orders(state, "a", "b"))
    executor.start(orders(state, "c"))
    assert [(end.ticket, end.outcome, end.job) for end in executor.wait(0.0)] == [
        (0, "handed over", "17_0"), (1, "handed over", "17_1"), (0, "handed over", "18"),
    ]  # fmt: skip
    assert executor.wait(0.0) == []
    assert state.run("b").read_job() == Job(executor="slurm", job="17_1", attempt=1)


def test_what_slurm_refuses_is_said_in_its_own_words_and_given_to_nobody(
    state, played_slurm, capfd
) -> None:
    played_slurm.fail("sbatch", "sbatch: error: Batch job submission failed: Invalid account")
    with pytest.raises(ExecutorError, match="failed: Invalid account"):
        SlurmExecutor(state, SlurmOptions()).start(orders(state, "a", "b"))
    assert state.run("a").read_job() is None
    assert capfd.readouterr().err == ""


def given(state: StateFolder, run_id: str, job: str, *, attempt: int = 1) -> RunFolder:
    folder = state.run(run_id)
    folder.path.mkdir()
    folder.write_job(Job(executor="slurm", job=job, attempt=attempt))
    return folder


def result(folder: RunFolder) -> tuple[str, str]:
    latest = folder.latest()
    found = latest.read_result() if latest is not None else None
    return (found["state"], found["reason"]) if found is not None else ("", "")


@pytest.mark.parametrize("name", ["PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED"])
def test_a_job_that_is_not_over_leaves_its_run_alone(state, played_slurm, name: str) -> None:
    folder = given(state, "a", "17_0")
    played_slurm.queue(_17_0=f"{name}|None")
    looked = look_after(state)
    assert (dict(looked.jobs), looked.notes) == ({"a": folder.read_job()}, ())
    assert result(folder) == ("", "")


@pytest.mark.parametrize(
    ("queue", "expected", "said"),
    [
        ({}, RunState.LOST, "job 17_0 of slurm is gone from the queue before the run began"),
        (
            {"_17_0": "CANCELLED|None"},
            RunState.CANCELLED,
            "job 17_0 of slurm was cancelled before the run began",
        ),
        (
            {"_17_0": "NODE_FAIL|None"},
            RunState.LOST,
            "job 17_0 of slurm was lost (NODE_FAIL) before the run began",
        ),
        (
            {"_17_0": "FAILED|NonZeroExitCode", "_17_1": "RUNNING|None"},
            RunState.FAILED,
            "job 17_0 of slurm ended (FAILED) before the run began",
        ),
    ],
)
def test_a_job_that_is_gone_does_not_leave_its_run_planned_for_ever(
    state, played_slurm, queue: dict[str, str], expected: RunState, said: str
) -> None:
    folder = given(state, "a", "17_0")
    played_slurm.queue(**queue)
    assert look_after(state).jobs == {}
    assert result(folder) == (expected, said)
    assert folder.read_job() is None


def test_a_job_that_failed_before_its_run_began_is_quoted_with_its_log(state, played_slurm) -> None:
    folder = given(state, "a", "17_0")
    log = state.path / "slurm" / "17_0_0_log.err"
    log.parent.mkdir()
    log.write_text("Traceback\nModuleNotFoundError: No module named 'torch'\n")
    played_slurm.queue(_17_0="FAILED|NonZeroExitCode")
    look_after(state)
    _, reason = result(folder)
    assert reason.endswith(
        f"before the run began: ModuleNotFoundError: No module named 'torch' ({log})"
    )


def test_what_a_run_says_itself_stands(state, played_slurm) -> None:
    folder = given(state, "a", "17_0")
    folder.attempt(1).write_result(RunState.FAILED, reason="boom")
    look_after(state)
    assert result(folder) == (RunState.FAILED, "boom")
    assert folder.read_job() is None


def test_a_run_that_somebody_works_on_is_left_alone_whatever_became_of_its_job(
    state, played_slurm
) -> None:
    folder = given(state, "a", "17_0")
    with locked(folder.lease):
        look_after(state)
    assert folder.read_job() is not None
    assert folder.attempts() == 0


def test_the_breath_of_a_job_that_is_over_does_not_keep_its_run_running(
    state, played_slurm
) -> None:
    folder = given(state, "a", "17_0")
    attempt = folder.attempt(1)
    attempt.path.mkdir(parents=True)
    attempt.usage.touch()
    write_holder(folder.lease, Holder(pid=1, boot="x", started=1, host="node7", job="slurm:17_0"))
    assert folder.is_held()
    played_slurm.queue(_17_0="NODE_FAIL|None")
    look_after(state)
    assert result(folder) == (RunState.LOST, "job 17_0 of slurm was lost (NODE_FAIL)")
    assert not folder.is_held()


@pytest.mark.parametrize(
    "said", ["slurm_load_jobs error: Unable to contact slurm controller (connect failure)", ""]
)
def test_a_cluster_that_does_not_answer_is_a_note(state, played_slurm, said: str) -> None:
    folder = given(state, "a", "17_0")
    played_slurm.fail("squeue", said)
    looked = look_after(state)
    assert list(looked.jobs) == ["a"]
    assert "the jobs of 1 runs could not be asked about: squeue failed" in looked.notes[0]
    assert folder.read_job() is not None


def test_jobs_that_slurm_has_forgotten_altogether_are_gone(state, played_slurm) -> None:
    folder = given(state, "a", "17_0")
    played_slurm.fail("squeue", "slurm_load_jobs error: Invalid job id specified")
    assert look_after(state).jobs == {}
    assert result(folder)[0] == RunState.LOST


def test_a_job_that_is_held_is_said(state, played_slurm) -> None:
    given(state, "a", "17_0")
    played_slurm.queue(_17_0="PENDING|launch failed requeued held")
    assert look_after(state).notes == (
        "a waits: slurm holds its job 17_0 (launch failed requeued held)",
    )


def test_without_jobs_nothing_is_asked(state, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    state.run("a").path.mkdir()
    assert look_after(state).notes == ()


@pytest.mark.parametrize(
    ("code", "queue", "count", "asked"),
    [
        (exits.AGAIN, "RUNNING", "", "requeue 17\n"),
        (exits.AGAIN, "RUNNING", "7", "requeue 17\n"),
        (exits.AGAIN, "RUNNING", "1000", ""),
        (exits.AGAIN, "CANCELLED", "", ""),
        (exits.AGAIN, "", "", ""),
        (0, "RUNNING", "", ""),
        (1, "RUNNING", "", ""),
    ],
)
def test_the_script_queues_a_run_again_that_its_cluster_has_stopped(
    played_slurm, code: int, queue: str, count: str, asked: str
) -> None:
    teardown = parameters(SlurmOptions(), minutes=5, at_once=1)["teardown"]
    (played_slurm.folder / "queue").write_text(queue)
    script = "\n".join([f"(exit {code})", "", "# teardown", *teardown])
    environment = {**os.environ, "SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": count}
    done = subprocess.run(["bash", "-c", script], env=environment, check=False)
    assert done.returncode == code
    assert played_slurm.told("scontrol") == asked


def on_node(lab, run_id: str, **slurm: str) -> subprocess.Popen[bytes]:
    """Start what a node of the cluster would, in the middle of a submitit process."""
    order = Start(
        ticket=0, run_folder=lab.state.run(run_id), attempt=1, worktree=lab.tree, bounds=BOUNDS
    ).order()
    code = f"from branchlab.schedule.slurm import carry_out; carry_out({order!r})"
    environment = {"SLURM_JOB_ID": "18", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **environment, **slurm}
    )


@pytest.mark.slow
def test_a_preempted_run_goes_on_where_it_was_when_its_job_is_started_anew(lab, wait_until) -> None:
    folder = lab.state.run(lab.plan("a", deed="slow").id)
    folder.write_job(Job(executor="slurm", job="17_1"))
    job = on_node(lab, "a")
    wait_until(lambda: lab.gate("a").exists())
    assert "slurm:17_1" in folder.lease.read_text()
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == exits.AGAIN
    assert lab.result("a")["state"] == "cancelled"
    # Its cluster will go on with it: until then it waits.
    assert lab.records()["a"].state is RunState.PLANNED
    assert on_node(lab, "a", SLURM_RESTART_COUNT="1").wait(60) == 0
    assert folder.attempts() == 2
    assert lab.records()["a"].state is RunState.DONE
    assert folder.read_job() is None
    lab.carry_out(lab.plan("c"))
    assert lab.outcome("a") == lab.outcome("c")


def test_one_that_was_taken_back_while_it_waited_is_not_begun_again(lab) -> None:
    folder = lab.state.run(lab.plan("b").id)
    folder.write_job(Job(executor="slurm", job="17_1"))
    folder.attempt(1).write_result(RunState.CANCELLED)
    folder.forget_job()
    assert on_node(lab, "b", SLURM_RESTART_COUNT="1").wait(60) == 3
    assert folder.attempts() == 1


def test_a_run_is_not_trained_with_other_versions_than_it_was_planned_for(lab) -> None:
    from dataclasses import replace

    run = replace(lab.plan("a"), environment={"torch": "1.0"})
    lab.state.run("a").write_plan(run)
    lab.state.run("a").write_job(Job(executor="slurm", job="17_1"))
    lab.carry_out(run)
    result = lab.result("a")
    assert result["state"] == "failed"
    assert "the run was planned for 1.0" in result["reason"]

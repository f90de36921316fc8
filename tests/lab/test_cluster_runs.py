"""Runs that are handed over to a cluster, up to where the cluster begins: nothing is trained here."""

from __future__ import annotations

import pytest

from branchlab.domain import RunState
from branchlab.errors import ConfigError
from branchlab.lab.run import RunRequest, RunSession
from branchlab.lab.runs import cancel, list_runs, look_after_jobs, show
from branchlab.run_folder import Job


def hand_over(repo, **request: object):
    session = RunSession(repo.open(), RunRequest(executor="slurm", **request))  # type: ignore[arg-type]
    prepared = session.prepare()
    *_, last = session.carry_out(prepared)
    session.close()
    return prepared, last


def test_a_batch_is_handed_over_as_one_array_and_only_once(repo, played_slurm) -> None:
    repo.branch("exp/se", {"experiments/se.toml": "flags = { squeeze = true }\n"})
    prepared, last = hand_over(repo, names=("se",))
    assert prepared.num_slots == 0
    assert list(last.given.values()) == ["17_0", "17_1", "17_2", "17_3"]
    assert {record.state for record in last.records.values()} == {RunState.PLANNED}
    state = repo.open().state
    assert [state.run(run_id).read_job() for run_id in last.given] == [
        Job(executor="slurm", job=f"17_{i}", attempt=1) for i in range(4)
    ]
    # The commits that wait for their nodes keep their work trees.
    assert len([path for path in state.worktrees.iterdir() if path.is_dir()]) == 2
    played_slurm.queue(**{f"_17_{i}": "PENDING|Priority" for i in range(4)})
    prepared, last = hand_over(repo, names=("se",))
    assert last.given == {}
    assert len(prepared.jobs) == 4
    assert "and 3 more are queued already" in prepared.notes[-1]
    # What the cluster has forgotten is handed in again, as the next attempt.
    played_slurm.queue(**{f"_17_{i}": "RUNNING|None" for i in range(3)})
    _, last = hand_over(repo, names=("se",))
    assert list(last.given.values()) == ["18"]
    assert state.run(next(iter(last.given))).read_job() == Job(
        executor="slurm", job="18", attempt=2
    )


def test_a_cluster_run_has_the_key_of_a_local_one_of_as_many_threads(repo, played_slurm) -> None:
    local, last = repo.run(names=("main",), seeds=1, jobs=0)
    threads = next(iter(last.records.values())).run.threads
    config = (repo.root / ".branchlab.toml").read_text()
    (repo.root / ".branchlab.toml").write_text(f"{config}\n[executor.slurm]\ncpus = {threads}\n")
    prepared, last = hand_over(repo, names=("main",), seeds=1)
    assert prepared.plan.to_start == ()
    assert [p.run.key for p in prepared.plan.runs] == [p.run.key for p in local.plan.runs]


def test_a_run_in_the_queue_is_planned_and_can_be_taken_back(repo, played_slurm) -> None:
    _, last = hand_over(repo, names=("main",))
    first, second = last.given
    played_slurm.queue(_17_0="PENDING|Priority", _17_1="PENDING|Priority")
    project = repo.open()
    # However an earlier attempt ended: its job goes on with it.
    project.state.run(second).attempt(1).write_result(
        RunState.CANCELLED, reason="stopped at step 3"
    )
    assert look_after_jobs(project) == ()
    assert [r.state for r in list_runs(project)] == [RunState.PLANNED, RunState.PLANNED]
    job = show(project, first).job
    assert job is not None
    assert job.job == "17_0"
    (record,) = cancel(project, [first])
    assert (record.state, record.reason) == (RunState.CANCELLED, "cancelled before it began")
    assert played_slurm.told("scancel") == "--quiet 17_0\n"
    assert project.state.run(first).read_job() is None
    played_slurm.queue(_17_1="CANCELLED|None")
    look_after_jobs(project)
    assert {r.state for r in list_runs(project)} == {RunState.CANCELLED}


def test_a_run_of_another_machine_is_asked_to_stop_and_not_taken_for_a_queued_one(repo) -> None:
    from branchlab.run_folder import Holder, write_holder

    repo.run(names=("main",), seeds=1)
    project = repo.open()
    (record,) = list_runs(project)
    folder = project.state.run(record.run.id)
    attempt = folder.attempt(2)
    attempt.path.mkdir()
    attempt.usage.touch()
    write_holder(folder.lease, Holder(pid=1, boot="x", started=1, host="node7", job="slurm:17_0"))
    folder.attempt(1).result.unlink()
    project.state.index.unlink()
    (record,) = cancel(project, [record.run.id], within_s=0.3)
    assert record.state is RunState.RUNNING
    assert folder.stop.read_text() == "checkpoint"
    assert folder.attempts() == 2


@pytest.mark.parametrize(
    ("kind", "said"), [("slrum", "did you mean 'slurm'"), ("pbs", "there are: local, slurm, ray")]
)
def test_an_executor_that_is_not_there_is_said(repo, kind: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"--executor {kind}") as caught:
        RunSession(repo.open(), RunRequest(executor=kind)).prepare()
    assert said in caught.value.hint

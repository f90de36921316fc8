from __future__ import annotations

import pytest

from branchlab.domain import RunState
from branchlab.errors import ConfigError, RepositoryError
from branchlab.lab.progress import follow
from branchlab.lab.run import RunSession
from branchlab.lab.run_request import RunRequest
from branchlab.schedule.executor import Facts
from tests.lab.conftest import TASK

SE = 'title = "Squeeze"\nflags = { squeeze = true }\n'
BIASED = "def more(x):\n    return x\n"


def states(progress) -> set[RunState]:
    return {record.state for record in progress.records.values()}


def test_all_branches_are_main_the_reference_and_every_experiment(repo) -> None:
    repo.commit({"notes.md": "main has moved on"})
    repo.branch("exp/se", {"experiments/se.toml": SE})
    repo.branch("exp/same", {})  # of main's content: it needs no run of its own
    repo.branch("other", {"x.py": ""})
    prepared, last = repo.run(is_all=True)
    trained = [(p.run.seed, p.run.branch) for p in prepared.plan.runs]
    assert trained == [(s, b) for s in (0, 1) for b in ("main", "original", "exp/se")]
    assert states(last) == {RunState.DONE}
    assert last.is_last
    flags = {record.run.branch: dict(record.run.flags) for record in last.records.values()}
    assert flags == {"main": {}, "original": {}, "exp/se": {"squeeze": True}}
    # What a rebase or an amend does not change is known already.
    repo.git("commit", "--quiet", "--amend", "-m", "another message")
    prepared, last = repo.run(is_all=True)
    assert prepared.plan.to_start == ()
    assert last.fraction_done == 1.0
    assert len(last.reused) == 6


def test_nothing_of_the_users_is_touched_and_a_dirty_tree_is_said(repo) -> None:
    repo.branch("exp/se", {"experiments/se.toml": SE})
    (repo.root / "stashed.py").write_text("x")
    repo.git("add", "stashed.py")
    repo.git("stash", "--quiet")
    (repo.root / "staged.py").write_text("y")
    repo.git("add", "staged.py")
    (repo.root / "tiny/task.py").write_text("raise RuntimeError('not committed')\n")
    (repo.root / "untracked.txt").write_text("z")
    before = repo.fingerprint()
    prepared, last = repo.run(names=("se",), seeds=1)
    assert states(last) == {RunState.DONE}
    assert repo.fingerprint() == before
    assert "main has uncommitted changes" in prepared.notes[0]
    assert "without them" in prepared.notes[0]


def test_a_clean_tree_is_not_complained_of(repo) -> None:
    prepared, _ = repo.run(names=("main",), seeds=1)
    assert prepared.notes == ()


READS = """
from pathlib import Path
from tiny.task import Tiny as Base
class Tiny(Base):
    def data(self):
        assert Path("data/numbers.txt").read_text() == "7"
        return super().data()
"""


def test_shared_files_reach_the_run_and_a_missing_one_fails_runs_with_the_reason(repo) -> None:
    config = (repo.root / ".branchlab.toml").read_text()
    config = config.replace("tiny.task", "tiny.reading").replace("jobs", 'share = ["data"]\njobs')
    repo.commit({".branchlab.toml": config, "tiny/reading.py": READS})
    _, last = repo.run(names=("main",), seeds=1)
    (record,) = last.records.values()
    assert record.state is RunState.FAILED
    assert record.reason == f"share: 'data' does not exist in {repo.root}"
    (repo.root / "data").mkdir()
    (repo.root / "data" / "numbers.txt").write_text("7")
    _, last = repo.run(names=("main",), seeds=1)
    (record,) = last.records.values()
    assert (record.state, record.attempts) == (RunState.DONE, 2)
    assert (repo.root / "data" / "numbers.txt").read_text() == "7"


def test_an_interrupted_batch_keeps_checkpoints_and_goes_on(repo) -> None:
    def interrupt(session, progress) -> None:
        if any(record.state is RunState.RUNNING for record in progress.records.values()):
            session.stop.level = 1

    slow = {"pause": 0.2}
    _, last = repo.run(names=("main",), seeds=3, jobs=1, flags=slow, watch=interrupt)
    counted = {state: last.count(state) for state in RunState if last.count(state)}
    assert counted == {RunState.CANCELLED: 1, RunState.PLANNED: 2}
    assert last.is_last
    cancelled = next(r for r in last.records.values() if r.state is RunState.CANCELLED)
    assert repo.open().state.run(cancelled.run.id).checkpoint.exists()
    _, last = repo.run(names=("main",), seeds=3, jobs=1, flags=slow)
    assert states(last) == {RunState.DONE}
    assert last.records[cancelled.run.id].attempts == 2


def test_a_broken_branch_fails_alone_and_is_tried_again_when_mended(repo) -> None:
    repo.branch("exp/broken", {"tiny/task.py": "import nowhere\n"})
    _, last = repo.run(is_all=True, seeds=1)
    by_branch = {record.run.branch: record for record in last.records.values()}
    assert by_branch["main"].state is RunState.DONE
    assert by_branch["exp/broken"].state is RunState.FAILED
    assert "No module named 'nowhere' (tiny/task.py:1)" in by_branch["exp/broken"].reason
    _, last = repo.run(is_all=True, seeds=1)
    assert {r.run.branch: r.attempts for r in last.records.values()}["exp/broken"] == 2


def test_force_trains_again_beside_the_known_runs(repo) -> None:
    repo.run(names=("main",), seeds=1)
    _, last = repo.run(names=("main",), seeds=1, is_forced=True)
    assert not last.reused
    records = repo.records()
    assert len(records) == 2
    assert {record.state for record in records.values()} == {RunState.DONE}
    folders = [repo.open().state.run(run_id) for run_id in records]
    digests = {folder.attempt(1).read_result()["loss_digest"] for folder in folders}
    assert len(digests) == 1


def test_a_runs_commit_outlives_its_branch(repo) -> None:
    repo.branch("exp/se", {"experiments/se.toml": SE})
    tip = repo.git("rev-parse", "exp/se").strip()
    repo.run(names=("se",), seeds=1)
    repo.git("branch", "--quiet", "-D", "exp/se")
    repo.git("reflog", "expire", "--all", "--expire=now")
    repo.git("gc", "--quiet", "--prune=now")
    assert repo.git("cat-file", "-t", tip).strip() == "commit"


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        ({"seeds": 0}, ConfigError, "--seeds 0"),
        ({"seeds": 10**9}, ConfigError, "at most 1000"),
        ({"epochs": 0}, ConfigError, "--epochs 0"),
        ({"jobs": -1}, ConfigError, "--jobs -1"),
        ({"fraction": 0.0}, ConfigError, "--sample 0.0"),
        ({"fraction": float("nan")}, ConfigError, "--sample nan"),
        ({"device": "gpu"}, ConfigError, "--device gpu"),
        ({"is_full": True, "fraction": 0.5}, ConfigError, "exclude each other"),
        ({"names": ("exp/sse",)}, RepositoryError, "no branch 'exp/sse'"),
        ({"experiment": "../../x"}, RepositoryError, "has no experiment"),
        ({"names": ("se",), "experiment": "se"}, ConfigError, "takes no other branch"),
    ],
)
def test_a_request_that_cannot_be_met_says_so_before_anything_starts(
    repo, request_: dict[str, object], error: type[Exception], said: str
) -> None:
    repo.branch("exp/se", {"experiments/se.toml": SE})
    with pytest.raises(error, match=said):
        repo.run(**request_)
    assert not list((repo.root / ".branchlab").glob("runs/*"))


def test_a_device_that_is_asked_for_by_number_is_the_one_that_runs_get() -> None:
    from branchlab.lab.devices import device_of

    facts = Facts(devices=("cuda:0", "cuda:1"), environment={})
    assert device_of("cuda:1", facts) == "cuda:1"
    assert device_of("auto", facts) == "cuda"
    assert device_of("cpu", facts) == "cpu"
    with pytest.raises(ConfigError, match="'cuda:2' is not here"):
        device_of("cuda:2", facts)
    with pytest.raises(ConfigError, match="'mps' is not here"):
        device_of("mps", facts)


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_several_processes_do_not_share_one_device(device: str) -> None:
    from branchlab.lab.devices import check_processes

    check_processes(device, 1)
    with pytest.raises(ConfigError, match=f"'{device}' is one device, and .* processes = 2"):
        check_processes(device, 2)
    check_processes("cuda", 2)
    check_processes("cpu", 2)


def test_runs_of_two_processes_are_planned_apart_and_share_their_cores(repo) -> None:
    alone, _ = repo.run(names=("main",), seeds=1)
    config = (repo.root / ".branchlab.toml").read_text()
    repo.commit({".branchlab.toml": config.replace("[run]", "[run]\nprocesses = 2")})
    prepared, progress = repo.run(names=("main",), seeds=1)
    assert states(progress) == {RunState.DONE}
    (run,) = prepared.plan.to_start
    assert (run.processes, run.threads) == (2, 1)
    assert run.key != alone.plan.runs[0].run.key


def test_a_project_without_a_task_says_what_to_set(repo) -> None:
    repo.commit({".branchlab.toml": "[run]\nseeds = 1\n"})
    session = RunSession(repo.open(), RunRequest(names=("main",)))
    with pytest.raises(ConfigError, match="task is not set") as caught:
        session.prepare()
    assert "package.module:Class" in caught.value.hint
    session.close()


def test_a_plan_alone_leaves_no_run_behind(repo) -> None:
    session = repo.session(names=("main",))
    prepared = session.prepare()
    session.close()
    assert len(prepared.plan.to_start) == 2
    assert list((repo.root / ".branchlab" / "runs").iterdir()) == []
    assert repo.git("for-each-ref", "refs/branchlab") == ""


def test_work_trees_of_commits_without_a_branch_are_given_back(repo) -> None:
    repo.branch("exp/se", {"experiments/se.toml": SE})
    repo.run(names=("se",), seeds=1)
    folders = repo.root / ".branchlab" / "worktrees"
    assert len([path for path in folders.iterdir() if path.is_dir()]) == 2
    repo.git("branch", "--quiet", "-D", "exp/se")
    repo.run(names=("main",), seeds=1, is_forced=True)
    assert len([path for path in folders.iterdir() if path.is_dir()]) == 1


def test_main_runs_a_landed_experiment_by_its_flags(repo) -> None:
    repo.commit({"experiments/se.toml": SE})
    prepared, _ = repo.run(names=("main",), experiment="se", seeds=1)
    assert [dict(p.run.flags) for p in prepared.plan.runs] == [{"squeeze": True}]


@pytest.mark.slow
def test_a_session_of_its_own_starts_and_ends_its_parent(repo) -> None:
    config = repo.root / ".branchlab.toml"
    config.write_text(config.read_text() + "\n[executor]\nlinger_s = 0\n")
    session = RunSession(repo.open(), RunRequest(names=("main",), seeds=1))
    last = list(session.carry_out(session.prepare()))[-1]
    session.close()
    assert states(last) == {RunState.DONE}
    assert repo.open().state.host_log.read_text() == ""


def test_a_budget_trains_every_run_for_the_same_time_and_is_a_protocol_of_its_own(repo) -> None:
    repo.run(names=("main",), seeds=1)
    prepared, last = repo.run(names=("main",), seeds=1, budget_s=0.5)
    (record,) = last.records.values()
    assert not prepared.plan.runs[0].is_reused
    assert record.state is RunState.DONE
    assert record.steps == record.step > 4  # the recipe's two epochs are four steps
    again, _ = repo.run(names=("main",), seeds=1, budget_s=0.5)
    assert again.plan.to_start == ()
    assert prepared.estimate.total_s == 0.5


def test_after_its_total_budget_a_batch_starts_nothing_and_leaves_the_rest_planned(repo) -> None:
    asked = {"names": ("main",), "seeds": 3, "jobs": 1, "flags": {"pause": 0.05}}
    _, last = repo.run(**asked, budget_total_s=0.1)
    assert last.count(RunState.DONE) == 1
    assert last.count(RunState.PLANNED) == 2
    _, last = repo.run(**asked)
    assert states(last) == {RunState.DONE}


@pytest.mark.slow
def test_seeds_that_cannot_change_a_verdict_are_left_out_and_say_so(repo) -> None:
    # Accuracies that differ by a constant would look free of noise: the branch's differ by seed.
    metric = (
        "\n    def metrics(self, outputs, batch):\n        import torch\n"
        "        level = torch.initial_seed() % 97 / 9700\n"
        "        return {'accuracy': torch.full((len(batch),), BASE + level)}\n"
    )
    repo.commit({"tiny/task.py": TASK + metric.replace("BASE", "0.5")})
    repo.branch(
        "exp/good",
        {"tiny/task.py": TASK + metric.replace("BASE + level", "0.9 + level * level * 50")},
    )
    config = (repo.root / ".branchlab.toml").read_text()
    (repo.root / ".branchlab.toml").write_text(
        config.replace("jobs = 2", "jobs = 1\nstop_early = true")
    )
    _, last = repo.run(names=("good",), seeds=12)
    left_out = [r for r in last.records.values() if r.state is RunState.CANCELLED]
    assert {record.run.branch for record in left_out} == {"main", "exp/good"}
    reasons = {record.run.branch: record.reason for record in left_out}
    assert reasons["exp/good"].startswith("not needed: better than main")
    assert reasons["main"] == "not needed: every branch's verdict is settled"
    assert last.count(RunState.DONE) + len(left_out) == 24
    assert last.count(RunState.DONE) >= 6


def test_whoever_follows_sees_runs_begin_get_on_and_end(repo) -> None:
    session = repo.session(names=("main",), seeds=2, jobs=1, flags={"pause": 0.05})
    prepared = session.prepare()
    seen: list[str] = []
    with repo.open().state.at_work():
        watching = follow(repo.open(), every_s=0.0)
        for _ in session.carry_out(prepared):
            progress = next(watching)
            seen += [f"started {record.run.seed}" for record in progress.started]
            seen += [f"ended {record.run.seed}" for record in progress.ended]
            assert not progress.is_last
    session.close()
    rest = list(watching)
    for progress in rest:
        seen += [f"ended {record.run.seed}" for record in progress.ended]
    assert rest[-1].is_last
    assert seen == ["started 0", "ended 0", "started 1", "ended 1"]
    assert [progress.is_last for progress in follow(repo.open())] == [True]

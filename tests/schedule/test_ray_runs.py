"""Runs on three simulated nodes of a real Ray cluster, of which one is killed at the end."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from branchlab.config import RayOptions
from branchlab.domain import RunState
from branchlab.errors import ExecutorError
from branchlab.run_folder import locked, read_holder
from branchlab.schedule.on_ray import RayExecutor
from branchlab.schedule.pool import StopRequest

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]
SCRIPTS = Path(__file__).resolve().parent.parent / "cluster"


@dataclass(frozen=True)
class Cluster:
    """Three nodes: a head without CPUs, w1 and w2 with two each."""

    address: str
    sim: Path
    environment: dict[str, str]

    def script(self, name: str, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [SCRIPTS / name, *arguments],
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if (
        importlib.util.find_spec("ray") is None
    ):  # not imported yet: it reads what follows when it is
        pytest.skip("ray is not installed")
    sim = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(sim / "token")}
    how = {"SIM": str(sim), "PYTHON": sys.executable, "PORT": port, "RAY_USAGE_STATS_ENABLED": "0"}
    cluster = Cluster(f"127.0.0.1:{port}", sim, {**how, **token})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        try:
            cluster.script("ray_up.sh")
            yield cluster
        finally:
            cluster.script("ray_down.sh", HOW="KILL")
            shutil.rmtree(sim, ignore_errors=True)


@pytest.fixture(scope="module")
def known(cluster: Cluster) -> Iterator[list]:
    """Remember what the cluster answered: it takes seconds to ask."""
    facts: list = []
    yield facts
    import ray

    ray.shutdown()


@pytest.fixture
def on_ray(committed, cluster: Cluster, known: list, tmp_path: Path) -> Iterator[RayExecutor]:
    """Return an executor of the cluster; the connection is kept from test to test."""
    executor = make(committed, cluster, tmp_path)
    executor._facts = known[0] if known else None
    known[:] = [executor.facts()]
    executor._connect()
    executor._is_connection_ours = False
    yield executor
    executor.close()


def make(lab, cluster: Cluster, tmp_path: Path, **options: object) -> RayExecutor:
    how = {"scratch": str(tmp_path / "far"), "checkpoint_every_s": 0.0, **options}
    return RayExecutor(lab.repository, RayOptions(address=cluster.address, **how))


def at_work(folder: Path) -> dict[int, int]:
    """Return the shims that work below a folder, each with its parent, Ray's worker."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_bytes().decode(errors="replace")
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if "branchlab.train.node" in line and str(folder) in line:
            found[int(place.name)] = parent
    # A trainer is a fork of its shim, and reads like it.
    return {pid: parent for pid, parent in found.items() if parent not in found}


def test_runs_are_trained_on_nodes_and_recorded_here_with_local_bits(
    committed, on_ray, warm, tmp_path: Path
) -> None:
    facts = on_ray.facts()
    assert facts.devices == ("cpu",)
    assert facts.environment == warm.facts().environment
    runs = [committed.plan(name) for name in "abc"]
    records = committed.carry_out(*runs, executor=on_ray, num_slots=3)
    outcome = committed.outcome_undisturbed(warm)
    for name in "abc":
        assert (records[name].state, records[name].attempts) == (RunState.DONE, 1)
        assert committed.outcome(name) == outcome
        folder = committed.state.run(name)
        assert folder.checkpoint.exists()
        assert folder.attempt(1).val_examples.exists()
        holder = read_holder(folder.lease)
        assert holder is not None
        assert holder.job.startswith("ray:")
        assert not folder.is_held()
    assert list((tmp_path / "far").iterdir()) == []
    assert not at_work(tmp_path)


def test_a_failing_run_keeps_its_reason_and_log(committed, on_ray) -> None:
    record = committed.carry_out(committed.plan("a", deed="blow"), executor=on_ray)["a"]
    assert record.state is RunState.FAILED
    assert record.reason.startswith("ValueError: boom (tiny.py:")
    assert "Traceback" in committed.log("a")


def test_a_run_is_cancelled_from_elsewhere_and_gone_on_with(committed, on_ray, warm) -> None:
    run, folder = committed.plan("a", deed="slow"), committed.state.run("a")
    for _ in committed.start([run], executor=on_ray):
        if committed.gate("a").exists() and folder.checkpoint.exists():
            folder.ask_to_stop()
    record = committed.records()["a"]
    assert record.state is RunState.CANCELLED
    assert record.reason.startswith("stopped at step ")
    again = committed.carry_out(run, executor=on_ray)["a"]
    assert (again.state, again.attempts) == (RunState.DONE, 2)
    assert committed.resumed_at("a")[1] > 0
    assert committed.outcome("a") == committed.outcome_undisturbed(warm)


def test_what_waits_for_room_is_cancelled_and_what_works_is_ended_at_once(
    committed, on_ray, wait_until, tmp_path: Path
) -> None:
    runs = [committed.plan(name, deed="sleep") for name in "abcde"]
    stop = StopRequest()
    waiting: list[str] = []
    for _ in committed.start(runs, stop, executor=on_ray, num_slots=5):
        begun = [run.id for run in runs if committed.gate(run.id).exists()]
        if len(begun) == 4 and not waiting:  # there are four CPUs
            (waiting,) = ([run.id for run in runs if run.id not in begun],)
            committed.state.run(waiting[0]).ask_to_stop()
        if waiting and committed.records()[waiting[0]].state is RunState.CANCELLED:
            stop.level = 2
    records = committed.records()
    assert {record.state for record in records.values()} == {RunState.CANCELLED}
    assert records[waiting[0]].reason == "cancelled before it began"
    wait_until(lambda: not at_work(tmp_path))


@pytest.fixture(params=["apart", "shared"])
def either(on_ray, committed, request) -> RayExecutor:
    """Return an executor whose nodes share nothing with this machine, or its file system."""
    if request.param == "shared":
        on_ray._options = replace(on_ray._options, shared=True)
        committed.git("checkout", "--quiet", "--", "tiny.py")
    return on_ray


def test_a_run_whose_worker_is_killed_goes_on_from_its_checkpoint(
    committed, either, warm, wait_until, tmp_path: Path
) -> None:
    run, folder = committed.plan("a", deed="slow"), committed.state.run("a")
    first: dict[int, int] = {}
    for _ in committed.start([run], executor=either):
        if not first and committed.gate("a").exists() and folder.checkpoint.exists():
            first = at_work(tmp_path)
            (worker,) = first.values()
            os.kill(worker, signal.SIGKILL)
    record = committed.records()["a"]
    assert (record.state, record.attempts) == (RunState.DONE, 2)
    assert committed.resumed_at("a")[1] > 0
    assert committed.outcome("a") == committed.outcome_undisturbed(warm)
    wait_until(lambda: not at_work(tmp_path))


DRIVER = """
import sys
from pathlib import Path
from branchlab.config import RayOptions
from branchlab.git.repository import Repository
from branchlab.run_folder import StateFolder
from branchlab.schedule.executor import Bounds
from branchlab.schedule.on_ray import RayExecutor
from branchlab.schedule.pool import Manner, Pool, Slot, StopRequest
address, tree, state, far = sys.argv[1:]
options = RayOptions(address=address, scratch=far, checkpoint_every_s=0.0)
executor = RayExecutor(Repository.find(Path(tree)), options)
state = StateFolder(Path(state))
manner = Manner(prepare=lambda _: Path(tree), bounds=Bounds(timeout_s=600, silence_s=600, checkpoint_s=0.2))
run = state.run("a").read_plan()
for _ in Pool(executor, state, [Slot(device="cpu")], manner).carry_out([run], StopRequest()):
    pass
"""


def test_after_a_kill_of_the_command_nothing_trains_on_and_the_next_one_goes_on(
    committed, on_ray, cluster, warm, wait_until, tmp_path: Path
) -> None:
    run, folder = committed.plan("a", deed="slow"), committed.state.run("a")
    far = str(tmp_path / "far")
    command = [sys.executable, "-c", DRIVER, cluster.address, committed.tree]
    with subprocess.Popen([*map(str, command), str(committed.state.path), far]) as driver:
        wait_until(lambda: committed.gate("a").exists() and folder.checkpoint.exists())
        assert committed.records()["a"].state is RunState.RUNNING
        assert at_work(tmp_path)
        driver.kill()
    with locked(folder.lease) as is_free:
        assert is_free
    assert committed.records()["a"].state is RunState.LOST
    wait_until(lambda: not at_work(tmp_path))
    record = committed.carry_out(run, executor=on_ray)["a"]
    assert (record.state, record.attempts) == (RunState.DONE, 2)
    assert committed.resumed_at("a")[1] > 0
    assert committed.outcome("a") == committed.outcome_undisturbed(warm)


CONFIG = """
[trainer]
task = "tiny:Tiny"

[run]
seeds = 2

[executor]
kind = "ray"

[executor.ray]
address = "{address}"
scratch = "{far}"
"""


def branchlab(lab, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "branchlab.cli", *arguments]
    done = subprocess.run(command, cwd=lab.tree, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_line_trains_on_ray_what_is_committed(
    committed, cluster, tmp_path: Path
) -> None:
    config = CONFIG.format(address=cluster.address, far=tmp_path / "far")
    (committed.tree / ".branchlab.toml").write_text(config)
    rc, out, err = branchlab(committed, "run", "main", "--json")
    assert rc == 0, err
    assert "uncommitted changes (tiny.py)" in err
    runs = json.loads(out)["runs"]
    assert [(run["state"], run["commit"]) for run in runs] == [("done", committed.commit)] * 2
    assert not list((committed.tree / ".branchlab" / "worktrees").glob("*"))
    rc, out, err = branchlab(committed, "run", "main", "--json")
    assert (rc, json.loads(out)["runs"]) == (0, runs)
    (committed.tree / ".branchlab.toml").write_text(config.replace(cluster.address, "127.0.0.1:1"))
    rc, out, err = branchlab(committed, "run", "main", "--force")
    assert (rc, out) == (2, "")
    assert "no Ray cluster answers at 127.0.0.1:1" in err


def test_a_cluster_that_is_too_small_or_refuses_is_said_in_one_line(
    committed, cluster, tmp_path: Path, monkeypatch
) -> None:
    with pytest.raises(ExecutorError, match=r"no node .* has room for a run \(3 CPUs"):
        make(committed, cluster, tmp_path, cpus=3).facts()
    (tmp_path / "token").write_text("not the token of this cluster")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(ExecutorError, match="refuses the token") as caught:
        make(committed, cluster, tmp_path).facts()
    assert "RAY_AUTH_TOKEN_PATH" in caught.value.hint


def test_a_node_that_is_lost_costs_no_run_and_no_bit(
    committed, on_ray, cluster, warm, wait_until, tmp_path: Path
) -> None:
    names = "abcd"
    runs = [committed.plan(name, deed="slow") for name in names]
    folders = [committed.state.run(name) for name in names]
    is_killed, again = False, set()
    for change in committed.start(runs, executor=on_ray, num_slots=4):
        again |= {run.id for run, _ in change.again}
        if not is_killed and all(folder.checkpoint.exists() for folder in folders):
            cluster.script("ray_down.sh", "w2", HOW="KILL")
            is_killed = True
    assert len(again) == 2
    outcome = committed.outcome_undisturbed(warm)
    records = committed.records()
    for name, folder in zip(names, folders, strict=True):
        states = [folder.attempt(n + 1).read_result()["state"] for n in range(folder.attempts())]
        assert states == (["lost", "done"] if name in again else ["done"])
        assert committed.outcome(name) == outcome
        assert records[name].attempts == len(states)
        if name in again:
            assert committed.resumed_at(name)[1] > 0
    wait_until(lambda: not at_work(tmp_path))

"""Runs on a simulated Slurm cluster of three nodes, by the real command line: a node is lost, jobs are preempted and cancelled."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.slurm

HERE = Path(__file__).resolve().parent
WITHIN_S = 120.0
PROGRAMS = ("sbatch", "srun", "slurmctld", "slurmd", "munged")

TASK = """
import os, time
from pathlib import Path
import torch
from torch import nn
import branchlab

class Tiny(branchlab.Task):
    recipe = branchlab.Recipe(epochs=160, batch_size=8, lr=0.02)

    def __init__(self, *, squeeze: bool = False, pace: str = ""):
        self.squeeze, self.pace = squeeze, Path(pace)

    def data(self):
        print("gpu", os.environ.get("CUDA_VISIBLE_DEVICES"))
        source = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (48, 1, 8, 8), generator=source, dtype=torch.uint8)
        targets = (inputs.float().mean((1, 2, 3)) > 127).long()
        e = branchlab.Examples
        return branchlab.Splits(train=e(inputs[:32], targets[:32]), val=e(inputs[32:], targets[32:]))

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 2, bias=not self.squeeze))

    def augment(self, batch, generator):
        if self.pace.exists():
            time.sleep(0.25)
        return batch
"""

CONFIG = """
[trainer]
task = "tiny.task:Tiny"
arguments = {{ pace = "{pace}" }}

[run]
seeds = 1
device = "cpu"

[executor]
kind = "slurm"

[executor.slurm]
memory_gib = 1
gpus = 1
"""

CONTAINER = """#!/bin/sh
# What apptainer's command line looks like, without a container.
case "$*" in *"$BREAKS"*) [ -n "$BREAKS" ] && { echo "no such image" >&2; exit 9; } ;; esac
while [ "$1" != python3 ]; do shift; done
shift
exec "$PYTHON" "$@"
"""


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait for something that must come; the bound is only there so that a failure ends."""
    end = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < end, f"it never came: {what}"
        time.sleep(0.3)


class Cluster:
    """The simulated cluster, which a test may hurt."""

    def __init__(self, sim: Path) -> None:
        self.sim = sim
        self.conf = sim / "etc" / "slurm.conf"
        self.base_port = free_ports()

    def script(self, name: str) -> str:
        environment = {**os.environ, "SIM": str(self.sim), "BASEPORT": str(self.base_port)}
        done = subprocess.run(
            [HERE / name], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def queue(self) -> dict[str, str]:
        """Return the state of every job that is not over."""
        said = self.call("squeue", "--array", "--noheader", "--format=%i %T")
        return dict(line.split() for line in said.splitlines())

    def call(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def kill_node(self, name: str) -> None:
        """End the daemon of a node and all that it had started, at once: as if its power were cut."""
        daemons = {int((self.sim / "run" / f"slurmd.{name}.pid").read_text())}
        processes = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                is_ours = environment.get("SLURM_CONF") == str(self.conf)
                if is_ours and environment.get("SLURMD_NODENAME") == name:
                    daemons |= {p.pid for p in process.parents() if p.name() == "slurmstepd"}
                    processes.add(process.pid)
        # Daemons first: they would report the end of their jobs.
        for pid in [*daemons, *(processes - daemons)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


class ClusterLab:
    """A repository whose runs go to the cluster, and the command line in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pace = root.parent / "pace"
        (root / "tiny").mkdir(parents=True)
        (root / "tiny" / "__init__.py").touch()
        (root / "tiny" / "task.py").write_text(TASK)
        (root / ".branchlab.toml").write_text(CONFIG.format(pace=self.pace))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "one")
        self.git("branch", "original")
        self.git("switch", "--quiet", "-c", "exp/se")
        (root / "experiments").mkdir()
        (root / "experiments" / "se.toml").write_text('title = "S"\nflags = { squeeze = true }\n')
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "squeeze")
        self.git("switch", "--quiet", "main")

    def git(self, *args: str) -> None:
        subprocess.run(["git", *args], cwd=self.root, check=True, capture_output=True)

    def call(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "branchlab.cli", *args]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def ask(self, *args: str, code: int = 0) -> Any:
        return json.loads(self.call(*args, "--json", code=code).stdout)

    def submit(self, *args: str) -> dict[str, str]:
        """Run; return the job of each run that was handed over."""
        return {one["run"]: one["job"] for one in self.ask("run", *args)["submitted"]}

    def runs(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in self.ask("runs")["runs"]}

    def states(self) -> set[str]:
        return {one["state"] for one in self.runs().values()}

    def results(self, run_id: str) -> list[dict[str, Any]]:
        folder = self.root / ".branchlab" / "runs" / run_id / "attempts"
        paths = [folder / str(n + 1) / "result.json" for n in range(len(list(folder.iterdir())))]
        return [json.loads(path.read_bytes()) for path in paths]

    def outcome(self, run_id: str) -> tuple[object, ...]:
        result = self.results(run_id)[-1]
        return result["state"], result["loss_digest"], result["steps"], result["metrics"]

    def resumed_at(self, run_id: str) -> int:
        """Return the step from which the latest attempt went on."""
        events = self.ask("show", run_id)["events"]
        return next(event["resumed_at_step"] for event in events if event["kind"] == "start")

    def slowly(self) -> None:
        self.pace.touch()

    def quickly(self) -> None:
        self.pace.unlink()

    def undisturbed(self, *args: str) -> ClusterLab:
        """Return a copy of this lab in which the same runs were trained on this machine, without a cluster."""
        copy = object.__new__(ClusterLab)
        copy.root, copy.pace = self.root.parent / "copy", self.pace
        shutil.copytree(self.root, copy.root, ignore=shutil.ignore_patterns(".branchlab"))
        subprocess.run(["git", "worktree", "prune"], cwd=copy.root, check=True)
        copy.call("run", *args, "--executor", "local")
        return copy


def free_ports() -> int:
    """Return the first of twenty ports that nobody listens on."""
    for base in range(17400, 19400, 100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + 20):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return base
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing and os.environ.get("BRANCHLAB_CLUSTERS") != "required":
        pytest.skip(f"{', '.join(missing)} not on PATH; apt-get install slurm-wlm munge")
    assert not missing, "slurm-wlm and munge have to be installed"
    made = Cluster(tmp_path_factory.mktemp("sim"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(made.conf))
        try:
            made.script("slurm_up.sh")
            yield made
        finally:
            made.script("slurm_down.sh")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> Iterator[ClusterLab]:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "1700000000 +0000")
    yield ClusterLab(tmp_path / "project")
    for job in cluster.queue():
        cluster.call("scancel", "--quiet", job)
    until(lambda: not cluster.queue(), "an empty queue")


def test_a_batch_outlives_a_lost_node_and_gives_the_bits_of_an_undisturbed_one(
    lab, cluster
) -> None:
    lab.slowly()
    batch = ("--all-branches", "--seeds", "2")
    given = lab.submit(*batch)
    assert {job.partition("_")[0] for job in given.values()} == {next(iter(given.values()))[:-2]}
    assert lab.states() <= {"planned", "running"}
    # What is queued is not handed in again.
    assert lab.submit(*batch) == {}

    def saved() -> list[str]:
        return [
            path.parent.parent.name
            for path in lab.root.glob(".branchlab/runs/*/checkpoints/last.pt")
        ]

    until(lambda: len(saved()) == len(given), "every run at work, and a checkpoint of it")
    nodes = {
        run_id: cluster.call("squeue", "-h", "-o", "%N", "-j", given[run_id]) for run_id in given
    }
    lost = nodes[saved()[0]].strip()
    cluster.kill_node(lost)
    hit = {run_id for run_id, node in nodes.items() if node.strip() == lost}
    # Their cluster goes on with them: they wait, and are not lost.
    until(lambda: {lab.runs()[run_id]["state"] for run_id in hit} == {"planned"}, "the loss seen")
    lab.quickly()
    until(lambda: lab.states() == {"done"}, "all done")
    assert {run_id: len(lab.results(run_id)) for run_id in given} == {
        run_id: 2 if run_id in hit else 1 for run_id in given
    }
    assert {lab.results(run_id)[0]["state"] for run_id in hit} == {"lost"}
    assert all(lab.resumed_at(run_id) > 0 for run_id in hit)
    for run_id in given:
        assert [r["state"] for r in lab.results(run_id)].count("done") == 1
    copy = lab.undisturbed(*batch)
    assert {run_id: lab.outcome(run_id) for run_id in given} == {
        run_id: copy.outcome(run_id) for run_id in given
    }
    log = lab.call("logs", next(iter(given))).stdout
    assert log.splitlines()[0] in {"gpu 0", "gpu 1"}
    assert not list(lab.root.glob(".branchlab/runs/*/job.json"))
    # What is known from the cluster is known here.
    assert lab.ask("run", *batch, "--executor", "local")["submitted"] == []
    assert {len(lab.results(run_id)) for run_id in set(given) - hit} == {1}
    cluster.script("slurm_up.sh")


def test_a_preempted_run_waits_and_goes_on_from_its_checkpoint(lab, cluster) -> None:
    lab.slowly()
    ((run_id, job),) = lab.submit("main").items()
    follower = subprocess.Popen(
        [sys.executable, "-m", "branchlab.cli", "logs", run_id, "-f"],
        cwd=lab.root, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: lab.runs()[run_id]["epoch"] >= 2, "the run at work")
    urgent = (
        "sbatch",
        "-p",
        "urgent",
        "--exclusive",
        "-N3",
        "-o",
        "/dev/null",
        "--wrap",
        "sleep 3",
    )
    cluster.call(*urgent)
    until(lambda: lab.runs()[run_id]["state"] == "planned", "the preemption")
    assert job in cluster.queue()
    (first,) = lab.results(run_id)
    assert (first["state"], first["reason"]) == ("cancelled", f"stopped at step {first['steps']}")
    lab.quickly()
    until(lambda: lab.states() == {"done"}, "the run done")
    assert len(lab.results(run_id)) == 2
    assert lab.resumed_at(run_id) == first["steps"]
    assert lab.undisturbed("main").outcome(run_id) == lab.outcome(run_id)
    out, _ = follower.communicate(timeout=WITHIN_S)
    assert out.count("gpu") == 2  # of both attempts


def test_cancel_takes_queued_and_running_runs_back_for_good(lab, cluster) -> None:
    lab.slowly()
    given = lab.submit("main", "--seeds", "2", "--jobs", "1")
    running, queued = given
    until(lambda: lab.runs()[running]["epoch"] >= 1, "the first run at work")
    assert lab.runs()[queued]["state"] == "planned"
    assert "main-s1" in lab.call("cancel", queued).stdout
    assert lab.runs()[queued]["state"] == "cancelled"
    until(lambda: given[queued] not in cluster.queue(), "the job out of the queue")
    lab.call("cancel", running)
    assert lab.runs()[running]["state"] == "cancelled"
    until(lambda: not cluster.queue(), "an empty queue")
    assert lab.states() == {"cancelled"}
    lab.quickly()
    assert set(lab.submit("main", "--seeds", "2")) == {running, queued}
    assert lab.states() <= {"planned", "running", "done"}
    until(lambda: lab.states() == {"done"}, "both done")
    copy = lab.undisturbed("main", "--seeds", "2")
    assert [lab.outcome(run_id) for run_id in given] == [copy.outcome(run_id) for run_id in given]


def test_a_job_that_is_taken_out_by_hand_is_said_and_the_run_can_be_submitted_again(
    lab, cluster
) -> None:
    lab.slowly()
    given = lab.submit("main", "--seeds", "2", "--jobs", "1")
    running, queued = given
    until(lambda: lab.runs()[running]["epoch"] >= 1, "the first run at work")
    cluster.call("scancel", *given.values())
    until(lambda: lab.states() == {"cancelled"}, "both seen")
    reason = lab.ask("show", queued)["reason"]
    assert reason == f"job {given[queued]} of slurm was cancelled before the run began"
    assert lab.ask("show", running)["reason"].startswith("stopped at step")
    lab.quickly()
    lab.submit("main", "--seeds", "2")
    lab.call("runs", "-f")
    assert lab.states() == {"done"}


def test_a_container_is_asked_for_its_versions_and_starts_every_run(
    lab, cluster, tmp_path, monkeypatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "apptainer").write_text(CONTAINER)
    (programs / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("BREAKS", "submitit")
    config = lab.root / ".branchlab.toml"
    config.write_text(config.read_text() + 'container = "lab.sif"\n')
    ((run_id, job),) = lab.submit("main").items()
    until(lambda: lab.states() == {"failed"}, "a job that cannot begin")
    reason = lab.ask("show", run_id)["reason"]
    assert f"job {job} of slurm ended (FAILED) before the run began: " in reason
    assert f"{job}_0_log.err" in reason
    assert "no such image" in Path(reason.rpartition("(")[2].rstrip(")")).read_text()
    monkeypatch.setenv("BREAKS", "")
    lab.submit("main")
    until(lambda: lab.states() == {"done"}, "the run done")


def test_a_partition_that_is_not_there_is_said_before_anything_is_recorded(lab) -> None:
    config = lab.root / ".branchlab.toml"
    config.write_text(config.read_text() + 'partition = "mian"\n')
    said = lab.call("run", "main", code=2).stderr
    assert "there is no such partition" in said
    assert "did you mean 'main'?" in said
    assert not list(lab.root.glob(".branchlab/runs/*"))
    config.write_text(config.read_text().replace("mian", "short") + "time_s = 3600\n")
    assert "the partition gives at most 1800 s" in lab.call("run", "main", code=2).stderr

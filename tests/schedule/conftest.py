"""Real runs through a real warm parent: a tiny task whose flags say at which step it misbehaves, and how."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from branchlab.domain import Run, RunRecord, Sample, Scale
from branchlab.git.repository import Repository
from branchlab.run_folder import JSON, StateFolder, read_events
from branchlab.schedule.executor import Bounds, Executor
from branchlab.schedule.local import LocalExecutor
from branchlab.schedule.pool import Change, Manner, Pool, Slot, StopRequest
from branchlab.store.index import Index

WITHIN_S = 60.0

TASK = """
import os, signal, subprocess, time
from pathlib import Path
import torch
from torch import nn
import branchlab

def host_of(shim):
    return int(Path(f"/proc/{shim}/stat").read_text().rpartition(")")[2].split()[1])

class Tiny(branchlab.Task):
    recipe = branchlab.Recipe(epochs=8, batch_size=8, lr=0.02)

    def __init__(self, *, deed: str = "", gate: str = "", at: int = 6):
        # A deed is done once: a run that goes on finds its gate open.
        self.deed = "" if gate and Path(gate).exists() else deed
        self.gate, self.at, self.step = gate, at, 0

    def data(self):
        source = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (48, 1, 8, 8), generator=source, dtype=torch.uint8)
        targets = (inputs.float().mean((1, 2, 3)) > 127).long()
        return branchlab.Splits(
            train=branchlab.Examples(inputs[:32], targets[:32]),
            val=branchlab.Examples(inputs[32:], targets[32:]),
        )

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 2))

    def augment(self, batch, generator):
        self.step += 1
        if self.deed and self.step == self.at:
            print("at the gate", flush=True)
            if self.gate:
                Path(self.gate).touch()
            getattr(self, self.deed)()
        elif self.deed == "slow" and self.step > self.at:
            time.sleep(0.2)
        return batch

    def slow(self):
        pass

    def leave(self):
        os._exit(7)

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self):
        time.sleep(600)

    def blow(self):
        raise ValueError("boom")

    def orphan(self):
        os.kill(os.getppid(), signal.SIGKILL)

    def vanish(self):
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def freeze(self):
        os.kill(os.getpid(), signal.SIGSTOP)

    def freeze_shim(self):
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(600)

    def freeze_shim_alone(self):
        os.kill(os.getppid(), signal.SIGSTOP)

    def escape(self):
        # A child of a child, forked and never another program: it has everything open that the trainer has.
        child = os.fork()
        if child == 0:
            os.setsid()
            grandchild = os.fork()
            if grandchild == 0:
                time.sleep(600)
            Path(self.gate).write_text(str(grandchild))
            os._exit(0)
        os.waitpid(child, 0)
        os.kill(host_of(os.getppid()), signal.SIGKILL)
        self.vanish()

    def abandon(self):
        self.spawn()
        self.vanish()

    def spawn(self):
        command = "sleep 600 & echo $! > " + self.gate
        subprocess.run(["sh", "-c", command], start_new_session=True)
"""


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that must come; the bound is only there so that a failure ends."""
    end = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


class Lab:
    """A state folder, a work tree with the tiny task, and pools over a warm parent."""

    checkpoint_s = 30.0

    def __init__(self, root: Path, executor: Executor) -> None:
        self.root, self.executor = root, executor
        self.state = StateFolder(root / ".branchlab")
        self.state.create()
        self.tree = root / "tree"
        self.tree.mkdir()
        (self.tree / "tiny.py").write_text(TASK)

    def plan(self, run_id: str, *, processes: int = 1, **flags: object) -> Run:
        """Record a run; its gate, a file that its deed opens, is called after it."""
        if "deed" in flags:
            flags["gate"] = str(self.gate(run_id))
        run = Run(
            id=run_id, key=f"key of {run_id}", branch="main", commit="c" * 40, tree="t" * 40,
            task="tiny:Tiny", seed=0, scale=Scale.SAMPLE, sample=Sample(fraction=1.0),
            flags=flags, processes=processes, planned_at=datetime(2026, 11, 23, tzinfo=UTC),
        )  # type: ignore[arg-type]  # fmt: skip
        self.state.run(run_id).write_plan(run)
        return run

    def gate(self, run_id: str) -> Path:
        return self.root / f"{run_id}.gate"

    def start(  # noqa: PLR0913  what a test may bound
        self,
        runs: Sequence[Run],
        stop: StopRequest | None = None,
        *,
        executor: Executor | None = None,
        num_slots: int = 2,
        timeout_s: float = 600.0,
        silence_s: float = 600.0,
        checkpoint_s: float | None = None,
        **manner: Any,
    ) -> Iterator[Change]:
        every_s = self.checkpoint_s if checkpoint_s is None else checkpoint_s
        manner = Manner(
            bounds=Bounds(timeout_s=timeout_s, silence_s=silence_s, checkpoint_s=every_s),
            **{"prepare": lambda _: self.tree, **manner},
        )
        slots = [Slot(device="cpu", number=number) for number in range(num_slots)]
        pool = Pool(executor or self.executor, self.state, slots, manner)
        return pool.carry_out(runs, stop or StopRequest())

    def carry_out(self, *runs: Run, **how: object) -> dict[str, RunRecord]:
        for _ in self.start(runs, **how):  # type: ignore[arg-type]
            pass
        return self.records()

    def records(self) -> dict[str, RunRecord]:
        index = Index(self.state)
        index.refresh()
        records = {record.run.id: record for record in index.runs()}
        index.close()
        return records

    def result(self, run_id: str) -> JSON:
        attempt = self.state.run(run_id).latest()
        assert attempt is not None
        result = attempt.read_result()
        assert result is not None
        return result

    def outcome(self, run_id: str) -> tuple[object, ...]:
        """Return what must be equal between a run that was disturbed and one that was not."""
        result = self.result(run_id)
        return result["state"], result["loss_digest"], result["steps"], result["metrics"]

    def log(self, run_id: str) -> str:
        attempt = self.state.run(run_id).latest()
        assert attempt is not None
        return attempt.log.read_text()


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """One warm parent for all tests of a module: its imports take two seconds."""
    state = StateFolder(tmp_path_factory.mktemp("warm") / ".branchlab")
    state.create()
    executor = LocalExecutor(state)
    executor.facts()
    yield executor
    executor.close()
    assert state.host_log.read_text() == ""


@pytest.fixture
def own_executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    """Return a parent that a test may kill."""
    state = StateFolder(tmp_path / "own")
    state.create()
    executor = LocalExecutor(state)
    executor.facts()
    yield executor
    executor.close()


@pytest.fixture
def lab(tmp_path: Path, warm: LocalExecutor) -> Lab:
    return Lab(tmp_path, warm)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    return until


class CommittedLab(Lab):
    """A lab whose tiny task is committed, so that it can travel; its checkpoints come often: a training of seconds writes some, too."""

    checkpoint_s = 0.2

    def __init__(self, root: Path, executor: Executor) -> None:
        super().__init__(root, executor)
        (self.tree / "tiny.py").write_text(TASK)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "tiny.py")
        self.git("commit", "--quiet", "-m", "the tiny task")
        self.commit = self.git("rev-parse", "HEAD")
        (self.tree / "tiny.py").write_text("raise SystemExit('a dirty file has travelled')")

    def git(self, *args: str) -> str:
        who = {f"GIT_{w}_{k}": "ada" for w in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")}
        env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, **who}
        done = subprocess.run(
            ["git", *args], cwd=self.tree, env=env, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    @property
    def repository(self) -> Repository:
        return Repository.find(self.tree)

    def plan(self, run_id: str, **flags: object) -> Run:
        run = replace(super().plan(run_id, **flags), commit=self.commit)
        self.state.run(run_id).write_plan(run)
        return run

    def resumed_at(self, run_id: str) -> list[int]:
        """Return the step at which each attempt of a run went on."""
        folder = self.state.run(run_id)
        return [
            event["resumed_at_step"]
            for number in range(1, folder.attempts() + 1)
            for event in read_events(folder.attempt(number).events).events
            if event["kind"] == "start"
        ]

    def outcome_undisturbed(self, warm: Executor) -> tuple[object, ...]:
        """Return the outcome of a run that this machine carries out by itself."""
        self.git("worktree", "add", "--detach", "--quiet", str(self.root / "whole"), self.commit)
        run = self.plan("whole")
        self.carry_out(run, executor=warm, prepare=lambda _: self.root / "whole")
        return self.outcome("whole")


@pytest.fixture
def committed(tmp_path: Path, warm: LocalExecutor) -> CommittedLab:
    return CommittedLab(tmp_path, warm)

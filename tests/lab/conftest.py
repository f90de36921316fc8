"""A repository with a tiny task: main, a frozen reference and experiments, real git with a fixed author and clock."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from branchlab.domain import Run, RunRecord, RunState, Sample, Scale
from branchlab.lab.progress import Progress
from branchlab.lab.project import Project, open_project
from branchlab.lab.run import Prepared, RunSession
from branchlab.lab.run_request import RunRequest
from branchlab.run_folder import StateFolder, write_examples
from branchlab.schedule.local import LocalExecutor

_START = datetime(2026, 11, 23, tzinfo=UTC)
TASK = """
import time
from pathlib import Path
import torch
from torch import nn
import branchlab

class Tiny(branchlab.Task):
    recipe = branchlab.Recipe(epochs=2, batch_size=8, lr=0.02)

    def __init__(self, *, squeeze: bool = False, pause: float = 0.0):
        self.squeeze, self.pause = squeeze, pause

    def data(self):
        source = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (48, 1, 8, 8), generator=source, dtype=torch.uint8)
        targets = (inputs.float().mean((1, 2, 3)) > 127).long()
        e = branchlab.Examples
        return branchlab.Splits(train=e(inputs[:32], targets[:32]), val=e(inputs[32:], targets[32:]))

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=not self.squeeze))

    def augment(self, batch, generator):
        time.sleep(self.pause)
        return batch
"""

CONFIG = """
[trainer]
task = "tiny.task:Tiny"

[run]
seeds = 2
device = "cpu"
jobs = 2

[sample]
fraction = 0.5
"""


class LabRepo:
    """A repository of a user, one git command at a time."""

    def __init__(self, root: Path, executor: LocalExecutor) -> None:
        self.root, self.executor = root, executor
        root.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=self.root, capture_output=True, check=False)
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout.decode()

    def commit(self, files: dict[str, str], message: str = "work") -> None:
        for path, content in files.items():
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
            self.git("add", "--", path)
        self.git("commit", "--quiet", "--allow-empty", "-m", message)

    def branch(self, name: str, files: dict[str, str], *, start: str = "main") -> None:
        """Commit files on a new branch, and stand on main again."""
        self.git("switch", "--quiet", "-c", name, start)
        self.commit(files)
        self.git("switch", "--quiet", "main")

    def fingerprint(self) -> dict[str, str]:
        """Return what must not change: refs but ours, HEAD, index, stash, every file of the work tree."""
        files = [
            path
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and not {".git", ".branchlab"} & set(path.parts)
        ]
        refs = self.git("for-each-ref").splitlines()
        return {
            "head": (self.root / ".git/HEAD").read_text(),
            "refs": "\n".join(ref for ref in refs if "refs/branchlab/" not in ref),
            "index": hashlib.sha256((self.root / ".git/index").read_bytes()).hexdigest(),
            "stash": self.git("stash", "list"),
            "status": self.git("status", "--porcelain"),
            "config": (self.root / ".git/config").read_text(),
            **{str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        }

    def open(self) -> Project:
        return open_project(self.root)

    def session(self, **request: object) -> RunSession:
        wanted = RunRequest(**request)  # type: ignore[arg-type]
        return RunSession(self.open(), wanted, executor=self.executor)

    def run(
        self,
        *,
        watch: Callable[[RunSession, Progress], None] | None = None,
        **request: object,
    ) -> tuple[Prepared, Progress]:
        """Plan and carry out runs; return the plan and how it all ended."""
        session = self.session(**request)
        try:
            prepared = session.prepare()
            last = None
            for last in session.carry_out(prepared):
                if watch is not None:
                    watch(session, last)
        finally:
            session.close()
        assert last is not None
        return prepared, last

    def records(self) -> dict[str, RunRecord]:
        index = self.open().index()
        records = {record.run.id: record for record in index.runs()}
        index.close()
        return records


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """One warm parent for all tests, of other modules too: its imports take two seconds."""
    state = StateFolder(tmp_path_factory.mktemp("warm") / ".branchlab")
    state.create()
    executor = LocalExecutor(state, linger_s=60.0)
    yield executor
    executor.close()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: LocalExecutor) -> LabRepo:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "1700000000 +0000")
    made = LabRepo(tmp_path / "project", warm)
    made.commit(
        {
            ".branchlab.toml": CONFIG,
            ".gitignore": "data\n",
            "tiny/__init__.py": "",
            "tiny/task.py": TASK,
        }
    )
    made.git("branch", "original")
    return made


class Recorder:
    """Writes what runs of a branch's tip left behind."""

    def __init__(self, repo) -> None:
        self.repo = repo
        self.state = repo.open().state
        self.state.create()

    def __call__(  # noqa: PLR0913  what a run may leave behind
        self,
        branch: str,
        values: tuple[float, ...],
        *,
        first: int = 0,
        batch: str = "a",
        scale: Scale = Scale.SAMPLE,
        slices: dict[str, float] | None = None,
        is_right: tuple[np.ndarray, ...] = (),
        content: str = "",
        **states: RunState,
    ) -> None:
        """Record one run a value; ``s2=RunState.FAILED`` says how seed 2 ended."""
        commit = self.repo.git("rev-parse", branch).strip()
        tree = self.repo.git("rev-parse", f"{branch}^{{tree}}").strip()
        for number, value in enumerate(values):
            seed = first + number
            state = states.get(f"s{seed}", RunState.DONE)
            run_id = f"{branch.replace('/', '-')}-{scale}-s{seed}"
            run = Run(
                id=run_id, key=f"key of {run_id}", branch=branch, commit=commit, tree=tree, seed=seed,
                task="tiny.task:Tiny", scale=scale, sample=Sample(fraction=0.5), batch=batch, content=content,
                planned_at=_START + timedelta(minutes=seed),
            )  # fmt: skip
            folder = self.state.run(run_id)
            folder.write_plan(run)
            if state is RunState.PLANNED:
                continue
            attempt = folder.attempt(1)
            attempt.path.mkdir(parents=True)
            parts = {name: value + more for name, more in (slices or {}).items()}
            whole = {name: one for name, one in parts.items() if "[" not in name}
            metrics = {"train/loss": value, "val/accuracy": value, **whole}
            more = {"metrics": metrics, "slices": parts} if state is RunState.DONE else {}
            attempt.write_result(state, reason="", **more)
            if is_right:
                arrays = {"ids": np.arange(len(is_right[number])), "accuracy": is_right[number]}
                write_examples(attempt.val_examples, arrays)


@pytest.fixture
def record(repo) -> Recorder:
    repo.branch("exp/a", {"a.py": "A = 1\n"})
    repo.branch("exp/b", {"b.py": "B = 1\n"})
    return Recorder(repo)

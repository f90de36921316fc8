"""A small lab with real branches, run folders written by hand, and text of people who mean no good."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.lab.project import Project, open_project
from branchlab.lab.report import Report, report
from branchlab.run_folder import EventWriter, RunFolder
from tests import warm_command

START = datetime(2026, 1, 2, 3, tzinfo=UTC)
EVIL = 'exp/"><script>alert(1)</script>'
WRITTEN = "</style><script>alert(2)</script> & 'quoted' \"twice\" \u202eback | `code` @everyone #1 [a](http://x.example)"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}
VALUES = {
    "main": (0.80, 0.81, 0.79),
    "exp/a": (0.90, 0.911, 0.889),
    EVIL: (0.70, 0.712, 0.688),
}


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "BRANCHLAB_"))}
    return kept | IDENTITY


class Lab:
    """A user's repository with runs that never took place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=environment(), check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, branch: str, files: dict[str, str], subject: str = "work") -> None:
        if branch != "main":
            self.git("switch", "-q", "-c", branch, "main")
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)
        self.git("switch", "-q", "main")

    def plan(self, branch: str, seed: int) -> RunFolder:
        commit = self.git("rev-parse", branch)
        run_id = f"{'evil' if branch == EVIL else branch.replace('/', '-')}-s{seed}"
        run = Run(
            id=run_id, key=f"key of {run_id}", branch=branch, commit=commit,
            tree=self.git("rev-parse", f"{branch}^{{tree}}"), seed=seed, task="tiny.task:Tiny",
            scale=Scale.SAMPLE, sample=Sample(fraction=0.5), batch="a",
            planned_at=START + timedelta(minutes=seed),
        )  # fmt: skip
        folder = self.open().state.run(run_id)
        folder.write_plan(run)
        folder.attempt(1).path.mkdir(parents=True)
        return folder

    def record(self, branch: str, seed: int, value: float) -> None:
        folder = self.plan(branch, seed)
        metrics: dict[str, float] = {}
        events = EventWriter(folder.attempt(1).events)
        events.write("start", epochs=3, steps=30, device="cpu")
        for epoch in (1, 2, 3):
            metrics = {"train/loss": 1 - value, "val/accuracy": value - 0.1 * (3 - epoch)}
            events.write("epoch", epoch=epoch, step=10 * epoch, values=metrics, images_per_s=9.0)
        slices = {f"val/accuracy[{name}]": value + more for name, more in PARTS.items()}
        folder.attempt(1).write_result(RunState.DONE, reason="", metrics=metrics, slices=slices)

    def open(self) -> Project:
        return open_project(self.root)

    def branchlab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return warm_command.call(arguments, cwd=self.root, env=environment())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "branchlab.cli", *arguments], cwd=self.root, env=environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


PARTS = {"shirt": 0.01, "<b>bag</b>": -0.01}


def make_lab(root: Path) -> Lab:
    lab = Lab(root)
    lab.commit("main", {"a.py": "A = 1\n"}, "first")
    lab.git("branch", "original")
    first = lab.git("rev-parse", "HEAD")
    lab.commit(
        "main",
        {
            ".branchlab.toml": f'[branches]\nreference_commit = "{first}"\n\n[trainer]\ntask = "tiny.task:Tiny"\n',
            ".gitignore": ".branchlab/\n",
        },
    )
    quoted = WRITTEN.replace("\\", "\\\\").replace('"', '\\"')
    claims = '[[hypothesis]]\nid = "H1"\nclaim = "It is <b>bold</b>."\n[hypothesis.expect]\na = "val/accuracy > main + 1pt"\n'
    note = f'[[notes]]\nat = 2026-01-01T10:00:00Z\ntext = "{quoted}"\nrelates = ["b"]\n'
    described = f'title = "{quoted}"\nbase = "main"\nidea = "{quoted}"\n{claims}{note}'
    lab.commit("exp/a", {"experiments/a.toml": described, "a.py": "A = 2\n"}, WRITTEN)
    lab.commit(EVIL, {"b.py": "B = 1\n"}, WRITTEN)
    of_b = 'title = "B"\nbase = "main"\nidea = "b"\n'
    lab.commit("exp/b", {"experiments/b.toml": of_b, "c.py": "C = 1\n"})
    lab.open().state.create()
    for branch, values in VALUES.items():
        for seed, value in enumerate(values):
            lab.record(branch, seed, value)
    failed = lab.plan("exp/b", 0)
    failed.attempt(1).write_result(RunState.FAILED, reason=f"ValueError: {WRITTEN}")
    pictures = lab.open().state.run("exp-a-s0").pictures
    pictures.mkdir()
    for epoch, shade in ((1, 10), (3, 200)):
        Image.new("L", (8, 6), shade).save(pictures / f"inputs-epoch{epoch:04d}.png")
    return lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab that tests only read."""
    return make_lab(tmp_path_factory.mktemp("report") / "lab")


@pytest.fixture
def own_lab(tmp_path: Path) -> Lab:
    """A lab that a test may change."""
    return make_lab(tmp_path / "lab")


@pytest.fixture(scope="session")
def found(lab: Lab) -> Report:
    return report(lab.open())

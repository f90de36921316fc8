from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import warm_command

TASK = """
import torch
from torch import nn
import branchlab


class Tiny(branchlab.Task):
    recipe = branchlab.Recipe(epochs=2, batch_size=8, lr=0.05)

    def __init__(self, *, hidden: int = 4, bias: bool = False):
        self.hidden, self.bias = hidden, bias

    def data(self):
        g = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (64, 1, 4, 4), generator=g, dtype=torch.uint8)
        y = (x.float().mean((1, 2, 3)) > 127).long()
        e = branchlab.Examples
        return branchlab.Splits(train=e(x[:40], y[:40]), val=e(x[40:], y[40:]), test=e(x[40:], y[40:]))

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(16, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 2, self.bias))
"""

CONFIG = """
[branches]
reference_commit = "{reference}"

[trainer]
task = "tiny.task:Tiny"

[run]
seeds = 2

[sample]
fraction = 0.5
"""

HYPOTHESIS = """
[[hypothesis]]
id = "H1"
claim = "The net is too narrow."
min_seeds = 2
[hypothesis.expect]
a = "val/loss < main + 100"
b = "train/loss > 1000"
[hypothesis.guard]
c = "val/flicker < 1"
"""

_OF_TERMINALS = {
    *(
        "COLUMNS",
        "LINES",
        "NO_COLOR",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "PYTHONIOENCODING",
        "PYTHONUTF8",
    ),
}

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


@dataclass
class UserRepository:
    """A user's repository, used as a user does: through git and the command line."""

    root: Path

    def git(self, *arguments: str) -> str:
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | IDENTITY
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, files: dict[str, str], message: str = "change") -> str:
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, files: dict[str, str], *, start: str = "main") -> None:
        self.git("switch", "-q", "-c", name, start)
        self.commit(files, f"work on {name}")
        self.git("switch", "-q", "main")

    def branchlab(
        self, *arguments: str, cwd: Path | None = None, is_cold: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return warm_command.call(
            arguments, cwd=cwd or self.root, env=_environment(), is_cold=is_cold
        )

    def on_a_terminal(self, columns: int, *arguments: str, **environment: str) -> str:
        """Return what a command writes to a terminal of so many columns, escape sequences and all."""
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        kept = {k: v for k, v in _environment().items() if k not in _OF_TERMINALS}
        process = subprocess.Popen(
            [sys.executable, "-m", "branchlab.cli", *arguments],
            cwd=self.root,
            env={**kept, "TERM": "xterm-256color", **environment},
            stdin=subprocess.DEVNULL,
            stdout=child,
            stderr=subprocess.DEVNULL,
        )
        os.close(child)
        said = b""
        # Linux says that nobody writes any more with an error.
        with contextlib.suppress(OSError):
            while read := os.read(parent, 65536):
                said += read
        process.wait()
        os.close(parent)
        return said.decode().replace("\r\n", "\n")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command whose answer nobody reads."""
        return subprocess.Popen(
            [sys.executable, "-m", "branchlab.cli", *arguments],
            cwd=self.root,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _environment() -> dict[str, str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "BRANCHLAB_"))}
    return known | IDENTITY


@pytest.fixture
def empty_repository(tmp_path: Path) -> UserRepository:
    root = tmp_path / "project"
    root.mkdir()
    repository = UserRepository(root)
    repository.git("init", "-q", "-b", "main")
    return repository


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository that is set up, with an experiment ahead, one behind, a conflict and a squash merge."""
    root = tmp_path_factory.mktemp("made") / "project"
    root.mkdir()
    project = UserRepository(root)
    project.git("init", "-q", "-b", "main")
    first = project.commit(
        {"tiny/task.py": TASK, ".gitignore": ".branchlab/\n", "notes.txt": "one\n"}, "first"
    )
    project.git("branch", "original")
    project.commit({".branchlab.toml": CONFIG.format(reference=first)}, "config")
    project.branch(
        "exp/wide",
        {"experiments/wide.toml": f'title = "Wide"\nflags = {{ hidden = 32 }}\n{HYPOTHESIS}'},
    )
    project.branch("exp/broken", {"tiny/task.py": "import no_such_module\n"})
    project.branch("exp/clash", {"notes.txt": "theirs\n"})
    project.branch("exp/squashed", {"tiny/extra.py": "EXTRA = 1\n"})
    project.git("merge", "-q", "--squash", "exp/squashed")
    project.commit({"notes.txt": "ours\n"}, "bring the extra in")
    return root


@pytest.fixture(scope="session")
def make_project(
    made_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], UserRepository]:
    """Return a maker of copies of that repository: git takes ten times as long."""

    def make() -> UserRepository:
        root = tmp_path_factory.mktemp("user") / "project"
        shutil.copytree(made_once, root, symlinks=True)
        project = UserRepository(root)
        project.git("update-index", "-q", "--refresh")
        return project

    return make


@pytest.fixture
def project(make_project: Callable[[], UserRepository]) -> UserRepository:
    return make_project()


@pytest.fixture(scope="module")
def untouched(make_project: Callable[[], UserRepository]) -> UserRepository:
    """A project that is set up, for all tests of a module."""
    return make_project()


@pytest.fixture(scope="session")
def trained(make_project: Callable[[], UserRepository]) -> UserRepository:
    """A project whose branches have all been run once; tests share it and only read."""
    project = make_project()
    done = project.branchlab("run", "--all-branches", "--json")
    assert done.returncode == 1, done.stderr  # exp/broken fails
    project.first_run = done  # type: ignore[attr-defined]
    return project

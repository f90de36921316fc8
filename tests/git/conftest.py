"""Real git in a temporary folder: fixed author, a clock that steps by one minute, nothing from the developer's config."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from branchlab.git.repository import Repository

_START = 1_700_000_000


class GitLab:
    """A repository being built, one git command at a time."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self._home = home
        self._ticks = 0
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *args: str, cwd: Path | None = None, stdin: bytes | None = None) -> str:
        self._ticks += 60
        when = f"{_START + self._ticks} +0000"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_DATE": when,
        }
        done = subprocess.run(
            ["git", *args],
            cwd=cwd or self.root,
            env=env,
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def commit(self, files: dict[str, str | None] | None = None, message: str = "work") -> str:
        """Commit files on the current branch; a text of None deletes."""
        for path, content in (files or {}).items():
            if content is None:
                self.git("rm", "--quiet", "--", path)
                continue
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
            self.git("add", "--force", "--", path)
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, files: dict[str, str | None], *, start: str = "main") -> str:
        """Make a branch with one commit, and go back to main."""
        self.git("checkout", "--quiet", "-b", name, start)
        tip = self.commit(files, f"on {name}")
        self.git("checkout", "--quiet", "main")
        return tip

    @property
    def repository(self) -> Repository:
        return Repository.find(self.root)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.delenv("EMAIL", raising=False)


@pytest.fixture
def empty_lab(tmp_path: Path) -> GitLab:
    home = tmp_path / "home"
    home.mkdir()
    return GitLab(tmp_path / "project", home)


@pytest.fixture
def lab(empty_lab: GitLab) -> GitLab:
    """A repository with one commit on main: model.py, train.py and data/README."""
    lines = "".join(f"line {n}\n" for n in range(20))
    empty_lab.commit({"model.py": lines, "train.py": lines, "docs/README": "docs\n"}, "first")
    return empty_lab


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> GitLab:
    """One repository for all examples of a property test; each writes refs of its own."""
    folder = tmp_path_factory.mktemp("shared")
    return GitLab(folder / "project", folder)

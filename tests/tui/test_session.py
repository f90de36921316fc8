"""A whole experiment in a real terminal, by keys alone: new-exp, edit, run, compare, parity, merge back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

_TASK = """\
import torch
from torch import nn
import branchlab

class Tiny(branchlab.Task):
    recipe = branchlab.Recipe(epochs=2, batch_size=8, lr=0.02)

    def __init__(self, *, pause: float = 0.0):
        self.pause = pause

    def data(self):
        source = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (48, 1, 8, 8), generator=source, dtype=torch.uint8)
        targets = (inputs.float().mean((1, 2, 3)) > 127).long()
        e = branchlab.Examples
        return branchlab.Splits(train=e(inputs[:32], targets[:32]), val=e(inputs[32:], targets[32:]))

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
"""
_EDITED = (
    _TASK.replace("pause: float = 0.0)", "pause: float = 0.0, squeeze: bool = False)")
    .replace("self.pause = pause", "self.pause, self.squeeze = pause, squeeze")
    .replace(
        "return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))",
        "return nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=not self.squeeze))",
    )
)
_CONFIG = """
[trainer]
task = "tiny.task:Tiny"

[run]
seeds = 2
device = "cpu"
jobs = 1

[sample]
fraction = 0.5
"""
_EDITOR = """\
#!/bin/sh
# An editor that knows what to write: it is given the folder that the branch is checked out in.
cp "$EDITED" "$1/tiny/task.py" && git -C "$1" commit --quiet -am "Squeeze the last layer"
"""
# Where it cannot be had the test fails and says so.
_IS_REQUIRED = os.environ.get("BRANCHLAB_TERMINAL") == "required"


class Tmux:
    """A terminal of 80x24 in tmux, with a server of its own."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ("tmux", "-u", "-S", str(socket), "-f", "/dev/null")

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, check=False)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.decode()

    def screen(self) -> str:
        return self("capture-pane", "-p")

    def keys(self, *keys: str) -> None:
        self("send-keys", *keys)

    def type(self, text: str) -> None:
        self("send-keys", "-l", "--", text)

    def see(self, wanted: str, *, within_s: float = 120.0) -> None:
        until = time.monotonic() + within_s
        while wanted not in (shown := self.screen()):
            assert time.monotonic() < until, f"{wanted!r} is not in\n{shown}"
            time.sleep(0.1)

    def wait_for(self, wanted: str, what: str) -> None:
        until = time.monotonic() + 60
        while (found := self("display-message", "-p", what).strip()) != wanted:
            assert time.monotonic() < until, f"{found!r} is not {wanted!r}"
            time.sleep(0.1)

    def do(self, key: str, command: str) -> None:
        """Press a capital, see the exact command that it stands for, and confirm it."""
        self.keys(key)
        self.see(command)
        self.keys("y")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("GIT_", "TMUX"))]:
        monkeypatch.delenv(name)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    root = tmp_path / "project"
    (root / "tiny").mkdir(parents=True)
    for path, text in {
        ".branchlab.toml": _CONFIG,
        "tiny/__init__.py": "",
        "tiny/task.py": _TASK,
    }.items():
        (root / path).write_text(text)
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        ("commit", "--quiet", "-m", "A tiny task"),
        ("branch", "original"),
    ):
        git(root, *command)
    edited, editor = tmp_path / "edited.py", tmp_path / "editor"
    edited.write_text(_EDITED)
    editor.write_text(_EDITOR)
    editor.chmod(0o755)
    monkeypatch.setenv("EDITED", str(edited))
    monkeypatch.setenv("VISUAL", str(editor))
    return root


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout.decode().strip()


@pytest.mark.slow
@pytest.mark.skipif(
    not _IS_REQUIRED and shutil.which("tmux") is None, reason="tmux is not installed"
)
def test_a_whole_experiment_is_done_by_keys_alone(project: Path, tmp_path: Path):  # noqa: PLR0915  one story
    tmux = Tmux(tmp_path / "socket")
    branchlab = f"{sys.executable} -P -m branchlab.cli"
    tmux("new-session", "-d", "-x", "80", "-y", "24", "-c", str(project), "sh")
    try:
        tmux.type(f"PS1='{'$'}> '; {branchlab} tui\n")
        tmux.see("no experiment branch yet")
        # New experiment: typed as fast as a terminal can.
        tmux.keys("N")
        tmux.see("name *")
        tmux.type("squeeze")
        tmux.keys("Enter")
        tmux.type("No bias")
        tmux.keys("Enter", "Enter")
        tmux.type("squeeze=true")
        tmux.keys("Enter", "Enter", "Enter")
        tmux.type("--no-hypothesis")
        tmux.keys("Enter")
        tmux.see("$ branchlab new-exp squeeze --title 'No bias' --flag squeeze=true")
        tmux.keys("y")
        tmux.see("exp/squeeze ↑1")
        # Edit, in the work tree that it got.
        tmux.keys("g", "j", "j", "e")
        tmux.see("↑2")
        assert "squeeze" in git(project, "show", "exp/squeeze:tiny/task.py")
        # Run: main beside it.
        tmux.do("R", "branchlab run exp/squeeze --detach")
        tmux.see("✓2")
        # Compare.
        tmux.keys("3")
        tmux.see("[3 Compare]")
        tmux.see("exp/squeeze")
        tmux.see("undecided")
        tmux.keys("1")
        tmux.see("[1 Branches]")
        # Parity.
        tmux.keys("V")
        tmux.see("steps")
        tmux.type("4")
        tmux.keys("Enter", "Enter")
        tmux.see("branchlab parity exp/squeeze --steps 4")
        tmux.keys("y")
        tmux.keys("@")
        tmux.see("✓ done")
        tmux.see("neutral")
        tmux.keys("Escape")  # alone: with a key right behind it, it would be Alt
        tmux.see("Δ MAIN")
        # Merge back.
        tmux.keys("B")
        tmux.see("move main, too")
        tmux.type("yes")
        tmux.keys("Enter")
        tmux.type("4")
        tmux.keys("Enter", "Enter")
        tmux.see("branchlab merge-back exp/squeeze --to-main --steps 4")
        tmux.keys("y")
        tmux.see("◆ ")
        assert "squeeze: bool = False" in git(project, "show", "main:tiny/task.py")
        # All that was done is there with what it printed; leaving gives the terminal back.
        tmux.keys("@")
        tmux.see("branchlab merge-back exp/squeeze")
        tmux.keys("q")
        tmux.wait_for("sh", "#{pane_current_command}")
        tmux.type("stty -a | grep -ow echo && echo a''live\n")
        tmux.see("alive")
    finally:
        tmux("kill-server")

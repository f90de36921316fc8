"""Programs of others that are run to their end: a project's own check, whose exit code is its verdict, and whoever takes a text."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TAIL_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How a check ended; ``said`` is the end of what it printed."""

    is_passed: bool
    said: str


def run_check(command: Sequence[str], folder: Path, *, timeout_s: float) -> Checked:
    """Run a command in a folder; programs beside this Python come first.

    Its code is imported before any that is installed: a project installed in place would otherwise test the user's own work
    tree. It gets a session of its own, and whatever it started ends with it.
    """
    sources = [str(place) for place in (folder, folder / "src") if place.is_dir()]
    known = os.environ.get("PYTHONPATH")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={
                **kept,
                "PATH": path,
                "PYTHONPATH": os.pathsep.join([*sources, *([known] if known else [])]),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Checked(is_passed=False, said=f"{command[0]}: {error.strerror}")
    try:
        out, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        process.communicate()
        return Checked(is_passed=False, said=f"it took longer than {timeout_s:g} s")
    finally:
        _end(process)
    lines = out.decode(errors="replace").strip().splitlines()
    return Checked(is_passed=process.returncode == 0, said="\n".join(lines[-_TAIL_LINES:]))


def feed(command: Sequence[str], content: str, folder: Path) -> int | None:
    """Give a text to a program that may talk to the user, and return its exit code; None where there is no such program."""
    try:
        return subprocess.run(
            list(command), input=content, text=True, check=False, cwd=folder
        ).returncode
    except FileNotFoundError:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a check and whatever it started and left in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

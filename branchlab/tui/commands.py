"""What the screens start: commands of branchlab itself, in a session of their own, so that they outlive the screen."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to be shown, confirmed and started.

    Attributes:
        effect: What it does, in one sentence.
    """

    title: str
    arguments: tuple[str, ...]
    effect: str

    @property
    def text(self) -> str:
        """As one would type it."""
        return shlex.join(["branchlab", *self.arguments])


def run_command(branch: str) -> Command:
    """Return the command that trains a branch."""
    return Command(
        title=f"Run {branch}",
        arguments=_with_names(("run",), (branch,), ("--detach",)),
        effect="Trains it and main beside it in the background; results that are known are reused.",
    )


def stop_command(title: str, run_ids: Sequence[str]) -> Command:
    """Return the command that stops runs."""
    return Command(
        title=title,
        arguments=_with_names(("cancel",), tuple(run_ids), ()),
        effect="They write a checkpoint and end; the same run command goes on from there.",
    )


def _with_names(
    verb: tuple[str, ...], names: tuple[str, ...], options: tuple[str, ...]
) -> tuple[str, ...]:
    if any(name.startswith("-") for name in names):
        return (*verb, *options, "--", *names)
    return (*verb, *names, *options)


def carry_out(command: Command, *, root: Path) -> tuple[bool, str]:
    """Run a command to its end; return whether it did well, and the line of its answer that says most."""
    # Files, not pipes: what the command leaves running in the background may hold a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # -P: a folder of the project called like one of our modules must not be imported in its place.
        done = subprocess.run(
            [sys.executable, "-P", "-m", "branchlab.cli", *command.arguments],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        said, complained = (_lines(file) for file in (out, err))
    if done.returncode == 0:
        return True, said[0] if said else "done"
    start = next((i for i, line in enumerate(complained) if line.startswith("error:")), 0)
    told = complained[start : start + 2] or said[:1] or [f"it ended with {done.returncode}"]
    return False, "  ".join(told)


def _lines(file: object) -> list[str]:
    file.seek(0)  # type: ignore[attr-defined]
    content: bytes = file.read(1 << 16)  # type: ignore[attr-defined]
    return [line for line in content.decode(errors="replace").splitlines() if line.strip()]

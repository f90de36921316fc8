"""What the screens start: commands of branchlab itself, in a session of their own, so that they outlive the screen.

Each is kept with what it printed, so that one sees afterwards what was done and how it ended.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO

_SHOWN_BYTES_MAX = 1 << 20


class Manner(StrEnum):
    """How a command is carried out: at once, after ``y``, or with the terminal to itself."""

    READS = "reads"
    CHANGES = "changes"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to be shown, confirmed and started.

    Attributes:
        arguments: Of ``branchlab``; the whole command line where ``is_other``.
        effect: What it does, in one sentence.
    """

    title: str
    arguments: tuple[str, ...]
    effect: str
    manner: Manner = Manner.CHANGES
    is_other: bool = False

    @property
    def text(self) -> str:
        """As one would type it."""
        return shlex.join(self.arguments if self.is_other else ["branchlab", *self.arguments])

    @property
    def process_arguments(self) -> Sequence[str]:
        """What is started."""
        if self.is_other:
            return self.arguments
        # -P: a folder of the project called like one of our modules must not be imported in its place.
        return [sys.executable, "-P", "-m", "branchlab.cli", *self.arguments]


@dataclass(slots=True, kw_only=True)
class Job:
    """A command that was started, with what it prints.

    Attributes:
        code: Its exit status; None while it goes on.
    """

    number: int
    command: Command
    started_at: datetime
    out: IO[bytes]
    err: IO[bytes]
    process: subprocess.Popen[bytes] | None = None
    code: int | None = None
    ended_at: datetime | None = None
    said: str = field(default="")

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    def wait(self) -> bool:
        """Wait for its end; return whether it did well, and keep the line of its answer that says most."""
        assert self.process is not None
        self.code = self.process.wait()
        printed, complained = _lines(self.out), _lines(self.err)
        self.said = said_of(self.code, printed, complained)
        self.ended_at = datetime.now(UTC)
        return self.code == 0

    def lines(self) -> list[str]:
        """Return what it has printed so far; its complaints last."""
        return [*_lines(self.out), *_lines(self.err)]

    def close(self) -> None:
        """Let go of what it has printed; of one that goes on it is still read."""
        if self.is_over:
            self.out.close()
            self.err.close()

    def interrupt(self) -> None:
        """Ask it to end as Ctrl-C would."""
        if self.process is not None and not self.is_over:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)


def start(command: Command, number: int, *, root: Path, width: int = 120) -> Job:
    """Start a command that reads nothing from the terminal.

    Raises:
        OSError: It could not be started.
    """
    # Files, not pipes: what the command leaves running in the background may hold a pipe open.
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  read until the app ends
    job = Job(number=number, command=command, started_at=datetime.now(UTC), out=out, err=err)
    job.process = subprocess.Popen(
        command.process_arguments,
        cwd=root,
        env={**os.environ, "COLUMNS": str(width)},
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )
    return job


def said_of(code: int, printed: Sequence[str], complained: Sequence[str]) -> str:
    """Return the line of an answer that says most."""
    if code == 0:
        return printed[0].strip() if printed else "done"
    first = next((i for i, line in enumerate(complained) if line.startswith("error:")), 0)
    told = [*complained[first : first + 2]] or [*printed[:1]] or [f"it ended with {code}"]
    return "  ".join(line.strip() for line in told)


def _lines(file: IO[bytes]) -> list[str]:
    """Return a file's lines without moving the place at which the process writes."""
    size = os.fstat(file.fileno()).st_size
    content = os.pread(file.fileno(), _SHOWN_BYTES_MAX, max(0, size - _SHOWN_BYTES_MAX))
    return [line for line in content.decode(errors="replace").splitlines() if line.strip()]

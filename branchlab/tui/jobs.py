"""Commands that were started from the screens, each with what it prints, while it goes on and afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from branchlab.tui.commands import Command

_SHOWN_BYTES_MAX = 1 << 20
_JOBS_MAX = 100


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
        """Forget what it prints; it goes on all the same."""
        self.out.close()
        self.err.close()

    def interrupt(self) -> None:
        """Ask it to end as Ctrl-C would."""
        if self.process is not None and not self.is_over:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)


class Jobs:
    """The latest commands, oldest first. ``ended`` is called by the thread that waited for one."""

    def __init__(self, ended: Callable[[Job, Exception | None], object]) -> None:
        self._ended = ended
        self._jobs: list[Job] = []

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def __reversed__(self) -> Iterator[Job]:
        return reversed(self._jobs)

    def start(self, command: Command, root: Path, *, width: int) -> None:
        """Start a command that reads nothing from the terminal.

        Raises:
            OSError: It could not be started.
        """
        number = self._jobs[-1].number + 1 if self._jobs else 1
        # Files, not pipes: what the command leaves running in the background may hold a pipe open.
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  read until the app ends
        job = Job(number=number, command=command, started_at=datetime.now(UTC), out=out, err=err)
        try:
            job.process = subprocess.Popen(
                command.process_arguments,
                cwd=root,
                env={**os.environ, "COLUMNS": str(width)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError:
            job.close()
            raise
        for forgotten in self._jobs[: -_JOBS_MAX + 1]:
            forgotten.close()
        self._jobs = [*self._jobs[-_JOBS_MAX + 1 :], job]
        # A daemon, not a worker of Textual's: leaving waits for workers, and a command may go on for hours.
        threading.Thread(target=self._wait_for, args=(job,), daemon=True, name="job").start()

    def close(self) -> None:
        """Forget what they print; they go on all the same."""
        for job in self._jobs:
            job.close()

    def _wait_for(self, job: Job) -> None:
        failed = None
        try:
            job.wait()
        except Exception as error:  # noqa: BLE001  the door of a worker: recorded whole, and shown
            failed = error
        self._ended(job, failed)


def run_in_terminal(command: Command, folder: Path) -> int:
    """Run a command in the terminal that this process has given away; return its exit status."""
    print(f"$ {command.text}", flush=True)  # noqa: T201  into the terminal that was given away
    with _deaf_to_ctrl_c():
        try:
            code = subprocess.run(command.process_arguments, cwd=folder, check=False).returncode
        except OSError as error:
            print(f"{command.text}: {error.strerror}")  # noqa: T201
            code = error.errno or 1
    if code:
        with contextlib.suppress(EOFError, KeyboardInterrupt):
            input(f"it ended with {code}; Enter returns ")
    return code


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Leave Ctrl-C to a child in the same terminal; ignored, it would be ignored there as well."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def said_of(code: int, printed: Sequence[str], complained: Sequence[str]) -> str:
    """Return the line of an answer that says most."""
    if code == 0:
        return printed[0].strip() if printed else "done"
    first = next((i for i, line in enumerate(complained) if line.startswith("error:")), 0)
    told = [*complained[first : first + 2]] or [*printed[:1]] or [f"it ended with {code}"]
    return "  ".join(line.strip() for line in told)


def _lines(file: IO[bytes]) -> list[str]:
    """Return a file's lines without moving the place at which the process writes."""
    try:
        size = os.fstat(file.fileno()).st_size
        content = os.pread(file.fileno(), _SHOWN_BYTES_MAX, max(0, size - _SHOWN_BYTES_MAX))
    except ValueError:  # closed: one has left meanwhile
        return []
    return [line for line in content.decode(errors="replace").splitlines() if line.strip()]

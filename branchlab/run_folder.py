"""Names and formats inside a run folder: the contract between the process that trains and everything that watches.

    runs/<run-id>/run.json                     what was planned, written before any process starts
    runs/<run-id>/lease                        locked (flock) while processes work on the run
    runs/<run-id>/attempts/<n>/events.jsonl    one line an event, appended with one write
    runs/<run-id>/attempts/<n>/log.txt         stdout and stderr
    runs/<run-id>/attempts/<n>/result.json     how the attempt ended; beside + fsync + rename, written once
    runs/<run-id>/attempts/<n>/val_examples.pt per-example validation results
    runs/<run-id>/attempts/<n>/recording.json.gz   of a run that was asked to record itself
    runs/<run-id>/record.json                  which steps it shall record, and how closely
    runs/<run-id>/checkpoints/last.pt
    runs/<run-id>/pictures/

The folder is the truth; the index is derived from it. Who holds the lease owns the run: an attempt without a result
under a free lease is dead, and the next owner says so before it starts another. An event line ends in the CRC-32 of what stands before, because a
full disk writes short (measured: 76 of 118 bytes) and the next line would be glued on.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import os
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from branchlab.domain import Note, Noted, Recording, Run, RunState, Sample, Scale
from branchlab.errors import StoreError

STATE_FOLDER = ".branchlab"
_ASKED = "record.json"
_CRC_TAIL = len(',"crc32":"00000000"}')
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StateFolder:
    """``.branchlab/`` of a repository: where runs, work trees and the index live."""

    path: Path

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def worktrees(self) -> Path:
        return self.path / "worktrees"

    @property
    def index(self) -> Path:
        return self.path / "index.sqlite"

    @property
    def host_log(self) -> Path:
        """What the warm parent process printed; empty unless something is wrong with it."""
        return self.path / "host.log"

    def create(self) -> None:
        """Make the folder, and make it ignore itself in git."""
        self.runs.mkdir(parents=True, exist_ok=True)
        ignore = self.path / ".gitignore"
        if not ignore.exists():
            write_atomically(ignore, b"*\n")

    def run(self, run_id: str) -> RunFolder:
        """Return the folder of a run; it need not exist."""
        return RunFolder(self.runs / run_id)

    def all_runs(self) -> list[RunFolder]:
        """Return every folder that holds a plan, by name."""
        if not self.runs.is_dir():
            return []
        return [
            RunFolder(Path(e.path)) for e in sorted(os.scandir(self.runs), key=lambda e: e.name)
        ]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder; its attempts are counted from 1."""

    path: Path

    @property
    def plan(self) -> Path:
        return self.path / "run.json"

    @property
    def lease(self) -> Path:
        return self.path / "lease"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.pt"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    def attempt(self, number: int) -> Attempt:
        """Return the folder of one attempt; it need not exist."""
        return Attempt(self.path / "attempts" / str(number))

    def attempts(self) -> int:
        """Return the number of the latest attempt, 0 before the first."""
        try:
            names = [entry.name for entry in os.scandir(self.path / "attempts")]
        except OSError:
            return 0
        return max((int(name) for name in names if name.isdecimal()), default=0)

    def latest(self) -> Attempt | None:
        """Return the latest attempt, or None before the first."""
        number = self.attempts()
        return self.attempt(number) if number else None

    def write_plan(self, run: Run) -> None:
        """Record what is planned, so that it is known before any process exists."""
        self.path.mkdir(parents=True, exist_ok=True)
        document = {**asdict(run), "planned_at": to_text(run.planned_at)}
        write_atomically(self.plan, json.dumps(document, indent=1).encode())

    def read_plan(self) -> Run:
        """Return what was planned.

        Raises:
            StoreError: The file is missing or damaged.
        """
        try:
            document = json.loads(self.plan.read_bytes())
            document["sample"] = Sample(**document["sample"])
            document["scale"] = Scale(document["scale"])
            document["planned_at"] = from_text(document["planned_at"])
            run = Run(**document)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"run.json of {self.path.name} cannot be read: {error}",
                hint=f"if the run is of no use any more, delete the folder {self.path}",
            ) from None
        if run.id != self.path.name:
            raise StoreError(
                f"run.json of {self.path.name} is the plan of another run, {run.id}",
                hint=f"a copy of a run has no place among the runs; move {self.path} away",
            )
        return run

    def ask_to_record(self, asked: AskedRecording) -> None:
        """Let the run record itself instead of being trained to its end."""
        write_atomically(self.path / _ASKED, json.dumps(asdict(asked)).encode())

    def asked_recording(self) -> AskedRecording | None:
        """Return what a run shall record; None for one that is trained as usual."""
        try:
            document = json.loads((self.path / _ASKED).read_bytes())
        except FileNotFoundError:
            return None
        return AskedRecording(**{**document, "closely": tuple(document["closely"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRecording:
    """How a training is recorded.

    Attributes:
        steps: Steps that are taken at most.
        closely: Steps of which every module, gradient and weight is noted.
        is_strict: Whether an operation without a deterministic form ends the training; else it is noted.
    """

    steps: int
    closely: tuple[int, ...] = (1, 2)
    is_strict: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a run: the files that its processes write."""

    path: Path

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def val_examples(self) -> Path:
        return self.path / "val_examples.pt"

    @property
    def recording(self) -> Path:
        return self.path / "recording.json.gz"

    def write_result(self, state: RunState, *, reason: str = "", **more: object) -> None:
        """Say how the attempt ended. The first result stands: a later call changes nothing."""
        if self.result.exists():
            return
        document = {
            "state": str(state),
            "reason": reason,
            "ended_at": to_text(datetime.now(UTC)),
            **more,
        }
        write_atomically(self.result, json.dumps(document, indent=1).encode())

    def read_result(self) -> JSON | None:
        """Return the result, or None while there is none that can be read."""
        try:
            document = json.loads(self.result.read_bytes())
        except (OSError, ValueError):
            return None
        is_result = isinstance(document, dict) and document.get("state") in set(RunState)
        return document if is_result else None


def pack_recording(recording: Recording) -> bytes:
    """Return a recording as bytes that are equal for equal recordings."""
    notes = [[str(n.kind), n.step, n.name, n.value] for n in recording.notes]
    document = {
        "notes": notes,
        "failure": recording.failure,
        "kernels": list(recording.kernels),
    }
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), 1, mtime=0)


def unpack_recording(content: bytes) -> Recording | None:
    """Return what ``pack_recording`` gave; None where it is damaged."""
    try:
        document = json.loads(gzip.decompress(content))
        return Recording(
            notes=tuple(Note(Noted(kind), *rest) for kind, *rest in document["notes"]),
            failure=document["failure"],
            kernels=tuple(document["kernels"]),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, sync and rename: a reader sees the old file or the new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


class EventWriter:
    """Appends events to an attempt, each with one ``write``, so that a kill loses none that was acknowledged."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
        self._seq = 0
        self._is_torn = False

    def write(self, kind: str, **values: object) -> None:
        """Append one event; ``values`` must be plain types."""
        body = json.dumps(
            {"seq": self._seq, "at": to_text(datetime.now(UTC)), "kind": kind, **values},
            separators=(",", ":"),
        ).encode()
        line = body[:-1] + b',"crc32":"%08x"}\n' % zlib.crc32(body)
        if self._is_torn:
            line = b"\n" + line
        written = os.write(self._fd, line)
        if written != len(line):
            # A full disk writes short. The next line ends this one first, so that it stands alone.
            self._is_torn = True
            raise OSError(
                f"event {self._seq} was cut at {written} of {len(line)} bytes: is the disk full?"
            )
        self._seq += 1
        self._is_torn = False


@dataclass(frozen=True, slots=True)
class EventChunk:
    """Events read from some offset on, and where the next reading starts."""

    events: tuple[JSON, ...]
    next_offset: int
    num_damaged: int


def parse_event(line: bytes) -> JSON | None:
    """Return the event of a line, or None when its checksum does not hold."""
    body = line[:-_CRC_TAIL] + b"}"
    if line[-_CRC_TAIL:] != b',"crc32":"%08x"}' % zlib.crc32(body):
        return None
    try:
        event = json.loads(body)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def read_events(path: Path, *, offset: int = 0, size_max: int = 64 << 20) -> EventChunk:
    """Return the whole lines after ``offset``; a line still being written is left for the next reading."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(size_max)
    except OSError:
        return EventChunk((), offset, 0)
    whole = content[: content.rfind(b"\n") + 1]
    lines = [line for line in whole.split(b"\n") if line]
    events = tuple(event for line in lines if (event := parse_event(line)) is not None)
    return EventChunk(events, offset + len(whole), len(lines) - len(events))


@contextlib.contextmanager
def locked(path: Path, *, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold an exclusive flock on ``path``; yields whether it was had within ``wait_s`` seconds.

    flock, not POSIX locks: those are lost when the owner closes any other descriptor of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield _try_lock(fd, until=time.monotonic() + wait_s)
    finally:
        os.close(fd)


def _try_lock(fd: int, *, until: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        else:
            return True


def to_text(moment: datetime | None) -> str | None:
    """Return an aware moment as ``2026-11-23T10:00:00.123Z``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str | None) -> datetime | None:
    """Return the moment that ``to_text`` wrote."""
    return None if text is None else datetime.fromisoformat(text)

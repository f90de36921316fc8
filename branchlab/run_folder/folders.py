"""Names inside ``.branchlab/`` and inside a run's folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from branchlab.domain import Drawn, FlagStyle, Origin, Run, Sample, Scale, Script
from branchlab.errors import StoreError
from branchlab.run_folder.attempts import Attempt
from branchlab.run_folder.files import JSON, from_text, to_text, write_atomically
from branchlab.run_folder.jobs import Job, read_job, write_job
from branchlab.run_folder.lease import locked, read_holder
from branchlab.run_folder.probes import AskedProbe
from branchlab.run_folder.recordings import AskedRecording, AskedRehearsal
from branchlab.run_folder.samples import AskedLook, pack_drawn, unpack_drawn

STATE_FOLDER = ".branchlab"
_ASKED = "record.json"
_REHEARSED = "rehearse.json"
_LOOKED_AT = "look.json"
_PROBED = "probe.json"
_TRACED = "trace.json"
LOST = "its processes ended without a result: killed, or the machine stopped"
"""Why an attempt that nobody carries out any more has no result of its own."""
_BREATH_WITHIN_S = 120.0
"""Network file systems show a change up to a minute late."""


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
    def environments(self) -> Path:
        """Environments that branches have of their own, by what goes into them."""
        return self.path / "environments"

    @property
    def samples(self) -> Path:
        """Manifests of representative samples, and their pictures."""
        return self.path / "samples"

    @property
    def slots(self) -> Path:
        """Locks that runs hold while they use a share of this machine, whichever command started them."""
        return self.path / "slots"

    @property
    def compiled(self) -> Path:
        """What torch.compile has compiled, for all branches."""
        return self.path / "compiled"

    @property
    def host_log(self) -> Path:
        """What a warm parent that does not linger printed; empty unless something is wrong with it."""
        return self.path / "host.log"

    def create(self) -> None:
        """Make the folder, and make it ignore itself in git."""
        self.runs.mkdir(parents=True, exist_ok=True)
        ignore = self.path / ".gitignore"
        if not ignore.exists():
            write_atomically(ignore, b"*\n")

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Show that a command has runs to start, as long as it lives."""
        self.create()
        path = self.path / "commands" / f"{os.getpid()}-{time.time_ns()}"
        while True:
            with locked(path) as is_ours:
                if not is_ours or not path.exists():
                    continue  # somebody was just looking whether it is held
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return

    def is_at_work(self) -> bool:
        """Whether any command has runs to start; what killed ones left is cleared away."""
        is_any = False
        for path in (self.path / "commands").glob("*"):
            with locked(path) as is_free:
                if is_free:
                    path.unlink(missing_ok=True)
                is_any = is_any or not is_free
        return is_any

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
    def job(self) -> Path:
        """Which job of a cluster was given the run, while it is queued or works."""
        return self.path / "job.json"

    def read_job(self) -> Job | None:
        """Return the job that was given the run; None where no cluster is to go on with it."""
        return read_job(self.job)

    def write_job(self, job: Job) -> None:
        """Record which job was given the run."""
        write_job(self.job, job)

    def forget_job(self) -> None:
        """Record that no cluster will go on with the run."""
        self.job.unlink(missing_ok=True)

    @property
    def drawn(self) -> Path:
        """What the run is told of the repository's sample, where there is a manifest."""
        return self.path / "sample.json"

    def write_drawn(self, drawn: Drawn) -> None:
        """Tell the run of the repository's sample."""
        write_atomically(self.drawn, pack_drawn(drawn))

    def read_drawn(self) -> Drawn | None:
        """Return what the run was told of the repository's sample; None where there is none.

        Raises:
            StoreError: It is damaged.
        """
        try:
            return unpack_drawn(self.drawn.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreError(
                f"sample.json of {self.path.name} cannot be read: {error}",
                hint="the next command that plans the run writes it anew",
            ) from None

    @property
    def stop(self) -> Path:
        """There while somebody asks the run to write a checkpoint and end."""
        return self.path / "stop"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.pt"

    @property
    def best_checkpoint(self) -> Path:
        """The weights of the best validation, with its metrics."""
        return self.path / "checkpoints" / "best.pt"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def files(self) -> Path:
        """What a project's own script writes; kept over a resume."""
        return self.path / "files"

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

    def trained_in(self) -> Attempt | None:
        """Return the latest attempt that recorded what it trained in; one that never began did not."""
        attempts = (self.attempt(number) for number in range(self.attempts(), 0, -1))
        return next((attempt for attempt in attempts if attempt.environment.exists()), None)

    def ask_to_stop(self, *, is_now: bool = False) -> None:
        """Ask whoever carries the run out, on whatever machine, to write a checkpoint and end, or to end at once."""
        write_atomically(self.stop, b"now" if is_now else b"checkpoint")
        holder = read_holder(self.lease)
        # Here a signal is heard at once, a file within a second.
        if holder is not None and holder.is_for_one and holder.is_alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(holder.pid, signal.SIGTERM)

    def is_held(self) -> bool:
        """Whether processes work on the run, here or on another machine."""
        with locked(self.lease) as is_free:
            return not is_free or self.breathes_elsewhere()

    def breathes_elsewhere(self) -> bool:
        """Whether another machine works on the run, as far as a shared folder shows; asked while the lease is free."""
        holder = read_holder(self.lease)
        latest = self.latest()
        if holder is None or holder.is_of_this_machine or latest is None or latest.result.exists():
            return False
        try:
            # Held against the clock of the file system itself: those of two machines differ.
            clock = self.path / ".clock"
            clock.touch()
            return clock.stat().st_mtime - latest.usage.stat().st_mtime < _BREATH_WITHIN_S
        except OSError:
            return False

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
            document["script"] = script_of(document.get("script"))
            if origin := document.get("origin"):
                document["origin"] = Origin(
                    command=tuple(origin["command"]),
                    checked_out=origin["checked_out"],
                    dirty=tuple(origin["dirty"]),
                )
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
        return AskedRecording.of(document)

    def ask_to_probe(self, asked: AskedProbe) -> None:
        """Let one step of the run be looked at instead of its being trained to its end."""
        write_atomically(self.path / _PROBED, json.dumps(asdict(asked)).encode())

    def asked_probe(self) -> AskedProbe | None:
        """Return how the run is probed; None for one that is trained as usual."""
        try:
            return AskedProbe.of(json.loads((self.path / _PROBED).read_bytes()))
        except FileNotFoundError:
            return None

    def ask_to_rehearse(self, asked: AskedRehearsal) -> None:
        """Let the run be interrupted where that is asked for, and watched on its way to the end."""
        write_atomically(self.path / _REHEARSED, json.dumps(asdict(asked)).encode())

    def asked_rehearsal(self) -> AskedRehearsal | None:
        """Return how the run is rehearsed; None for one that is trained as usual."""
        try:
            return AskedRehearsal.of(json.loads((self.path / _REHEARSED).read_bytes()))
        except FileNotFoundError:
            return None

    def ask_to_look(self, asked: AskedLook) -> None:
        """Let the run draw the sample and look at it instead of being trained."""
        write_atomically(self.path / _LOOKED_AT, json.dumps(asdict(asked)).encode())

    def asked_look(self) -> AskedLook | None:
        """Return how the run looks at its sample; None for one that is trained as usual."""
        try:
            return AskedLook.of(json.loads((self.path / _LOOKED_AT).read_bytes()))
        except FileNotFoundError:
            return None

    def ask_to_trace(self) -> None:
        """Let the run send a few batches through its task, and be watched line by line, instead of being trained."""
        write_atomically(self.path / _TRACED, b"{}")

    def is_traced(self) -> bool:
        """Whether the run is traced instead of trained."""
        return (self.path / _TRACED).exists()


def script_of(document: JSON | None) -> Script | None:
    """Return the script that a JSON document holds."""
    if document is None:
        return None
    words = {name: tuple(document[name]) for name in ("command", "resume")}
    return Script(**{**document, **words, "flag_style": FlagStyle(document["flag_style"])})

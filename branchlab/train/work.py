"""The process that trains one run, or records one.

It is forked from the warm parent, stands in the run's work tree, and speaks through the run folder alone. Whatever
goes wrong in the project's code becomes a failed result with one line that says why; the log keeps the traceback.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from branchlab.domain import Drawn, Run, RunState
from branchlab.errors import ConfigError
from branchlab.run_folder import (
    AskedProbe,
    AskedRecording,
    Attempt,
    EventWriter,
    RunFolder,
    pack_probe,
    pack_recording,
    pack_trace,
    write_atomically,
)
from branchlab.train import randomness
from branchlab.train.environment import record_environment
from branchlab.train.loading import load_task, say_why
from branchlab.train.recording import record
from branchlab.train.script import Watched, train_by_script
from branchlab.train.trainer import Ending, train
from branchlab.train.versions import TRAINER_VERSION, python_version

_PULSE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be started: a planned run, where its code stands, and within which bounds.

    Attributes:
        attempt: Number of the attempt; an order that comes too late finds it taken.
        silence_s: Without a step or a batch for so long, the run hangs.
        checkpoint_s: Between two checkpoints.
        slot: Lock that is held while the run lives: its share of the machine.
        job: What a cluster calls the process that carries this out.
        parent: The process with which it ends, without a result; 0 for one that outlives whoever started it.
        is_restart: Whether the cluster starts a job anew that it has ended or lost.
    """

    run_folder: Path
    attempt: int
    worktree: Path
    timeout_s: float
    silence_s: float
    checkpoint_s: float = 30.0
    visible_device: str | None = None
    slot: Path | None = None
    job: str = ""
    parent: int = 0
    is_restart: bool = False

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Order:
        """Return the order that a JSON document holds."""
        paths = {name: Path(document[name]) for name in ("run_folder", "worktree")}
        slot = document.get("slot")
        return cls(**{**document, **paths, "slot": Path(slot) if slot else None})


def work(order: Order, attempt: Attempt) -> int:
    """Train the run of an order in this process and write its result; return the exit code."""
    folder = RunFolder(order.run_folder)
    run = folder.read_plan()
    events = EventWriter(attempt.events)
    stopping = _StopRequest(attempt)
    started = time.monotonic()
    torch.set_num_threads(run.threads)
    randomness.seed_global(run.seed, "task")
    try:
        _check_versions(run)
        ending = _carry_out(run, order, folder, attempt, events, stopping)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the project's own code: recorded whole in the log, in one line in the result
        if isinstance(error, ConfigError):
            sys.stderr.write(f"{error.message}\n")
        else:
            traceback.print_exc()
        reason = say_why(error, order.worktree)
        ending = Ending(
            state=RunState.FAILED,
            metrics={},
            steps=0,
            loss_digest="",
            reason=reason,
            is_out_of_memory=isinstance(error, torch.OutOfMemoryError),
        )
    sys.stdout.flush()
    sys.stderr.flush()
    events.follow()  # other processes of the run may have written meanwhile
    events.write("end", state=str(ending.state), reason=ending.reason)
    attempt.write_result(
        ending.state,
        reason=ending.reason,
        metrics={
            n: value if math.isfinite(value) else str(value) for n, value in ending.metrics.items()
        },
        **({"slices": dict(ending.slices)} if ending.slices else {}),
        steps=ending.steps,
        loss_digest=ending.loss_digest,
        is_out_of_memory=ending.is_out_of_memory,
        duration_s=round(time.monotonic() - started, 3),
    )
    return 0 if ending.state is RunState.DONE else 1


def _carry_out(
    run: Run,
    order: Order,
    folder: RunFolder,
    attempt: Attempt,
    events: EventWriter,
    stopping: _StopRequest,
) -> Ending:
    """Do what the run's folder asks for, else train."""
    asked = _asked(run, order, folder, attempt, stopping)
    if asked is not None:
        return asked
    record_environment(run, attempt)
    if run.script is not None:
        watched = Watched(is_stopped=stopping.is_set, feel=stopping.feel)
        return train_by_script(run, order.worktree, folder, attempt, events, watched)
    if run.processes > 1:
        from branchlab.train.launch import train_together

        return train_together(
            run,
            order.worktree,
            folder,
            attempt,
            should_stop=stopping,
            checkpoint_every_s=order.checkpoint_s,
        )
    return train(
        load_task(run, order.worktree),
        run,
        folder,
        attempt,
        events,
        should_stop=stopping,
        checkpoint_every_s=order.checkpoint_s,
    )


def _asked(
    run: Run, order: Order, folder: RunFolder, attempt: Attempt, stopping: _StopRequest
) -> Ending | None:
    """Do what the run's folder asks for instead of a training; None where it asks for nothing."""
    if (recorded := folder.asked_recording()) is not None:
        return _record(run, recorded, order.worktree, attempt, drawn=folder.read_drawn())
    if (rehearsed := folder.asked_rehearsal()) is not None:
        from branchlab.train.rehearsal import rehearse

        return rehearse(run, rehearsed, order.worktree, folder, should_stop=stopping)
    if (looked := folder.asked_look()) is not None:
        from branchlab.train.look import look

        return look(run, looked, order.worktree, attempt)
    if (probed := folder.asked_probe()) is not None:
        return _probe(run, probed, order.worktree, folder, attempt)
    if folder.is_traced():
        return _trace(run, order.worktree, attempt, drawn=folder.read_drawn())
    return None


def _check_versions(run: Run) -> None:
    """Refuse to train where other versions are installed than those that the run's key speaks of."""
    here = {"torch": torch.__version__, "trainer": TRAINER_VERSION, "python": python_version()}
    for name, found in here.items():
        planned = run.environment.get(name, found)
        if planned != found:
            raise ConfigError(
                f"{platform.node()} has {name} {found}, the run was planned for {planned}",
                hint="install the same versions everywhere",
            )


def _record(
    run: Run, asked: AskedRecording, worktree: Path, attempt: Attempt, *, drawn: Drawn | None
) -> Ending:
    recorder = None
    if asked.is_watchful:
        from branchlab.train.watchful import WatchfulRecorder

        recorder = WatchfulRecorder(run, asked, worktree)
    recording = record(run, asked, worktree, recorder=recorder, drawn=drawn)
    write_atomically(attempt.recording, pack_recording(recording))
    state = RunState.FAILED if recording.failure else RunState.DONE
    steps, reason = recording.num_steps, recording.failure
    return Ending(state=state, metrics={}, steps=steps, loss_digest="", reason=reason)


def _trace(run: Run, worktree: Path, attempt: Attempt, *, drawn: Drawn | None) -> Ending:
    from branchlab.train.flow import trace

    write_atomically(attempt.trace, pack_trace(trace(run, worktree, drawn=drawn)))
    # That the project's code raises is a finding, not a failure of the look at it.
    return Ending(state=RunState.DONE, metrics={}, steps=0, loss_digest="")


def _probe(
    run: Run, asked: AskedProbe, worktree: Path, folder: RunFolder, attempt: Attempt
) -> Ending:
    from branchlab.train.probe.probing import probe

    found = probe(run, asked, worktree, folder.pictures, drawn=folder.read_drawn())
    write_atomically(attempt.probe, pack_probe(found))
    return Ending(state=RunState.DONE, metrics={}, steps=asked.step, loss_digest="")


class _StopRequest:
    """True once SIGTERM has come, here or in a process forked from here; whoever asks shows that the training gets on."""

    def __init__(self, attempt: Attempt) -> None:
        self._shared = mmap.mmap(-1, 1)
        self._pulse = attempt.pulse
        self._felt_at = 0.0
        signal.signal(signal.SIGTERM, self._set)

    def _set(self, _number: int, _frame: object) -> None:
        self._shared[0] = 1

    def __call__(self) -> bool:
        self.feel()
        return self.is_set()

    def is_set(self) -> bool:
        return self._shared[0] == 1

    def feel(self) -> None:
        now = time.monotonic()
        if now - self._felt_at > _PULSE_EVERY_S:
            self._felt_at = now
            with contextlib.suppress(OSError):
                os.utime(self._pulse)

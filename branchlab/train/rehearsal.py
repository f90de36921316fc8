"""A training by the trainer itself that is interrupted where it is told to, and watched from within its task.

What proves a resume must be the real thing: ``train`` in a process of its own, stopped or killed, and started anew from its
checkpoint. So nothing is done for it here; the task's methods note what passes through them, and the question whether to
stop, which the trainer asks after every step, counts the steps.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from branchlab.domain import AT_THE_END, Noted, Recording, Run, RunState, Stop
from branchlab.run_folder import (
    AskedRecording,
    AskedRehearsal,
    Attempt,
    EventWriter,
    RunFolder,
    pack_recording,
    read_examples,
    write_atomically,
)
from branchlab.train.checkpoint import load_tensors
from branchlab.train.digests import digest, digest_of_random
from branchlab.train.held import Holdings
from branchlab.train.loading import load_task, say_why
from branchlab.train.recording import Recorder
from branchlab.train.task import Batch, Task
from branchlab.train.trainer import Ending, train

_NEVER_S = 1e9


def rehearse(
    run: Run,
    asked: AskedRehearsal,
    worktree: Path,
    folder: RunFolder,
    *,
    should_stop: Callable[[], bool],
) -> Ending:
    """Train a run until its attempt is to be interrupted, or to its end; what was noted lies in the attempt's folder."""
    attempt = folder.latest()
    assert attempt is not None
    number = folder.attempts()
    stop = asked.stops[number - 1] if number <= len(asked.stops) else None
    rehearsal = _Rehearsal(run, asked, worktree)
    rehearsal.at, rehearsal.attempt, rehearsal.asked_by_others = stop, attempt, should_stop
    failure = ""
    try:
        with rehearsal.witness.present():
            ending = rehearsal.train(folder)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the project's own code: that it raises is the finding
        traceback.print_exc()
        failure = say_why(error, worktree)
        ending = Ending(
            state=RunState.FAILED, metrics={}, steps=rehearsal.step, loss_digest="", reason=failure
        )
    rehearsal.write(failure or (ending.reason if ending.state is RunState.FAILED else ""))
    return ending


class _Rehearsal(Recorder):
    """Notes what passes through a task while the trainer trains it."""

    def __init__(self, run: Run, asked: AskedRehearsal, worktree: Path) -> None:
        super().__init__(run, AskedRecording(steps=0, closely=()), worktree)
        self._look_at = asked.look_at
        self._looked_at = -1
        self._holdings: Holdings | None = None
        self._began_at = 0
        self._taken = 0
        self.at: Stop | None = None
        self.attempt = Attempt(Path())
        self.asked_by_others: Callable[[], bool] = lambda: False

    def train(self, folder: RunFolder) -> Ending:
        """Let the trainer train."""
        task = load_task(self.run, self.worktree)
        self.note_task(task)
        self.attach(task)
        self._task = task
        is_killed = self.at is not None and self.at.is_kill
        ending = train(
            task,
            self.run,
            folder,
            self.attempt,
            _Hearing(self.attempt.events, self._begin),
            should_stop=self,
            # One that is killed goes on from the last checkpoint that it came to write.
            checkpoint_every_s=0.0 if is_killed else _NEVER_S,
        )
        if ending.state is RunState.DONE:
            self._note_end(folder, ending)
        return ending

    def __call__(self) -> bool:
        """Return whether to stop; the trainer asks after every step."""
        self._taken += 1
        self.step = self._began_at + self._taken
        self.phase = ""
        self.note(Noted.RANDOM, digest_of_random(self.device), "after the step")
        is_here = self.at is not None and self.step >= self.at.step
        if is_here and self.at is not None and self.at.is_kill:
            self.write("")
            os.kill(os.getpid(), signal.SIGKILL)
        return is_here or self.asked_by_others()

    def write(self, failure: str) -> None:
        """Keep what was noted so far."""
        recording = Recording(notes=tuple(self.notes), failure=failure)
        write_atomically(self.attempt.recording, pack_recording(recording))

    def attach(self, task: Task) -> None:
        """Let the task's methods note what passes through them, and look at what it holds before some steps."""
        super().attach(task)
        prepare = task.prepare

        def preparing(batch: Batch) -> Batch:
            is_training = self._model.training and torch.is_grad_enabled()
            self.phase = "" if is_training else "val "
            self.step = self._began_at + self._taken + is_training
            if is_training:
                self._look(task)
            self.note(Noted.PREPARED, digest([batch.inputs, batch.targets]), "as stored")
            return prepare(batch)

        object.__setattr__(task, "prepare", preparing)

    def _begin(self, step: int) -> None:
        self._began_at, self._taken = step, 0

    def _look(self, task: Task) -> None:
        if self.step not in self._look_at or self.step == self._looked_at:
            return
        self._looked_at = self.step
        self.note(Noted.RANDOM, digest_of_random(self.device), "before the step")
        self._holdings = self._holdings or Holdings(task, self._model, self.worktree)
        self.note(Noted.HELD, self._holdings.rows())

    def _note_end(self, folder: RunFolder, ending: Ending) -> None:
        """Note what the run leaves: weights, optimiser, generators, per-example results, figures."""
        self.step, self.phase = ending.steps, ""
        found = read_examples(self.attempt.val_examples) or {}
        examples = {name: torch.from_numpy(array) for name, array in found.items()}
        for what, document in (
            ("checkpoint", load_tensors(folder.checkpoint) or {}),
            ("examples", examples),
        ):
            for part, value in document.items():
                self.note(Noted.WEIGHTS, digest(value), f"{AT_THE_END}: {part} ({what})")
        self.note(Noted.WEIGHTS, ending.loss_digest, f"{AT_THE_END}: losses")
        figures = {name: value.hex() for name, value in ending.metrics.items()}
        self.note(Noted.WEIGHTS, figures, f"{AT_THE_END}: figures")

    def _note_modes(self) -> None:
        """Modes are the trainer's here."""

    def _note_built(self, model: nn.Module) -> None:
        self.witness.built.clear()
        self._model = model

    def _note_loss(self, loss: Tensor | None) -> None:
        if loss is not None:
            self.note(Noted.LOSS, float(loss.detach()).hex())


class _Hearing(EventWriter):
    """Events, and whoever hears with which step a training begins."""

    def __init__(self, path: Path, begin: Callable[[int], None]) -> None:
        super().__init__(path)
        self._begin = begin

    def write(self, kind: str, **values: object) -> None:
        """Append an event."""
        if kind == "start":
            self._begin(int(str(values.get("resumed_at_step", 0))))
        super().write(kind, **values)

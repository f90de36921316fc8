"""A recorder that also hears what no seed decides, and makes such things different where it is asked to."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from branchlab.domain import Noted, Run
from branchlab.run_folder import AskedRecording
from branchlab.train.chance import ChanceWitness, made_different
from branchlab.train.digests import digest_of_random
from branchlab.train.recording import Recorder
from branchlab.train.task import Batch, Task
from branchlab.train.training import Training

GLOBAL_IN_AUGMENT = "the global generator"


class WatchfulRecorder(Recorder):
    """Notes calls that may give something else each time, in their place between the other notes."""

    def __init__(self, run: Run, asked: AskedRecording, worktree: Path) -> None:
        super().__init__(run, asked, worktree)
        self.witness = ChanceWitness(worktree, self.device, hear=self._hear)
        self._is_global_drawn = False

    def record(self) -> None:
        """Take the steps."""
        with made_different(set(self.asked.varied), number=self.asked.number):
            super().record()

    def attach(self, task: Task) -> None:
        """Let the task's methods note what passes through them, and see which generator ``augment`` draws from."""
        super().attach(task)
        augment = task.augment

        def watched(batch: Batch, generator: torch.Generator) -> Batch:
            before = digest_of_random(self.device)
            found = augment(batch, generator)
            if not self._is_global_drawn and digest_of_random(self.device) != before:
                self._is_global_drawn = True
                self.note(Noted.CHANCE, ["", self._place_of(type(task).augment)], GLOBAL_IN_AUGMENT)
            return found

        object.__setattr__(task, "augment", watched)

    @contextlib.contextmanager
    def hooked(self, training: Training) -> Iterator[None]:
        """Note what enters and leaves each module; what fails on the way back says where it came from."""
        with super().hooked(training), torch.autograd.detect_anomaly(check_nan=False):
            yield

    def _hear(self, what: str, call: str, place: str) -> None:
        self.note(Noted.CHANCE, [call, place], what)

    def _place_of(self, function: Any) -> str:  # noqa: ANN401
        try:
            path = Path(inspect.getsourcefile(function) or "").relative_to(self.worktree)
        except (TypeError, ValueError):
            return ""
        return f"{path}:{inspect.unwrap(function).__code__.co_firstlineno}"

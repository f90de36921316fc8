"""Sends a few real batches of several sizes through a task, as a step and a validation do, while its code is traced.

The first batch is what the others are held against: one with more examples, and one with taller and wider images where the
model takes such. All have different examples, so that a size which follows from the data is seen to vary.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from branchlab.domain import BatchSize, Drawn, Run, Traced
from branchlab.train import randomness
from branchlab.train.loading import load_task, say_why
from branchlab.train.rows import sent
from branchlab.train.task import Batch, Task
from branchlab.train.tracing import Tracer
from branchlab.train.training import Training, autocast, begin, in_layout

_BATCH, _MORE = 4, 24
"""Examples of the first batch and of the larger one. Much larger: what is cut off or filled up with the batch shows."""
_SCALES = ((2, 3), (2, 2))
"""Factors of height and width: they differ where the model allows it, so that the two can be told apart."""
_IMAGE_AXES = 3
"""Of the smallest thing that is an image: C H W, or B H W."""


def trace(run: Run, worktree: Path, *, drawn: Drawn | None = None) -> Traced:
    """Return what flows through a run's task; what the project raises is said in it.

    ``drawn`` is the repository's sample, where there is a manifest.
    """
    tracer = Tracer(worktree)
    try:
        task = load_task(run, worktree)
        with tracer.watching():
            # Streamed data is read in this process, where what runs is seen.
            training = begin(task, replace(run, workers=0), drawn=drawn)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the project's own code: that it raises is the finding
        return _failed(tracer, error, worktree, batches=())
    with _uncompiled():
        return _Batches(training, tracer, worktree).all()


def _uncompiled() -> contextlib.AbstractContextManager[None]:
    """Run what is compiled as it is written: a compiled frame has no lines. Asking torch for it takes seconds where nothing is."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    eager: contextlib.AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return eager


@dataclass(slots=True)
class _Batches:
    training: Training
    tracer: Tracer
    worktree: Path

    def all(self) -> Traced:
        num = len(self.training.data.train)
        first = min(_BATCH, num)
        more = min(_MORE, num) if num > first else max(1, first - 1)
        # Other examples than the first ones, where there are enough.
        wanted = [self._rows(0, first), self._rows(first, more)]
        batches: list[BatchSize] = []
        for number, stored in enumerate(wanted):
            try:
                with self.tracer.watching(number):
                    batch = stored()
                    batches.append(_size_of_batch(batch))
                    self._send(batch)
            except (Exception, SystemExit) as error:  # noqa: BLE001  as above
                return _failed(self.tracer, error, self.worktree, batches=tuple(batches))
        return self._larger(batches, self._rows(first + more, first))

    def _larger(self, batches: list[BatchSize], stored: Any) -> Traced:  # noqa: ANN401  gives a batch
        """Send the last batch, with larger images, at the first size that the model takes."""
        number = len(batches)
        notes: tuple[str, ...] = ()
        if batches[0].height:
            for scale in _SCALES:
                try:
                    with self.tracer.watching(number):
                        batch = stored()
                        self._send(_scaled(batch, scale))
                except (Exception, SystemExit) as error:  # noqa: BLE001  a model of one size says so
                    self.tracer.forget(number)
                    sys.stderr.write(
                        f"images {scale} times as large: {say_why(error, self.worktree)}\n"
                    )
                else:
                    batches.append(_size_of_batch(_scaled(batch, scale)))
                    break
            else:
                notes = ("it takes images of one size only, so heights and widths are numbers",)
        return Traced(batches=tuple(batches), lines=self.tracer.lines(len(batches)), notes=notes)

    def _rows(self, start: int, num: int) -> Any:  # noqa: ANN401  gives a batch
        split = self.training.data.train
        start = max(0, min(start, len(split) - num))
        return lambda: split.slice(start, start + num)

    def _send(self, stored: Batch) -> None:
        """Let a batch take the way of a step up to its loss, and that of a validation."""
        training, task = self.training, self.training.task
        run_seed, model = 0, training.model
        randomness.seed_global(run_seed, "annotate")
        model.train()
        source = randomness.generator(run_seed, "annotate", training.device)
        batch = task.augment(task.prepare(stored), source)
        with autocast(training):
            task.loss(task.forward(model, in_layout(batch, training.recipe)), batch)
        model.eval()
        with torch.inference_mode():
            self._judge(task, stored)

    def _judge(self, task: Task, stored: Batch) -> None:
        batch = task.prepare(stored)
        with autocast(self.training):
            outputs = task.forward(self.training.model, in_layout(batch, self.training.recipe))
            task.loss(outputs, batch)
        task.metrics(outputs, batch)
        task.pictures(outputs, batch)


def _failed(
    tracer: Tracer, error: BaseException, worktree: Path, *, batches: tuple[BatchSize, ...]
) -> Traced:
    """Return what was seen until the project's code raised; of a batch that it broke off, what there is."""
    traceback.print_exception(error)
    if len(batches) > 1:
        # The first batch went through: half of another would only confuse it.
        tracer.forget(1)
    kept = batches[:1]
    return Traced(batches=kept, lines=tracer.lines(len(kept)), failure=say_why(error, worktree))


def _size_of_batch(batch: Batch) -> BatchSize:
    size = _size_of(batch.inputs)
    return BatchSize(batch=len(batch), height=size[0], width=size[1])


def _size_of(inputs: Any) -> tuple[int, int]:  # noqa: ANN401  a tensor or a list of them
    """Return the height and width of images; zeros where inputs are none, or differ."""
    if isinstance(inputs, Tensor):
        return (inputs.shape[-2], inputs.shape[-1]) if inputs.ndim >= _IMAGE_AXES else (0, 0)
    if not isinstance(inputs, list | tuple):
        return 0, 0
    sizes = {
        (one.shape[-2], one.shape[-1]) if isinstance(one, Tensor) and one.ndim > 1 else (0, 0)
        for one in inputs
    }
    return next(iter(sizes)) if len(sizes) == 1 else (0, 0)


def _scaled(batch: Batch, scale: tuple[int, int]) -> Batch:
    """Return a batch with every pixel repeated, in the inputs and in whatever targets have their size."""
    size = _size_of(batch.inputs)

    def grown(value: Any) -> Any:  # noqa: ANN401  nested lists and tables
        if isinstance(value, Tensor):
            if value.ndim > 1 and tuple(value.shape[-2:]) == size:
                return value.repeat_interleave(scale[0], -2).repeat_interleave(scale[1], -1)
            return value
        if isinstance(value, Mapping):
            return {name: grown(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [grown(one) for one in value]
        return value

    inputs, targets = sent(grown(batch.inputs), batch.ids.device), grown(batch.targets)
    return Batch(inputs, targets, batch.ids)

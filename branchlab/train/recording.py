"""A training that records itself: the trainer's own steps, taken one by one, with a note of all that decides the next.

Two recordings of one seed are equal to the bit where the trainings are, and their first difference names the culprit, so
the notes stand in causal order: arguments, data, construction, then for each step the order of the data, what enters,
what the model gives, the loss, the update. Steps that are recorded ``closely`` note every module, gradient and weight.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from branchlab.domain import Drawn, Note, Noted, Recording, Run
from branchlab.run_folder import AskedRecording
from branchlab.train import randomness
from branchlab.train.data import Split
from branchlab.train.digests import digest, digest_of_random, digest_of_rows
from branchlab.train.loading import load_task, say_why
from branchlab.train.streaming import StreamedSplit
from branchlab.train.task import Batch, Examples, Rows, Splits, Task
from branchlab.train.trainer import epoch_steps
from branchlab.train.training import Training, begin, evaluate
from branchlab.train.witness import Built, Witness

_ALL_WEIGHTS_EVERY = 25
_NOT_DETERMINISTIC = re.compile(r"^(\S+).* does not have a deterministic implementation")
_FAILURE_LENGTH_MAX = 600
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_HAS_PLACE = re.compile(r" \([^()]+:\d+\)$")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def record(
    run: Run,
    asked: AskedRecording,
    worktree: Path,
    *,
    recorder: Recorder | None = None,
    drawn: Drawn | None = None,
) -> Recording:
    """Train as a run plans it, for some steps, and return what was noted; what the project raises is a note too."""
    recorder = recorder or Recorder(run, asked, worktree)
    recorder.drawn = drawn
    failure = ""
    with warnings.catch_warnings(record=True) as said, recorder.witness.present():
        warnings.simplefilter("always")
        try:
            recorder.record()
        except (Exception, SystemExit) as error:  # noqa: BLE001  the project's own code: that it raises is the finding
            failure = say_why(error, worktree)[:_FAILURE_LENGTH_MAX]
            failure += _forward_place(failure, [str(one.message) for one in said], worktree)
            traceback.print_exc()
    recorder.note(Noted.EXECUTED, sorted(map(list, recorder.witness.executed)))
    kernels = [_kernel(str(one.message)) for one in said] + [_kernel(failure)]
    return Recording(
        notes=tuple(recorder.notes),
        failure=failure,
        kernels=tuple(sorted(set(kernels) - {""})),
    )


def _kernel(message: str) -> str:
    found = _NOT_DETERMINISTIC.match(message.removeprefix("RuntimeError: "))
    return found[1] if found else ""


def _forward_place(failure: str, said: list[str], worktree: Path) -> str:
    """Return the line of the project whose operation failed on the way back, where torch was asked to remember it."""
    traces = [text for text in said if "Traceback of forward call" in text]
    places = _FRAME.findall(traces[-1]) if traces and not _HAS_PLACE.search(failure) else []
    own = [(path, line) for path, line in places if Path(path).is_relative_to(worktree)]
    return f" ({Path(own[-1][0]).relative_to(worktree)}:{own[-1][1]})" if own else ""


class Recorder:
    """Notes what passes through a task, its model and its optimiser."""

    def __init__(self, run: Run, asked: AskedRecording, worktree: Path) -> None:
        self.run = run
        self.asked = asked
        self.worktree = worktree
        self.device = torch.device(run.device)
        self.witness = Witness(worktree, self.device)
        self.drawn: Drawn | None = None
        self.notes: list[Note] = []
        self.step = 0
        self.phase = ""
        self._num_calls: Counter[str] = Counter()

    def note(self, kind: Noted, value: object, name: str = "") -> None:
        """Write one thing down."""
        self.notes.append(Note(kind, self.step, f"{self.phase}{name}", value))

    def record(self) -> None:
        """Take the steps."""
        with self.witness.watching():
            task = load_task(self.run, self.worktree)
            self.note_task(task)
            self.attach(task)
            # Streamed data is read in this process, where what runs is seen.
            training = begin(task, replace(self.run, workers=0), drawn=self.drawn)
            if not self.asked.is_strict:
                torch.use_deterministic_algorithms(mode=True, warn_only=True)
            self._note_start(training)
        num_steps = min(self.asked.steps, training.num_steps)
        while training.step < num_steps:
            self._epoch(training, num_steps)
            self.step = training.step
            if training.step >= num_steps or training.epoch == 1:
                self._validate(training)
            training.epochs_validated = training.epoch
        self._note_state(training.model)

    def _epoch(self, training: Training, num_steps: int) -> None:
        """Take the steps of one epoch; each is noted before it is taken, as hooks note what happens in it."""
        steps = epoch_steps(training)
        while training.step < num_steps:
            self.step = training.step + 1
            is_close = self.step in self.asked.closely
            with contextlib.ExitStack() as stack:
                if is_close:
                    stack.enter_context(self.witness.watching())
                    stack.enter_context(self.hooked(training))
                if next(steps, None) is None:
                    break
            self.note(Noted.RANDOM, digest_of_random(self.device), "after the step")
            self.note(Noted.LR, [group["lr"] for group in training.optimizer.param_groups])
            if not is_close and self.step % _ALL_WEIGHTS_EVERY == 0:
                self.note(Noted.WEIGHTS, digest(list(training.model.parameters())), "all")

    def note_task(self, task: Task) -> None:
        parameters = inspect.signature(type(task)).parameters.values()
        rows = [[p.name, str(p.kind), _default(p)] for p in parameters]
        self.note(Noted.SIGNATURE, rows, type(task).__name__)
        self._note_seeds()
        self.note(Noted.RANDOM, digest_of_random(self.device), "task")
        self.note(Noted.RECIPE, {name: repr(value) for name, value in asdict(task.recipe).items()})

    def _note_seeds(self) -> None:
        for function, place in self.witness.seeded:
            self.note(Noted.SEEDED, place, function)
        self.witness.seeded.clear()

    def attach(self, task: Task) -> None:
        """Let the task's methods note what passes through them."""

        def after(name: str, noting: Callable[..., None]) -> None:
            method = getattr(task, name)

            def noted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  the task's own
                result = method(*args, **kwargs)
                noting(result, *args)
                return result

            object.__setattr__(task, name, noted)

        after("data", self._note_given)
        after("model", self._note_built)
        after("prepare", self._note_prepared)
        after("augment", self._note_augmented)
        after("forward", lambda outputs, *_: self._note_outputs(outputs))
        after("loss", lambda loss, *_: self._note_loss(loss))
        after("metrics", lambda *_: self._note_modes())

    def _note_random(self, name: str) -> None:
        self._note_seeds()
        self.note(Noted.RANDOM, digest_of_random(self.device), name)

    def _note_given(self, splits: Splits) -> None:
        """Note the data as the task gives it, the test set too: no step sees that one, and what it is must not change."""
        self._note_random("data")
        for name, split in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
            if isinstance(split, Examples):
                for what, rows in _held(split):
                    kind, unordered = type(rows).__name__, ""
                    if isinstance(rows, Tensor):
                        kind, unordered = str(rows.dtype), digest_of_rows(rows)
                    row = [kind, _size(rows), unordered, digest(rows)]
                    self.note(Noted.DATA, row, f"{name} {what}, all of them")
            else:
                size = len(split) if split is not None and hasattr(split, "__len__") else 0
                self.note(Noted.DATA, [type(split).__name__, [size], "", ""], f"{name} set")
        classes = [str(name) for name in splits.classes]
        self.note(Noted.DATA, ["", [len(classes)], "", digest(classes)], "names of classes")

    def _note_built(self, model: nn.Module) -> None:
        names = {id(module): name for name, module in model.named_modules()}
        self.note(Noted.BUILT, [_row(one, names) for one in self.witness.built])
        self._note_random("model")
        self.witness.built.clear()
        self._model = model

    def _note_prepared(self, prepared: Batch, stored: Batch) -> None:
        self.note(Noted.ORDER, digest(stored.ids))
        self.note(Noted.PREPARED, digest([prepared.inputs, prepared.targets]))

    def _note_augmented(self, batch: Batch, _: Batch, generator: torch.Generator) -> None:
        self.note(Noted.AUGMENTED, digest([batch.inputs, batch.targets]))
        self.note(Noted.DRAWS, digest(generator.get_state()))

    def _note_outputs(self, outputs: object) -> None:
        self._note_seeds()
        self.note(Noted.OUTPUTS, digest(outputs))
        self._num_calls.clear()

    def _note_loss(self, loss: Tensor | None) -> None:
        self.note(Noted.RANDOM, digest_of_random(self.device), "forward and loss")
        if loss is not None:  # a detector has none in validation
            self.note(Noted.LOSS, float(loss).hex())

    def _note_modes(self) -> None:
        rows = [[name, module.training] for name, module in self._model.named_modules()]
        self.note(Noted.MODES, [name for name, is_training in rows if is_training])

    def _note_start(self, training: Training) -> None:
        for name, split in (("train", training.data.train), ("val", training.data.val)):
            for what, rows in _held(split):
                kind = str(rows.dtype) if isinstance(rows, Tensor) else type(rows).__name__
                self.note(Noted.DATA, [kind, _size(rows), "", digest(rows)], f"{name} {what}")
            self.note(Noted.DATA, ["", [len(split)], "", digest(split.ids)], f"{name} ids")
        self._note_state(training.model)
        named = {id(p): name for name, p in training.model.named_parameters()}
        groups = [
            [
                {key: repr(value) for key, value in group.items() if key != "params"},
                [named.get(id(p), "?") for p in group["params"]],
            ]
            for group in training.optimizer.param_groups
        ]
        self.note(Noted.GROUPS, [type(training.optimizer).__name__, groups])

    def _note_state(self, model: nn.Module) -> None:
        parameters = dict(model.named_parameters())
        rows = [
            [
                name,
                list(value.shape),
                str(value.dtype),
                parameters[name].requires_grad if name in parameters else None,
                digest(value),
            ]
            for name, value in model.state_dict().items()
            if isinstance(value, Tensor)
        ]
        self.note(Noted.STATE, rows)

    def _validate(self, training: Training) -> None:
        self.phase = "val "
        with randomness.undisturbed(self.device):
            with self.witness.watching():
                values = evaluate(training, training.data.val)
            for name, value in sorted(values.items()):
                self.note(
                    Noted.METRIC, [digest(value), float(value.cpu().double().nanmean())], name
                )
        self.phase = ""
        for name, split in (("train", training.data.train), ("val", training.data.val)):
            for what, rows in _held(split):
                self.note(
                    Noted.DATA, ["", _size(rows), "", digest(rows)], f"{name} {what} afterwards"
                )

    @contextlib.contextmanager
    def hooked(self, training: Training) -> Iterator[None]:
        """Note what enters and leaves each module, and what the optimiser gets and gives, for one step."""
        names = {module: name for name, module in training.model.named_modules()}

        def entering(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            name = names[module] or type(module).__name__
            self._num_calls[name] += 1
            self._note_module(Noted.ENTERS, module, name, inputs)

        def leaving(module: nn.Module, _inputs: tuple[Any, ...], outputs: object) -> None:
            self._note_module(Noted.LEAVES, module, names[module] or type(module).__name__, outputs)

        def updating(*_: object) -> None:
            for name, parameter in training.model.named_parameters():
                if parameter.grad is not None:
                    self.note(Noted.GRADIENTS, digest(parameter.grad), name)

        def updated(*_: object) -> None:
            for name, parameter in training.model.named_parameters():
                self.note(Noted.WEIGHTS, digest(parameter), name)

        handles = [
            *(module.register_forward_pre_hook(entering) for module in names),
            *(module.register_forward_hook(leaving) for module in names),
            training.optimizer.register_step_pre_hook(updating),
            training.optimizer.register_step_post_hook(updated),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _note_module(self, kind: Noted, module: nn.Module, name: str, value: object) -> None:
        number = self._num_calls[name]
        again = f"#{number}" if number > 1 else ""
        found = [digest(value), digest_of_random(self.device), type(module).__name__]
        self.note(kind, found, f"{name}{again}")


def _held(split: Examples | Split) -> list[tuple[str, Rows]]:
    """Return what a split holds in memory, by name; nothing of one that is streamed."""
    if isinstance(split, StreamedSplit):
        return []
    return [("inputs", split.inputs), ("targets", split.targets)]


def _size(rows: Rows) -> list[int]:
    return list(rows.shape) if isinstance(rows, Tensor) else [len(rows)]


def _default(parameter: inspect.Parameter) -> str | None:
    """Return a default as text; the address that some texts hold differs from process to process."""
    if parameter.default is parameter.empty:
        return None
    return _ADDRESS.sub("", repr(parameter.default))


def _row(built: Built, names: dict[int, str]) -> list[Any]:
    """Return [name in the model or None, class, place in the source, random numbers before]."""
    return [names.get(id(built.module)), built.kind, built.place, built.random_before]

"""One step of the trainer itself, seen from outside: the task's own methods, every module, gradients, the optimiser.

Hooks sit on the live objects, so that what is seen is what was used, not what a function gives in isolation. The step is the
trainer's ``take_step``, the look at validation its ``evaluate``.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from branchlab.domain import Seen, Stage, StageKind
from branchlab.train import randomness
from branchlab.train.parts import copied, tensors_in
from branchlab.train.probe.calls import Listening
from branchlab.train.probe.looking import glance_at, look_at, looks_at
from branchlab.train.task import Batch, Task
from branchlab.train.training import Training

_CHANNEL_AXES_MIN = 2
_BOUNDS: dict[type[nn.Module], tuple[float, float]] = {
    nn.Sigmoid: (0.0, 1.0),
    nn.Tanh: (-1.0, 1.0),
    nn.Hardtanh: (-1.0, 1.0),
    nn.ReLU6: (0.0, 6.0),
    nn.Hardsigmoid: (0.0, 1.0),
}
"""Of activations that are flat at both ends."""
_NEAR_BOUND = 0.02


class Observer:
    """Notes the stages of what is done while ``watching``.

    Args:
        training: Whose live objects are watched.
        listening: Is told in which of the task's methods the step is.
        places: Line that built each module, by its id.
        is_in_step: Whether each module draws random numbers that follow from its name, so that a module which another side
            has not does not shift what the others draw.
        model: Whose modules are watched; the one that is trained, unless said.
    """

    def __init__(
        self,
        training: Training,
        listening: Listening,
        *,
        places: dict[int, str],
        is_in_step: bool = False,
        model: nn.Module | None = None,
    ) -> None:
        self._is_in_step = is_in_step
        self.training = training
        self.model = model if model is not None else training.model
        self.stages: list[Stage] = []
        self.stored: Batch | None = None
        self.prepared: Batch | None = None
        self.augmented: Batch | None = None
        self.outputs: Any = None
        self._listening = listening
        self._places = places
        self._names = {module: name for name, module in self.model.named_modules()}
        self._num_calls: Counter[str] = Counter()
        self._open: list[_Entered] = []
        self._weights: dict[str, Tensor] = {}
        self._is_first = True
        self._last: tuple[Tensor | None, int, Seen] = (None, 0, look_at(torch.zeros(0)))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Note what happens inside."""
        task = self.training.task
        with contextlib.ExitStack() as stack:
            for name in ("prepare", "augment", "forward", "loss", "metrics"):
                after = getattr(self, f"_after_{name}", lambda *_: None)
                stack.enter_context(self._hearing(task, name, after))
            for module in self._names:
                handles = (
                    module.register_forward_pre_hook(self._entering, with_kwargs=True),
                    module.register_forward_hook(self._leaving, with_kwargs=True),
                )
                for handle in handles:
                    stack.callback(handle.remove)
            before = self.training.optimizer.register_step_pre_hook(self._before_update)
            after = self.training.optimizer.register_step_post_hook(self._after_update)
            stack.callback(before.remove)
            stack.callback(after.remove)
            stack.enter_context(self._listening)
            yield

    @contextlib.contextmanager
    def _hearing(self, task: Task, name: str, after: Callable[..., None]) -> Iterator[None]:
        """Let one of the task's methods say what it took and gave."""
        method = getattr(task, name)

        def heard(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  the task's own
            # What works in place leaves nothing of what it was given.
            is_changing = name in {"prepare", "augment"}
            given = [copied(a) if is_changing and isinstance(a, Batch) else a for a in args]
            self._listening.batch_size = next((len(b) for b in args if isinstance(b, Batch)), 0)
            outer, self._listening.scope = self._listening.scope, name
            try:
                result = method(*args, **kwargs)
            finally:
                self._listening.scope = outer
            with torch.no_grad(), torch._C.DisableTorchFunction():  # noqa: SLF001  what is looked at is no call of the project's
                after(result, *given)
            return result

        object.__setattr__(task, name, heard)
        try:
            yield
        finally:
            object.__delattr__(task, name)

    def _note(self, kind: StageKind, name: str, **more: Any) -> None:  # noqa: ANN401
        self.stages.append(Stage(kind=kind, name=name, **more))

    def _after_prepare(self, prepared: Batch, stored: Batch) -> None:
        if self.stored is None:
            self.stored, self.prepared = stored, copied(prepared)
        self._note(StageKind.STORED, "", outputs=_batch(stored))
        self._note(StageKind.PREPARED, "prepare", inputs=_batch(stored), outputs=_batch(prepared))

    def _after_augment(self, augmented: Batch, before: Batch, *_: object) -> None:
        if self.augmented is None:
            self.augmented = copied(augmented)
        self._note(StageKind.AUGMENTED, "augment", inputs=_batch(before), outputs=_batch(augmented))

    def _after_forward(self, outputs: Any, *_: object) -> None:  # noqa: ANN401
        if self.outputs is None:
            self.outputs = outputs
        self._note(StageKind.OUTPUTS, "forward", outputs=looks_at(outputs))

    def _after_loss(self, loss: Tensor | None, outputs: Any, batch: Batch) -> None:  # noqa: ANN401
        if loss is not None:
            self._note(
                StageKind.LOSS,
                "loss",
                inputs=(*looks_at(outputs), *looks_at({"targets": batch.targets})),
                outputs=looks_at(loss),
            )

    def _entering(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with torch.no_grad(), torch._C.DisableTorchFunction():  # noqa: SLF001
            name = self._names[module]
            given, is_leaf = _given(args, kwargs), not list(module.children())
            # What enters the model, and the first layer, is data still.
            is_data = not self._open or (is_leaf and self._is_first)
            looks = self._looks(given, is_data=is_data)
            if not name and not self._open:
                self._note(StageKind.ENTERS, type(module).__name__, inputs=looks)
            self._is_first = self._is_first and not is_leaf
            entered = _Entered(looks=looks, call=self._num_calls[name], random=self._random())
        self._num_calls[name] += 1
        if self._is_in_step and is_leaf:
            randomness.seed_global(0, f"probe/{name}/{entered.call}")
            entered.random = self._random()
        _wait(self.training.device)
        entered.at = time.perf_counter()
        self._open.append(entered)

    def _leaving(
        self,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        outputs: Any,  # noqa: ANN401
    ) -> None:
        _wait(self.training.device)
        entered = self._open.pop()
        took = time.perf_counter() - entered.at
        name = self._names[module]
        with torch.no_grad(), torch._C.DisableTorchFunction():  # noqa: SLF001
            measures = {"time_us": took * 1e6, "bytes": float(_num_bytes(outputs))}
            measures |= _measures(module, args, outputs)
            measures["trains"] = float(module.training)
            if self._random() != entered.random:
                measures["draws"] = 1.0
            found = Stage(
                kind=StageKind.MODULE,
                name=name,
                type=type(module).__name__,
                place=self._places.get(id(module), ""),
                call=entered.call,
                inputs=entered.looks,
                outputs=self._looks(outputs),
                measures=measures,
            )
        self.stages.append(found)
        if torch.is_grad_enabled():
            self._watch_gradient(outputs, len(self.stages) - 1)

    def _looks(self, value: Any, *, is_data: bool = False) -> tuple[Seen, ...]:  # noqa: ANN401
        """Return looks at a value; what one module gives mostly enters the next as it is, and is not looked at twice."""
        if not isinstance(value, Tensor) or is_data:
            return looks_at(value, is_data=is_data)
        known, version, look = self._last
        if known is value and version == value._version:  # noqa: SLF001  torch's own count of writes
            return (look,)
        look = look_at(value)
        self._last = (value, value._version, look)  # noqa: SLF001
        return (look,)

    def _random(self) -> int:
        """Return what tells the state of the global generators from another one."""
        numpy = sys.modules.get("numpy")
        device = self.training.device
        states = [torch.get_rng_state().numpy().tobytes(), random.getstate()]
        if numpy is not None:
            _, keys, position, *_ = numpy.random.get_state()
            states += [keys.tobytes(), position]
        if device.type == "cuda":
            states.append(torch.cuda.get_rng_state(device).numpy().tobytes())
        return hash(tuple(states))

    def _watch_gradient(self, outputs: Any, at: int) -> None:  # noqa: ANN401
        """Learn which gradient comes back to what a module gave."""
        first = next((t for _, t in tensors_in(outputs) if t.requires_grad), None)
        if first is None:
            return

        def coming(gradient: Tensor) -> None:
            with torch.no_grad():
                norm = float(gradient.detach().float().norm())
            stage = self.stages[at]
            measures = {**stage.measures, "grad_norm": norm}
            self.stages[at] = _with_measures(stage, measures)

        first.register_hook(coming)  # type: ignore[no-untyped-call]

    def _before_update(self, *_: object) -> None:
        groups = self.training.optimizer.param_groups
        known = {id(one) for group in groups for one in group["params"]}
        for name, parameter in self.training.model.named_parameters():
            self._weights[name] = parameter.detach().clone()
            gradient = parameter.grad
            measures = {
                "weight_norm": float(parameter.detach().float().norm()),
                "requires_grad": float(parameter.requires_grad),
                "has_grad": float(gradient is not None),
                "is_in_optimizer": float(id(parameter) in known),
            }
            if gradient is not None:
                measures["grad_norm"] = float(gradient.detach().float().norm())
            outputs = (look_at(gradient),) if gradient is not None else ()
            self._note(
                StageKind.GRADIENT,
                name,
                inputs=(glance_at(parameter),),
                outputs=outputs,
                measures=measures,
            )

    def _after_update(self, *_: object) -> None:
        for name, parameter in self.training.model.named_parameters():
            before = self._weights.pop(name, None)
            if before is None:
                continue
            change = float((parameter.detach() - before).float().norm())
            size = float(before.float().norm())
            measures = {"change": change, "relative_change": change / size if size else 0.0}
            self._note(StageKind.UPDATE, name, outputs=(glance_at(parameter),), measures=measures)


class _Entered:
    """A call that has not returned yet."""

    __slots__ = ("at", "call", "looks", "random")

    def __init__(self, *, looks: tuple[Seen, ...], call: int, random: int) -> None:
        self.looks, self.call, self.random = looks, call, random
        self.at = 0.0


def _with_measures(stage: Stage, measures: dict[str, float]) -> Stage:
    return replace(stage, measures=measures)


def _batch(batch: Batch) -> tuple[Seen, ...]:
    return looks_at({"inputs": batch.inputs, "targets": batch.targets}, is_data=True)


def _given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    if kwargs:
        return {**dict(enumerate(args)), **kwargs}
    return args[0] if len(args) == 1 else args


def _num_bytes(value: Any) -> int:  # noqa: ANN401
    return sum(t.numel() * t.element_size() for _, t in tensors_in(value))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _measures(module: nn.Module, args: tuple[Any, ...], outputs: Any) -> dict[str, float]:  # noqa: ANN401
    """Return what the kind of a module makes worth knowing."""
    found: dict[str, float] = {}
    first = next((t for _, t in tensors_in(outputs)), None)
    if first is None or not first.numel() or not first.is_floating_point():
        return found
    if first.ndim >= _CHANNEL_AXES_MIN:
        found |= _units(first.detach(), is_last=first.ndim == 3 or isinstance(module, nn.Linear))  # noqa: PLR2004  tokens
    bounds = _BOUNDS.get(type(module))
    if bounds is not None:
        low, high = bounds
        near = _NEAR_BOUND * (high - low)
        is_flat = (first <= low + near) | (first >= high - near)
        found["saturated"] = float(is_flat.float().mean())
    given = next((t for _, t in tensors_in(args)), None)
    if given is not None and given.shape == first.shape and given.data_ptr() != first.data_ptr():
        found["is_identity"] = float(torch.equal(given, first))
    if isinstance(module, nn.Softmax):
        found["axis"] = float(module.dim) if module.dim is not None else float("nan")
    return found


def _units(values: Tensor, *, is_last: bool) -> dict[str, float]:
    """Return the shares of channels (or of the last axis) that are zero, and that are equal, everywhere in the batch."""
    axis = values.ndim - 1 if is_last or values.ndim == 2 else 1  # noqa: PLR2004
    rows = values.transpose(0, axis).flatten(1)
    low, high = rows.amin(1), rows.amax(1)
    return {
        "units": float(len(rows)),
        "dead": float(((low == 0) & (high == 0)).float().mean()),
        "constant": float((low == high).float().mean()),
        "least": float(low.min()),
    }

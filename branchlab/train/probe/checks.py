"""What takes another pass to see: inputs that change nothing, examples that mix, augmentation that draws once for all.

Each check asks the live objects one question and gives plain numbers; what they mean is ``analysis.probe``'s business. The model
is in ``eval`` mode meanwhile, nothing keeps a gradient, and modes and generators are put back.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from branchlab.train import randomness
from branchlab.train.data import HeldSplit, Split
from branchlab.train.parts import (
    apart,
    copied,
    is_list_of_examples,
    names_of_inputs,
    tensors_in,
    with_inputs_mapped,
    with_part,
)
from branchlab.train.probe.augmentations import augmenting, pairing
from branchlab.train.task import Batch, Task
from branchlab.train.training import Training, autocast, in_layout

_CHANNELS_MAX = 8
_PIXELS_MAX = 1 << 22
_IMAGE_AXES = 4
_MAP_AXES_MIN = 3
_ROWS_MAX = 200_000
_BYTES_MAX = 2 << 30
_CLASSES_MAX = 4096
_SHOWN_MAX = 8
_FAILURE_LENGTH_MAX = 300


def check_all(training: Training, stored: Batch, prepared: Batch) -> dict[str, Any]:
    """Ask all questions about a batch; one that fails says why, and keeps no other from being asked."""
    # Most of them begin with the same: what the model gives for the batch as it is.
    given = functools.cache(lambda: forward(training, copied(prepared)))
    checks: dict[str, Callable[[], Any]] = {
        "affine": lambda: affine(stored, prepared),
        "prepare": lambda: preparing(training.task, stored),
        "augment": lambda: augmenting(training, prepared),
        "pairing": lambda: pairing(training, prepared),
        "sensitivity": lambda: sensitivity(training, prepared, given()),
        "mixing": lambda: mixing(training, prepared, given()),
        "repeat": lambda: repeating(training, prepared),
        "targets": lambda: targets_count(training, prepared, given()),
        "modes": lambda: modes(training),
        "labels": lambda: labels(training, prepared, given()),
        "leak": lambda: leak(training.data.train, training.data.val),
    }
    found: dict[str, Any] = {}
    for name, check in checks.items():
        with randomness.undisturbed(training.device), _still(training.model):
            try:
                found[name] = check()
            except Exception as error:  # noqa: BLE001  the project's own code, asked in a way that it may not expect
                said = " ".join(f"{type(error).__name__}: {error}".split())
                found[name] = {"failed": said[:_FAILURE_LENGTH_MAX]}
    return found


@contextlib.contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """Let a model be in ``eval`` mode without gradients, and have its modes and buffers back afterwards."""
    before = {module: module.training for module in model.modules()}
    buffers = {name: one.detach().clone() for name, one in model.named_buffers()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in before.items():
            module.training = mode
        with torch.no_grad():
            for name, one in model.named_buffers():
                if name in buffers and one.shape == buffers[name].shape:
                    one.copy_(buffers[name])


def called_in_eval(training: Training, prepared: Batch) -> set[str]:
    """Return the names of the modules that ``eval`` mode calls; none where the model cannot be asked."""
    called: set[str] = set()
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: called.add(name))
        for name, module in training.model.named_modules()
    ]
    with (
        contextlib.suppress(Exception),
        randomness.undisturbed(training.device),
        _still(training.model),
    ):
        forward(training, copied(prepared))
    for handle in handles:
        handle.remove()
    return called


def forward(training: Training, batch: Batch) -> Any:  # noqa: ANN401  whatever the model gives
    """Return what the model gives for a batch, in the trainer's own layout and precision."""
    with autocast(training):
        return training.task.forward(training.model, in_layout(batch, training.recipe))


def affine(stored: Batch, prepared: Batch) -> dict[str, Any] | None:
    """Return how each channel that enters follows from the one that is stored: scale, shift, and how well a line fits."""
    before, after = stored.inputs, prepared.inputs
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return None
    if before.ndim != _IMAGE_AXES or before.shape != after.shape or before.shape[1] > _CHANNELS_MAX:
        return None
    if not after.is_floating_point() or before.numel() > _PIXELS_MAX:
        return None
    x = before.double() / (255 if before.dtype == torch.uint8 else 1)
    x, y = (value.double().transpose(0, 1).flatten(1) for value in (x, after))
    middle_x, middle_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    spread_x, spread_y = x.std(1, correction=0), y.std(1, correction=0)
    along = (((x - middle_x)[:, None] * (y - middle_y)[None]).mean(2)) / (
        spread_x[:, None] * spread_y[None]
    ).clamp_min(1e-12)  # [stored, entering]
    own = along.diagonal()
    scale = own * spread_y / spread_x.clamp_min(1e-12)
    return {
        "is_bytes": before.dtype == torch.uint8,
        "fit": (own**2).tolist(),
        "scale": scale.tolist(),
        "shift": (middle_y[:, 0] - scale * middle_x[:, 0]).tolist(),
        "stored_mean": middle_x[:, 0].tolist(),
        "stored_std": spread_x.tolist(),
        "from": along.argmax(0).tolist(),
        "fit_from": (along.amax(0) ** 2).tolist(),
        "fit_same": along[range(len(x)), range(len(x))].tolist(),
    }


def preparing(task: Task, stored: Batch) -> dict[str, Any]:
    """Return whether preparing the same batch twice gives the same."""
    once, twice = task.prepare(copied(stored)), task.prepare(copied(stored))
    return {"is_random": apart(once.inputs, twice.inputs) > 0}


def sensitivity(training: Training, prepared: Batch, base: Any) -> dict[str, float]:  # noqa: ANN401
    """Return how far outputs move, over their spread, when one part of the inputs is another example's."""
    found: dict[str, float] = {}
    is_finite = all(bool(torch.isfinite(one).all()) for _, one in tensors_in(base))
    if _has_closed_gate(training.model) or not is_finite:
        return found
    for name, tensor in names_of_inputs(prepared):
        another = _other(tensor)
        if torch.equal(another, tensor):
            continue  # a mask without anything masked: what else it might hold is not known
        found[name] = apart(base, forward(training, with_part(prepared, name, another)))
        if tensor.ndim == _IMAGE_AXES and 1 < tensor.shape[1] <= _CHANNELS_MAX:
            for channel in range(tensor.shape[1]):
                changed = tensor.clone()
                changed[:, channel] = _other(tensor[:, channel])
                moved = apart(base, forward(training, with_part(prepared, name, changed)))
                found[f"{name}[:, {channel}]"] = moved
    return found


def _has_closed_gate(model: nn.Module) -> bool:
    """Whether weights are 0 still, as some last layers and gates begin: nothing that enters shows behind them yet."""
    return any(
        parameter.requires_grad
        and "bias" not in name
        and parameter.numel() > 0
        and not bool(parameter.any())
        for name, parameter in model.named_parameters()
    )


def _other(tensor: Tensor) -> Tensor:
    """Return what other examples hold there; where all hold the same, something else of the same kind."""
    rolled = tensor.roll(1, 0)
    if not torch.equal(rolled, tensor):
        return rolled
    if tensor.is_floating_point():
        return torch.rand_like(tensor)
    return tensor.flip(-1)


def mixing(training: Training, prepared: Batch, base: Any) -> dict[str, float] | None:  # noqa: ANN401
    """Return how far the outputs of other examples move when the last one is another; 0 where examples do not meet."""
    if len(prepared) < 2 or is_list_of_examples(prepared.inputs, len(prepared)):  # noqa: PLR2004
        return None  # images of other sizes change what the others are padded to
    others = _others(base, len(prepared))

    def changed(tensor: Tensor) -> Tensor:
        if not tensor.ndim or len(tensor) != len(prepared):
            return tensor
        another = tensor.clone()
        another[-1] = tensor[0].flip(-1) if tensor.ndim > 1 else tensor[0]
        return another

    moved = _others(forward(training, with_inputs_mapped(prepared, changed)), len(prepared))
    return {"others": apart(others, moved)} if others else None


def _others(outputs: Any, size: int) -> list[Tensor]:  # noqa: ANN401
    if is_list_of_examples(outputs, size):
        return [one for _, one in tensors_in(outputs[:-1])]
    return [
        one[:-1]
        for _, one in tensors_in(outputs)
        # Of each example with each other one, all are meant to see each other.
        if one.ndim and len(one) == size and tuple(one.shape) != (size, size)
    ]


def repeating(training: Training, prepared: Batch) -> dict[str, Any]:
    """Return whether the model gives the same twice in ``eval`` mode, and whether what it gives differs between examples."""
    once, twice = (
        forward(training, prepared),
        forward(training, prepared),
    )  # drawn one after the other
    held = [] if is_list_of_examples(once, len(prepared)) else [one for _, one in tensors_in(once)]
    first = next((one for one in held if one.ndim and len(one) == len(prepared)), None)
    is_constant = (
        first is not None
        and len(prepared) > 1
        and bool((first == first[:1]).all())
        and not all(bool((one == one[:1]).all()) for _, one in names_of_inputs(prepared))
        and bool(torch.isfinite(first).all())
        and not _has_closed_gate(training.model)
    )
    return {"is_random": apart(once, twice) > 0, "is_constant": is_constant}


def targets_count(training: Training, prepared: Batch, base: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """Return whether the loss depends on the targets."""
    if not isinstance(prepared.targets, Tensor) or len(prepared) < 2:  # noqa: PLR2004
        return None
    targets = prepared.targets
    # One order for another leaves a mean as it is where all outputs are alike, so that one target for all is tried too.
    others = [targets.roll(1, 0), targets[:1].expand_as(targets).clone()]
    logits = [one for _, one in tensors_in(base) if one.numel()]
    if torch.equal(others[0], targets) or all(bool((one == one.min()).all()) for one in logits):
        return None
    rolled = with_inputs_mapped(prepared, lambda one: one.roll(1, 0) if one.ndim else one)
    with autocast(training):
        loss = training.task.loss(base, prepared)
        moved = [training.task.loss(base, replace(prepared, targets=one)) for one in others]
        by_inputs = training.task.loss(base, rolled)
    if loss is None or by_inputs is None:
        return None
    return {
        "moves": max(abs(float(loss) - float(one)) for one in moved if one is not None),
        # What is learnt from the images themselves (an autoencoder) needs no targets.
        "moves_by_inputs": abs(float(loss) - float(by_inputs)),
    }


def modes(training: Training) -> dict[str, list[str]]:
    """Return modules that stay in training when the model is asked to ``eval``."""
    names = [
        name
        for name, module in training.model.named_modules()
        if module.training and _depends_on_mode(module)
    ]
    return {"still_training": names[:_SHOWN_MAX]}


def _depends_on_mode(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd)  # noqa: SLF001  torch's own bases


def sharing_memory(model: nn.Module) -> list[list[str]]:
    """Return pairs of parameters that hold the same memory and are two to the optimiser all the same."""
    known: dict[tuple[int, int], str] = {}
    pairs = []
    for name, parameter in model.named_parameters():
        if not parameter.numel():
            continue
        other = known.setdefault((parameter.data_ptr(), parameter.numel()), name)
        if other != name:
            pairs.append([other, name])
    return pairs[:_SHOWN_MAX]


def labels(training: Training, prepared: Batch, base: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """Return how often each class occurs in the training set, and how many the model tells apart."""
    split = training.data.train
    if not isinstance(split, HeldSplit) or not isinstance(split.targets, Tensor):
        return None
    targets = split.targets
    if targets.is_floating_point() or targets.ndim not in {1, _MAP_AXES_MIN}:
        return None
    whole = targets.reshape(-1)
    counted = whole[(whole >= 0) & (whole < _CLASSES_MAX)]
    first = next((one for _, one in tensors_in(base) if one.ndim > 1), None)
    is_map = targets.ndim == _MAP_AXES_MIN
    return {
        "counts": torch.bincount(counted.cpu()).tolist(),
        "low": int(whole.min()),
        "high": int(whole.max()),
        "is_map": is_map,
        "num_outputs": int(first.shape[1]) if first is not None else None,
        "map_sizes": [list(targets.shape[-2:]), _size_of(prepared)] if is_map else None,
    }


def _size_of(prepared: Batch) -> list[int] | None:
    found = next((one for _, one in names_of_inputs(prepared) if one.ndim == _IMAGE_AXES), None)
    return list(found.shape[-2:]) if found is not None else None


def leak(train: Split, val: Split) -> dict[str, Any] | None:
    """Return how many examples of validation stand, to the byte, in the training set too, and which."""
    hashes = [_hashes(split) for split in (train, val)]
    if hashes[0] is None or hashes[1] is None:
        return None
    known = set(hashes[0])
    again = [row for row, one in enumerate(hashes[1]) if one in known]
    return {"num": len(again), "of": len(hashes[1]), "rows": again[:_SHOWN_MAX]}


def _hashes(split: Split) -> list[bytes] | None:
    if not isinstance(split, HeldSplit) or not isinstance(split.inputs, Tensor):
        return None
    inputs = split.inputs
    if len(inputs) > _ROWS_MAX or inputs.numel() * inputs.element_size() > _BYTES_MAX:
        return None
    rows = (
        inputs.detach().cpu().contiguous().flatten(1) if inputs.ndim > 1 else inputs[:, None].cpu()
    )
    held = rows.view(torch.uint8).numpy() if rows.dtype != torch.uint8 else rows.numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=12).digest() for row in held]

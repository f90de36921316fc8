"""What augmentation draws, from where, and whether maps that belong together are still in step after it."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from branchlab.train import randomness
from branchlab.train.parts import (
    apart,
    copied,
    is_list_of_examples,
    names_of_inputs,
    rows_of,
    tensors_in,
    with_inputs_mapped,
)
from branchlab.train.task import Batch, Task
from branchlab.train.training import Training

_IMAGE_AXES = 4
_MAP_AXES_MIN = 3
_CELLS = 8
_HALF = 0.5
_DRAWS = 6
_IN_STEP = 0.4
"""Correlation of two maps that went through the same; blur, brightness and small erased parts leave more."""
_SHIFT_MAX = 2
_SAME_MIN = 0.97
_EXAMPLES_MAX = 8


def augmenting(training: Training, prepared: Batch) -> dict[str, Any]:
    """Return what augmentation draws: nothing, once for all, for each image; and from where."""
    task = training.task
    if getattr(type(task), "augment", None) is Task.augment:
        return {"is_there": False}
    same = rows_of(prepared, torch.zeros(len(prepared), dtype=torch.long))

    def augmented(seed: int, outside: int) -> Batch:
        randomness.seed_global(outside, "probe")
        return task.augment(copied(same), randomness.generator(seed, "probe", training.device))

    first, again, outside = augmented(1, 1), augmented(1, 1), augmented(1, 2)
    others = [
        augmented(seed, 1) for seed in range(2, 2 + _DRAWS)
    ]  # a coin may fall alike a few times
    is_random = any(apart(first.inputs, one.inputs) > 0 for one in (outside, *others))
    made = (first, *others)
    # Another size for each batch is one for all of its images, and meant so.
    is_of_one_size = len({str([one.shape for _, one in tensors_in(m.inputs)]) for m in made}) == 1
    is_shared = is_random and is_of_one_size and all(_are_rows_alike(one) for one in made)
    return {
        "is_there": True,
        "is_random": is_random,
        "is_shared": is_shared and len(prepared) > 1,
        "draws_outside": apart(first.inputs, outside.inputs) > 0,
        "is_repeatable": apart(first.inputs, again.inputs) == 0,
        "changes": apart(same.inputs, first.inputs),
    }


def _are_rows_alike(batch: Batch) -> bool:
    """Whether all examples of a batch hold the same."""
    if is_list_of_examples(batch.inputs, len(batch)):
        return all(apart(one, batch.inputs[0]) == 0 for one in batch.inputs)
    rows = [one for _, one in names_of_inputs(batch) if one.ndim > 1]
    return bool(rows) and all(bool((one == one[:1]).all()) for one in rows)


def pairing(training: Training, prepared: Batch) -> dict[str, Any] | None:
    """Return whether maps that belong together are still in step after augmentation: images, masks, segmentations.

    All of them are given the same pattern, another one for each example. What comes back is compared with each other.
    """
    maps = _maps(prepared)
    if len(maps) < 2 or getattr(type(training.task), "augment", None) is Task.augment:  # noqa: PLR2004  a pair
        return None
    height, width = maps[0][1].shape[-2:]
    draws = torch.Generator().manual_seed(0)
    cells = torch.rand(len(prepared), 1, _CELLS, _CELLS, generator=draws)
    pattern = (nn.functional.interpolate(cells, (height, width)) > _HALF)[:, 0]  # [B, H, W]

    def patterned(tensor: Tensor) -> Tensor:
        shown = pattern.to(tensor.device)
        if tensor.ndim == _IMAGE_AXES:
            shown = shown[:, None].expand(tensor.shape)
        return shown.to(tensor.dtype).clone()

    chosen = {id(tensor) for _, tensor in maps}
    inputs = with_inputs_mapped(prepared, lambda t: patterned(t) if id(t) in chosen else t).inputs
    is_paired = isinstance(prepared.targets, Tensor) and id(prepared.targets) in chosen
    targets = patterned(prepared.targets) if is_paired else prepared.targets
    before = Batch(inputs, targets, prepared.ids)
    along: dict[str, list[float]] = {}
    shifts: dict[str, set[tuple[int, int]]] = {}
    reference = maps[0][0]
    for seed in range(_DRAWS):
        given = randomness.generator(seed, "probe", training.device)
        found = dict(_maps(training.task.augment(copied(before), given)))
        for name, _ in maps[1:]:
            if name in found and reference in found:
                along.setdefault(name, []).extend(_agreement(found[reference], found[name]))
                shifts.setdefault(name, set()).update(_shifts(found[reference], found[name]))
    alike = {name: next(iter(one)) for name, one in shifts.items() if len(one) == 1}
    return {
        "with": reference,
        "shifted": {name: list(shift) for name, shift in alike.items() if shift != (0, 0)},
        "out_of_step": {
            name: sum(one < _IN_STEP for one in values) / len(values)
            for name, values in along.items()
            if values
        },
    }


def _maps(batch: Batch) -> list[tuple[str, Tensor]]:
    """Return tensors of a batch with a value for each place: images [B, C, H, W], masks [B, H, W]."""
    held = [*names_of_inputs(batch)]
    if isinstance(batch.targets, Tensor):
        held.append(("targets", batch.targets))
    maps = [(name, one) for name, one in held if one.ndim in {_MAP_AXES_MIN, _IMAGE_AXES}]
    sizes = [tuple(one.shape[-2:]) for _, one in maps]
    return [pair for pair, size in zip(maps, sizes, strict=True) if size == sizes[0]]


def _agreement(one: Tensor, other: Tensor) -> list[float]:
    """Return the correlation of two maps for each example; those without a pattern are left out."""
    a, b = (
        (value if value.ndim == _MAP_AXES_MIN else value.double().mean(1)).double().cpu().flatten(1)
        for value in (one, other)
    )
    if a.shape != b.shape:
        return [0.0] * len(a)
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    size = a.norm(dim=1) * b.norm(dim=1)
    is_patterned = size > 0
    along = (a * b).sum(1)[is_patterned] / size[is_patterned]
    return [abs(float(value)) for value in along]  # one that is inverted is in step all the same


def _shifts(one: Tensor, other: Tensor) -> set[tuple[int, int]]:
    """Return by how many rows and columns a map lies beside another one, where it is the same otherwise."""
    found = set()
    if one.shape[-2:] != other.shape[-2:]:
        return {(0, 0)}
    steps = range(-_SHIFT_MAX, _SHIFT_MAX + 1)
    # The least first, so that a map that has one value alone counts as in step.
    shifts = sorted(itertools.product(steps, steps), key=lambda pair: abs(pair[0]) + abs(pair[1]))
    for row in range(min(len(one), _EXAMPLES_MAX)):
        a, b = one[row : row + 1], other[row : row + 1]
        along = {s: sum(_agreement(a.roll(s, (-2, -1)), b)) for s in shifts}
        best = max(shifts, key=lambda s: along[s])
        is_clear = along[best] > _SAME_MIN and along[best] - along[0, 0] > 1 - _SAME_MIN
        found.add(best if is_clear else (0, 0))
    return found

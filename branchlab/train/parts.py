"""Batches taken apart and put together again, whatever they are made of: tensors, lists, tables of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from branchlab.train.task import Batch

_DEPTH_MAX = 4


def tensors_in(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:  # noqa: ANN401  whatever flows
    """Yield the tensors that a value holds with their places in it, as ``0.boxes``."""
    if isinstance(value, Tensor):
        yield name, value
        return
    if depth >= _DEPTH_MAX:
        return
    for key, one in _parts(value):
        yield from tensors_in(one, f"{name}.{key}" if name else str(key), depth + 1)


def _parts(value: Any) -> Iterator[tuple[object, Any]]:  # noqa: ANN401
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        yield from enumerate(value)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((one.name, getattr(value, one.name)) for one in fields(value))


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:  # noqa: ANN401  whatever flows
    """Return a value with every tensor in it changed; all else as it is."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: mapped(one, change) for name, one in value.items()}
    if isinstance(value, list):
        return [mapped(one, change) for one in value]
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(mapped(one, change) for one in value)
    return value


def with_inputs_mapped(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Return a batch with every tensor of its inputs changed."""
    return batch.with_inputs(mapped(batch.inputs, change))


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    """Return a batch of the examples at ``rows`` (Int[Tensor, "B"])."""
    size = len(batch)

    def picked(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, Tensor) and value.ndim and len(value) == size:
            return value[rows.to(value.device)]
        if is_list_of_examples(value, size):
            return type(value)(value[row] for row in rows.tolist())
        if isinstance(value, Mapping):
            return {name: picked(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(picked(one) for one in value)
        return value

    return replace(
        batch, inputs=picked(batch.inputs), targets=picked(batch.targets), ids=picked(batch.ids)
    )


def names_of_inputs(batch: Batch) -> list[tuple[str, Tensor]]:
    """Return the tensors of a batch's inputs that hold one value an example, with their places."""
    if is_list_of_examples(batch.inputs, len(batch)):
        return []
    return [
        (name or "inputs", tensor)
        for name, tensor in tensors_in(batch.inputs)
        if tensor.ndim and len(tensor) == len(batch)
    ]


def is_list_of_examples(value: object, size: int) -> bool:
    """Whether a value is one thing an example (images of different sizes), not a few tensors with a row an example each."""
    if not isinstance(value, list | tuple) or len(value) != size:
        return False
    rows = [one for one in value if isinstance(one, Tensor) and one.ndim and len(one) == size]
    return isinstance(value, list) or len(rows) < size


def copied(batch: Batch) -> Batch:
    """Return a batch that stays as it is, whatever is done in place to the one that is given."""
    return replace(
        batch,
        inputs=mapped(batch.inputs, Tensor.clone),
        targets=mapped(batch.targets, Tensor.clone),
    )


def with_part(batch: Batch, name: str, changed: Tensor) -> Batch:
    """Return a batch in which one tensor of the inputs, found by its place, is another."""
    found = dict(names_of_inputs(batch))[name]
    return with_inputs_mapped(batch, lambda tensor: changed if tensor is found else tensor)


def apart(one: Any, other: Any) -> float:  # noqa: ANN401
    """Return how far two values are from each other at most, over the spread of the first; infinite for other shapes."""
    largest = 0.0
    pairs = zip(tensors_in(one), tensors_in(other), strict=False)
    for (_, a), (_, b) in pairs:
        if a.shape != b.shape:
            return float("inf")
        if not a.numel():
            continue
        ours, theirs = a.detach().double(), b.detach().double()
        scale = float(ours.std(correction=0)) or float(ours.abs().max()) or 1.0
        difference = torch.nan_to_num((ours - theirs).abs(), nan=0.0, posinf=0.0)
        largest = max(largest, float(difference.max()) / scale)
    return largest

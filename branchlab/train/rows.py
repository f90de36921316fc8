"""Values of many examples side by side: a tensor with a row for each, or a list where they differ in shape or are no tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from branchlab.train.task import Rows


def together(values: Sequence[Any]) -> Rows:
    """Return values as one tensor where they are numbers or tensors (images) of one shape, else as a list of tensors or tables."""
    held = [as_tensors(value) for value in values]
    is_one = all(isinstance(value, Tensor) for value in held)
    if is_one and len({(value.shape, value.dtype) for value in held}) == 1:
        return torch.stack(held)
    return held


def take(rows: Rows, positions: Tensor) -> Rows:
    """Return the values at some positions (Int[Tensor, "B"])."""
    if isinstance(rows, Tensor):
        return rows.index_select(0, positions)
    return [rows[position] for position in positions.tolist()]


def sent(value: Any, device: torch.device) -> Any:  # noqa: ANN401  nested lists and tables of tensors
    """Return a value with all its tensors on a device; to a GPU from pinned memory, so that nobody waits for the copy."""
    if isinstance(value, Tensor):
        if device.type == "cuda" and value.device.type == "cpu" and not value.is_pinned():
            value = value.pin_memory()
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {name: sent(one, device) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [sent(one, device) for one in value]
    return value


def num_bytes(value: Any) -> int:  # noqa: ANN401
    """Return how much memory the tensors of a value take."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(num_bytes(one) for one in value.values())
    if isinstance(value, list | tuple):
        return sum(num_bytes(one) for one in value)
    return 0


def pair(item: Any, position: int) -> tuple[Any, Any]:  # noqa: ANN401  whatever a Dataset gives
    """Return an item of a Dataset as (image, target).

    Raises:
        TypeError: It is no such pair.
    """
    if not (isinstance(item, tuple | list) and len(item) == 2):  # noqa: PLR2004  a pair
        raise TypeError(
            f"item {position} is a {type(item).__name__}; each item must be (image, target)"
        )
    if not (isinstance(item[0], Tensor) or _is_picture(item[0])):
        raise TypeError(
            f"the image of item {position} is a {type(item[0]).__name__}; each item must be (image, target) "
            f"with a tensor or a picture of PIL as its image"
        )
    return item[0], item[1]


def as_tensors(value: Any) -> Any:  # noqa: ANN401  nested lists and tables
    """Return a value with pictures, numbers and arrays as tensors, in tables too; text stays what it is."""
    if isinstance(value, Tensor | str | bytes) or value is None:
        return value
    if isinstance(value, Mapping):
        return {name: as_tensors(one) for name, one in value.items()}
    if isinstance(value, tuple) or (isinstance(value, list) and not _is_numbers(value)):
        return [as_tensors(one) for one in value]
    if _is_picture(value):
        from torchvision.transforms.functional import pil_to_tensor

        return pil_to_tensor(value)
    return torch.as_tensor(value)


def _is_picture(value: object) -> bool:
    return hasattr(value, "getbands")  # PIL's, which is not imported for a look


def _is_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, bool | int | float) for value in values)

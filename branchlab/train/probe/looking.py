"""One tensor in numbers: cheap enough for every input and output of every module (some 1.4 times a bare step)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from branchlab.domain import Seen
from branchlab.train.parts import tensors_in

_NUM_PRINTS = 64
_DISTINCT_MAX = 1024
_DISTINCT_SIZE_MAX = 1 << 22
_TENSORS_MAX = 24
_IMAGE_AXES = 4
_CHANNELS_MAX = 16


def looks_at(value: Any, *, is_data: bool = False) -> tuple[Seen, ...]:  # noqa: ANN401  whatever flows
    """Return a look at each tensor that a value holds, the first ones where there are very many."""
    found: list[Seen] = []
    for name, tensor in tensors_in(value):
        if len(found) == _TENSORS_MAX:
            break
        found.append(look_at(tensor, name, is_data=is_data))
    return tuple(found)


@torch.no_grad()
def look_at(tensor: Tensor, name: str = "", *, is_data: bool = False) -> Seen:
    """Return a tensor in numbers.

    ``is_data``: whether also labels are counted, and edges and channels looked at, as is worth while for what enters.
    """
    held = tensor.detach()
    if held.layout is not torch.strided or held.is_quantized:
        held = held.to_dense() if not held.is_quantized else held.dequantize()
    plain: dict[str, Any] = {
        "name": name,
        "shape": tuple(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "device": tensor.device.type,
        "layout": _layout(held),
    }
    if held.is_complex():
        held = held.abs()
    if not held.numel() or held.device.type == "meta":
        return Seen(**plain)
    # As it lies in memory: no number here depends on the order, and a copy would cost more than all of them.
    values = held.double() if held.numel() < _NUM_PRINTS else held.float()
    low, high = (float(one) for one in torch.aminmax(values))
    numbers: dict[str, Any] = {
        "zeros": 1.0 - float(torch.count_nonzero(values)) / values.numel(),
        "prints": _prints(held),
    }
    if not (math.isfinite(low) and math.isfinite(high)):
        num_nan = int(torch.isnan(values).sum())
        finite = values[torch.isfinite(values)]
        numbers |= {"nan": num_nan, "inf": values.numel() - finite.numel() - num_nan}
        values = finite
        if not values.numel():
            return Seen(**plain, **numbers)
        low, high = (float(one) for one in torch.aminmax(values))
    variance, mean = torch.var_mean(values, correction=0)
    numbers |= {"low": low, "high": high, "mean": float(mean), "std": float(variance) ** 0.5}
    if is_data:
        numbers |= {
            "edges": (
                float((values == low).float().mean()),
                float((values == high).float().mean()),
            ),
            "distinct": _distinct(values, low, high),
            "channels": _channels(held),
        }
    return Seen(**plain, **numbers)


@torch.no_grad()
def glance_at(tensor: Tensor) -> Seen:
    """Return what a tensor is and some of its values; nothing that needs all of them."""
    held = tensor.detach()
    return Seen(
        name="",
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=tensor.device.type,
        layout=_layout(held),
        prints=_prints(held) if held.numel() else (),
    )


def _layout(value: Tensor) -> str:
    if any(
        stride == 0 and size > 1 for stride, size in zip(value.stride(), value.shape, strict=True)
    ):
        return "expanded"
    if value.is_contiguous():
        return "contiguous"
    if value.ndim == _IMAGE_AXES and value.is_contiguous(memory_format=torch.channels_last):
        return "channels_last"
    return "strided"


def _prints(held: Tensor) -> tuple[float, ...]:
    if held.numel() <= _NUM_PRINTS:
        chosen = held.reshape(-1).double()
    else:
        at = torch.linspace(0, held.numel() - 1, _NUM_PRINTS, device=held.device).long()
        places = torch.unravel_index(at, held.shape)
        chosen = held[places].double()
    return tuple(float(f"{one:.9g}") if math.isfinite(one) else one for one in chosen.tolist())


def _distinct(finite: Tensor, low: float, high: float) -> int | None:
    """Return how many different values there are, where all are whole numbers and few."""
    if high - low >= _DISTINCT_MAX or finite.numel() > _DISTINCT_SIZE_MAX:
        return None
    if not bool((finite == finite.round()).all()):
        return None
    counts = torch.bincount((finite - low).reshape(-1).long(), minlength=1)
    return int((counts > 0).sum())


def _channels(held: Tensor) -> tuple[tuple[float, float], ...]:
    """Return (mean, std) of each channel of a batch of images."""
    if held.ndim != _IMAGE_AXES or held.shape[1] > _CHANNELS_MAX:
        return ()
    values = held.double().transpose(0, 1).flatten(1)
    return tuple(
        (float(mean), float(std))
        for mean, std in zip(values.mean(1), values.std(1, correction=0), strict=True)
    )

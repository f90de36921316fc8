"""Bits as short texts: equal for equal bits, so that two trainings can be compared without keeping what they held."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from branchlab.train import randomness

_LENGTH = 16


def digest(value: object) -> str:
    """Return a digest of tensors, in whatever they are held; of anything else, of its type and text."""
    hasher = hashlib.sha1(usedforsecurity=False)
    _feed(hasher, value)
    return hasher.hexdigest()[:_LENGTH]


def digest_of_random(device: torch.device) -> str:
    """Return a digest of the state of every global generator."""
    state = randomness.snapshot(device)
    version, internal, gauss = state["python"]
    hasher = hashlib.sha1(repr((version, internal, gauss)).encode(), usedforsecurity=False)
    hasher.update(repr(state.get("numpy")).encode())
    _feed(hasher, state["torch"])
    if "cuda" in state:
        _feed(hasher, state["cuda"])
    return hasher.hexdigest()[:_LENGTH]


def digest_of_rows(values: Tensor) -> str:
    """Return a digest of the rows of a tensor whatever their order; it tells another order from other data."""
    content = _plain(values)
    rows = content.reshape(len(values), -1) if len(values) else content.reshape(0, 0)
    each = sorted(
        hashlib.sha1(row.tobytes(), usedforsecurity=False).digest() for row in rows.numpy()
    )
    return hashlib.sha1(b"".join(each), usedforsecurity=False).hexdigest()[:_LENGTH]


def _feed(hasher: Any, value: object) -> None:  # noqa: ANN401  hashlib has no public type
    if isinstance(value, Tensor):
        hasher.update(f"{value.dtype}{tuple(value.shape)}".encode())
        hasher.update(_plain(value).numpy().tobytes())
    elif isinstance(value, Mapping):
        for name in value:
            hasher.update(repr(name).encode())
            _feed(hasher, value[name])
    elif isinstance(value, str | bytes | bool | int | float | None):
        hasher.update(repr(value).encode())
    elif isinstance(value, Sequence):
        for one in value:
            _feed(hasher, one)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            _feed(hasher, getattr(value, field.name))
    else:
        hasher.update(type(value).__qualname__.encode())


def _plain(value: Tensor) -> Tensor:
    """Return the bits of a tensor as bytes on the CPU, in the order of its axes whatever its memory layout."""
    held = value.detach()
    if held.layout is not torch.strided or held.is_quantized:
        held = held.to_dense() if not held.is_quantized else held.int_repr()
    held = held.cpu().contiguous()
    if held.is_complex():
        held = torch.view_as_real(held).contiguous()
    return held.reshape(-1).view(torch.uint8)

"""Where random numbers come from: one stream for each purpose, all derived from the run's seed.

Separate streams keep branches comparable: a branch whose model draws more numbers at construction still sees the same
batches, the same augmentation draws and the same dropout stream as main at the same seed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import torch


def derive_seed(seed: int, purpose: str) -> int:
    """Return a 63-bit seed for one purpose of a run."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_global(seed: int, purpose: str) -> None:
    """Seed Python's, NumPy's (where the project has loaded it) and torch's global generators."""
    derived = derive_seed(seed, purpose)
    random.seed(derived)
    torch.manual_seed(derived)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(derived % 2**32)


def seed_cpu(seed: int, purpose: str) -> None:
    """Seed the global generators of the CPU alone; torch's own way, which thinks of GPUs, takes 200 times as long."""
    derived = derive_seed(seed, purpose)
    random.seed(derived)
    torch.default_generator.manual_seed(derived)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(derived % 2**32)


def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of its own for one purpose."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, purpose))


def make_deterministic(*, is_on: bool) -> None:
    """Ask torch for the same bits every time; an operation that can't give them then raises, naming itself."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(is_on)
    torch.backends.cudnn.benchmark = not is_on


def snapshot(device: torch.device) -> dict[str, Any]:
    """Return the state of every global generator as tensors and plain types."""
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        kind, keys, position, has_gauss, cached = numpy.random.get_state()
        state["numpy"] = [kind, keys.tolist(), int(position), int(has_gauss), float(cached)]
    return state


def restore(state: dict[str, Any], device: torch.device) -> None:
    """Put every global generator back to where ``snapshot`` found it."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy" in state:
        kind, keys, position, has_gauss, cached = state["numpy"]
        numpy.random.set_state(
            (kind, numpy.array(keys, dtype="uint32"), position, has_gauss, cached)
        )


@contextlib.contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Put the global generators back afterwards: what is drawn for a look at the model is no part of its training."""
    before = snapshot(device)
    try:
        yield
    finally:
        restore(before, device)

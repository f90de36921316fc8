"""Augmentation of a whole batch at once: what belongs to one scene is moved by one draw."""

from __future__ import annotations

import torch
from torch import Tensor


def random_flip(generator: torch.Generator, *maps: Tensor) -> list[Tensor]:
    """Mirror about half of the scenes left to right, in all their maps ([B, ..., H, W]) alike."""
    num, device = len(maps[0]), maps[0].device
    is_flipped = torch.rand(num, generator=generator, device=device) < 0.5
    return [torch.where(is_flipped.view(-1, *[1] * (m.ndim - 1)), m.flip(-1), m) for m in maps]

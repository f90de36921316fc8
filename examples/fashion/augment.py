"""Augmentation of a whole batch at once, with random numbers of its own for each image.

The trap: a random transform of torchvision's v2, called on a batch, draws once and treats all images alike. Here the
draw has B rows, and indexing carries it to the pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror about half of the images [B, C, H, W], left to right."""
    is_flipped = torch.rand(len(images), generator=generator, device=images.device) < 0.5  # [B]
    return torch.where(is_flipped[:, None, None, None], images.flip(3), images)

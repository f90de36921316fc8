"""Scenes: one to three garments on textured ground, in colour, with exact masks; the same scenes for the same seed, everywhere.

Whatever is drawn comes from one generator on the CPU. A garment has any colour, and so has the ground: what a pixel is can only
be told from shape and shading, which a superpixel holds together.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

SIDE = 64
_SIZE = 40
"""Of a garment; it may reach over the border of its scene by so many pixels:"""
_OVER = 6
_SHARES = (1.0, 0.7, 0.4)
"""Of scenes that have a first, a second, a third garment."""


def compose(garments: Tensor, classes: Tensor, num: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Return scenes (UInt8[Tensor, "N 3 64 64"]) and masks (UInt8[Tensor, "N 64 64"], a class a pixel, 0 for the ground).

    Args:
        garments: UInt8[Tensor, "M 28 28"], 0 around them.
        classes: Int[Tensor, "M"], from 1 on.
        num: How many scenes.
        seed: Of all that is drawn.
    """
    source = torch.Generator().manual_seed(seed)
    scenes, masks = _grounds(num, source), torch.zeros(num, SIDE, SIDE, dtype=torch.long)
    shapes = interpolate(garments[:, None].float() / 255, size=(_SIZE, _SIZE), mode="nearest")[:, 0]
    chance = 1 / classes.bincount()[classes].double()  # every class as often
    for share in _SHARES:
        is_placed = torch.rand(num, generator=source) < share
        which = torch.multinomial(chance, num, replacement=True, generator=source)
        place = torch.randint(SIDE - _SIZE + 2 * _OVER + 1, (num, 2), generator=source)
        colour = 0.25 + 0.75 * torch.rand(num, 3, 1, 1, generator=source)
        shape = _laid_out(shapes[which], place) * is_placed[:, None, None]  # [N, 64, 64]
        is_there = shape > 0
        scenes = torch.where(is_there[:, None], shape[:, None] * colour, scenes)
        masks = torch.where(is_there, classes[which][:, None, None], masks)
    noise = 0.04 * torch.randn(scenes.shape, generator=source)
    scenes = ((scenes + noise).clamp(0, 1) * 255).round()
    return scenes.to(torch.uint8), masks.to(torch.uint8)


def _grounds(num: int, source: torch.Generator) -> Tensor:
    """Return textures: a colour, and clouds of two sizes over it."""
    colour = 0.15 + 0.6 * torch.rand(num, 3, 1, 1, generator=source)
    clouds = torch.zeros(num, 3, SIDE, SIDE)
    for cells, strength in ((4, 0.25), (16, 0.15)):
        drawn = torch.rand(num, 3, cells, cells, generator=source) - 0.5
        clouds += strength * interpolate(drawn, size=SIDE, mode="bilinear", align_corners=False)
    return (colour + clouds).clamp(0, 1)


def _laid_out(shapes: Tensor, place: Tensor) -> Tensor:
    """Return shapes on empty scenes; ``place`` is of the upper left corner, on a canvas that is larger on every side."""
    canvas = torch.zeros(len(shapes), SIDE + 2 * _OVER, SIDE + 2 * _OVER)
    scene = torch.arange(len(shapes))[:, None, None]
    along = torch.arange(_SIZE)
    canvas[scene, place[:, 0, None, None] + along[:, None], place[:, 1, None, None] + along] = (
        shapes
    )
    return canvas[:, _OVER:-_OVER, _OVER:-_OVER]

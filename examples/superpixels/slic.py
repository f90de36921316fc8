"""Superpixels by SLIC (Achanta et al. 2012): k-means over colour and place, where each pixel looks at the nine centres around it.

On whole batches and without a random number, so that a scene has the same superpixels everywhere. Small pieces that are apart from
the rest of their superpixel stay with it: what is pooled need not be connected.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad, unfold

_AT_ONCE = 32
_FAR = 1e3


def superpixels(
    images: Tensor, *, cells: int = 8, compactness: float = 0.35, steps: int = 4
) -> Tensor:
    """Return the superpixel of every pixel (UInt8[Tensor, "N H W"], 0 to cells * cells - 1) of images (UInt8[Tensor, "N 3 H W"]).

    Args:
        images: As they are stored; their sides are multiples of ``cells``.
        cells: Superpixels along each side, at most 16.
        compactness: How much a place counts beside a colour: the distance between two centres is worth so much of it.
        steps: Of k-means.
    """
    parts = [_of(part.float() / 255, cells, compactness, steps) for part in images.split(_AT_ONCE)]
    return torch.cat(parts)


def _of(images: Tensor, cells: int, compactness: float, steps: int) -> Tensor:
    num, _, height, width = images.shape
    rows = (torch.arange(height) + 0.5) / height * cells
    columns = (torch.arange(width) + 0.5) / width * cells
    place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))  # [2, H, W], in cells
    pixels = torch.cat([images, compactness * place.expand(num, -1, -1, -1)], 1)  # [N, 5, H, W]
    # Cells get an axis of their own, so that a centre meets all pixels of a cell at once.
    apart = pixels.view(num, 5, cells, height // cells, cells, width // cells)
    apart = apart.permute(0, 2, 4, 3, 5, 1).reshape(num, cells * cells, -1, 5)  # [N, K, pixels, 5]
    home = torch.arange(cells * cells)[:, None]
    label = home.expand(num, -1, apart.shape[2])
    for _ in range(steps):
        turn = _nearest(apart, _means(apart, label, cells))
        # A cell beyond the border is far from everything, so no turn leads there.
        label = home + (turn // 3 - 1) * cells + turn % 3 - 1
    label = label.view(num, cells, cells, height // cells, width // cells)
    return label.transpose(2, 3).reshape(num, height, width).to(torch.uint8)


def _nearest(pixels: Tensor, centres: Tensor) -> Tensor:
    """Return which of the nine centres around its cell is nearest to each pixel (Int[Tensor, "N K pixels"], 0 to 8)."""
    num, num_cells, _, channels = pixels.shape
    around = unfold(pad(centres, (1, 1, 1, 1), value=_FAR), 3)  # [N, 5 * 9, K]
    around = around.view(num, channels, 9, num_cells).permute(0, 3, 1, 2)  # [N, K, 5, 9]
    # The square of the distance, but for that of the pixel itself, which is the same for all nine.
    return (around.square().sum(2, keepdim=True) - 2 * pixels @ around).argmin(3)


def _means(pixels: Tensor, label: Tensor, cells: int) -> Tensor:
    """Return the mean pixel of each label, Float[Tensor, "N 5 cells cells"]; an empty one is far from everything."""
    num, channels = pixels.shape[0], pixels.shape[3]
    index = (label.flatten(1) + cells * cells * torch.arange(num)[:, None]).flatten()
    sums = torch.zeros(num * cells * cells, channels).index_add_(0, index, pixels.flatten(0, 2))
    counts = torch.bincount(index, minlength=len(sums))[:, None]
    means = torch.where(counts > 0, sums / counts.clamp(min=1), _FAR)
    return means.view(num, cells, cells, channels).permute(0, 3, 1, 2)

"""Drawing what flows through a model: images side by side, masks over them, borders of segments, how values are spread.

Everything comes out as UInt8[Tensor, "3 H W"] on the CPU, enlarged where it is too small to be looked at, and never larger than
a screen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

_SHOWN_MAX = 8
_SIDE_MIN, _SIDE_MAX = 128, 1024
_BINS = 40
_COLOUR = (1.0, 0.85, 0.0)
_PALETTE = (
    (0, 0, 0), (230, 60, 60), (60, 140, 230), (70, 180, 90), (240, 170, 40), (160, 90, 200),
    (40, 190, 190), (230, 110, 170), (140, 140, 60), (150, 150, 160),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How the finite values of a tensor are spread, in bins of one width from ``low`` to ``high``."""

    low: float
    high: float
    counts: tuple[int, ...]
    num_not_finite: int = 0


def panel(image: Tensor, *, masks: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
    """Return an image, or the first of a batch side by side, with a mask in colours and the borders of segments over it.

    Raises:
        ValueError: It is no image, or a map has another size.
    """
    batch = image.detach()
    batch = batch[None] if batch.ndim <= 3 else batch  # noqa: PLR2004  C H W
    if batch.ndim == 3:  # noqa: PLR2004  H W, with the batch before
        batch = batch[:, None]
    if batch.ndim != 4 or batch.shape[1] not in {1, 3} or not batch.numel():  # noqa: PLR2004  B C H W
        raise ValueError(
            f"has shape {tuple(image.shape)}: needs [1 or 3, H, W], or a batch of that"
        )
    batch = _in_colour(batch[:_SHOWN_MAX].cpu())
    tiles = []
    for number, one in enumerate(batch):
        tile = one
        if masks is not None:
            tile = draw_masks(tile, _of(masks, number, one))
        if segments is not None:
            tile = draw_segments(tile, _of(segments, number, one))
        tiles.append(_enlarged(tile, _SIDE_MIN))
    row = torch.cat(tiles, dim=2)
    stride = -(-max(row.shape[1:]) // _SIDE_MAX)
    return row[:, ::stride, ::stride]


def draw_masks(image: Tensor, masks: Tensor, *, alpha: float = 0.5) -> Tensor:
    """Return an image (Float[Tensor, "C H W"] in [0, 1] or UInt8) with a class a pixel (Int[Tensor, "H W"]) over it; 0 stays clear."""
    from torchvision.utils import draw_segmentation_masks

    found = masks.detach().cpu().long()
    image = _in_colour(image.detach()[None].cpu())[0]
    numbers = [number for number in torch.unique(found).tolist() if number > 0]
    if not numbers:
        return image
    apart = torch.stack([found == number for number in numbers])
    colours = [_PALETTE[1 + (number - 1) % (len(_PALETTE) - 1)] for number in numbers]
    drawn: Tensor = draw_segmentation_masks(image, apart, alpha=alpha, colors=colours)
    return drawn


def draw_segments(image: Tensor, segments: Tensor) -> Tensor:
    """Return an image with the borders between segments (Int[Tensor, "H W"]) drawn over it, enlarged so that they are seen."""
    image = _in_colour(image.detach()[None].cpu())[0]
    times = max(1, -(-_SIDE_MIN // min(image.shape[1:])))
    large = _enlarged(image, _SIDE_MIN)
    found = segments.detach().cpu().double()[None, None]
    found = found.repeat_interleave(times, 2).repeat_interleave(times, 3)
    # A border is where a window of two by two holds two labels.
    is_border = max_pool2d(found, 2, 1) != -max_pool2d(-found, 2, 1)
    border = torch.zeros(large.shape[1:], dtype=torch.bool)
    border[:-1, :-1] = is_border[0, 0]
    colour = torch.tensor([round(255 * part) for part in _COLOUR], dtype=torch.uint8)
    return torch.where(border, colour[:, None, None], large)


def histogram(values: Tensor) -> Histogram:
    """Return how values are spread."""
    held = torch.as_tensor(values).detach().float().flatten().cpu()
    finite = held[held.isfinite()]
    if not len(held):
        raise ValueError("has no value")
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    counts = torch.histc(finite, _BINS, low, high) if high > low else torch.tensor([len(finite)])
    return Histogram(
        low=low,
        high=high,
        counts=tuple(int(count) for count in counts),
        num_not_finite=len(held) - len(finite),
    )


def draw_histogram(found: Histogram, *, height: int = 96, width: int = 8) -> Tensor:
    """Return a histogram as bars, black on white."""
    counts = torch.tensor(found.counts).float()
    bars = (counts / counts.max().clamp(min=1) * height).round().long()
    is_bar = torch.arange(height, 0, -1)[:, None] <= bars  # [H, bins]
    grey = torch.where(is_bar, 40, 255).to(torch.uint8).repeat_interleave(width, 1)
    return grey[None].expand(3, -1, -1).contiguous()


def _in_colour(batch: Tensor) -> Tensor:
    """Return UInt8[Tensor, "B 3 H W"]; a map that is not in [0, 1] is spread over its range."""
    if batch.dtype == torch.bool:
        batch = batch.float()
    if batch.dtype != torch.uint8:
        values = batch.float().nan_to_num(0.0, 0.0, 0.0)
        low, high = values.min(), values.max()
        if low < 0 or high > 1:
            values = (values - low) / (high - low).clamp(min=1e-12)
        batch = (values * 255).round().to(torch.uint8)
    return batch.expand(-1, 3, -1, -1)


def _of(maps: Tensor, number: int, image: Tensor) -> Tensor:
    """Return the map of one image of a batch, in the size of that image."""
    one = maps if maps.ndim == 2 else maps[number]  # noqa: PLR2004  H W
    if one.ndim != 2 or image.shape[1] % one.shape[0] or image.shape[2] % one.shape[1]:  # noqa: PLR2004
        raise ValueError(
            f"has a map of {tuple(one.shape)} over an image of {tuple(image.shape[1:])}"
        )
    shown = interpolate(
        one.detach().cpu().double()[None, None], size=image.shape[1:], mode="nearest"
    )
    return shown[0, 0].long()


def _enlarged(image: Tensor, side: int) -> Tensor:
    times = max(1, -(-side // min(image.shape[1:])))
    return image.repeat_interleave(times, 1).repeat_interleave(times, 2)

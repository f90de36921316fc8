"""Pictures of what enters: the same examples as stored, prepared, augmented, and as the first layer gets them, row by row.

Images are brought back to what the eye knows by the line that preparation was found to follow, else by their own range; masks
and segmentations are drawn over the image with torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from branchlab.train.parts import is_list_of_examples, names_of_inputs
from branchlab.train.task import Batch

_EXAMPLES_MAX = 8
_SIDE_MIN, _SIDE_MAX = 56, 160
_GAP = 2
_IMAGE_AXES, _MAP_AXES = 4, 3
_RGB = 3
_GOLDEN = 0.618034
_ALPHA = 0.5
_MAPS_MAX = 16


def sheet(rows: Sequence[tuple[str, Batch]], *, affine: Mapping[str, Any] | None) -> Tensor | None:
    """Return a picture (UInt8[Tensor, "3 H W"]) with one row for each stage; None where nothing is an image.

    Args:
        rows: Stages by name, with the batch as it was there.
        affine: How entering channels follow from stored ones, as ``checks.affine`` found it.
    """
    lines = []
    for name, batch in rows:
        images = _image_of(batch)
        if images is None:
            continue
        shown = _visible(images[:_EXAMPLES_MAX], None if name == "stored" else affine)
        lines.append(_line(shown))
        lines += [_line(_with_map(shown, found)) for found in _maps_of(batch)]
    if not lines:
        return None
    width = max(line.shape[2] for line in lines)
    padded = [functional.pad(line, (0, width - line.shape[2], 0, _GAP)) for line in lines]
    return torch.cat(padded, 1)


def maps_of_features(features: Tensor) -> Tensor | None:
    """Return the channels of the first example of a feature map [B, C, H, W] side by side; None for anything else."""
    if features.ndim != _IMAGE_AXES:
        return None
    first = features[0, :_MAPS_MAX].detach().float().cpu()
    low = first.amin((1, 2), keepdim=True)
    high = first.amax((1, 2), keepdim=True)
    shown = (first - low) / (high - low).clamp_min(1e-12)
    return _line((shown[:, None].expand(-1, _RGB, -1, -1) * 255).byte())


def _image_of(batch: Batch) -> Tensor | None:
    if is_list_of_examples(batch.inputs, len(batch)):
        return _padded([one for one in batch.inputs[:_EXAMPLES_MAX] if isinstance(one, Tensor)])
    for _, tensor in names_of_inputs(batch):
        if tensor.ndim == _IMAGE_AXES:
            return tensor.detach().cpu()
    return None


def _padded(images: list[Tensor]) -> Tensor | None:
    """Return images of different sizes as one tensor, with room below and on the right; None where they are none."""
    if not images or any(one.ndim != _MAP_AXES or len(one) != len(images[0]) for one in images):
        return None
    height, width = (max(one.shape[axis] for one in images) for axis in (-2, -1))
    return torch.stack(
        [
            functional.pad(
                one.detach().cpu(), (0, width - one.shape[-1], 0, height - one.shape[-2])
            )
            for one in images
        ]
    )


def _maps_of(batch: Batch) -> list[Tensor]:
    """Return what is drawn over the image: whole numbers for each place, from inputs and targets."""
    held = [tensor for _, tensor in names_of_inputs(batch)]
    if isinstance(batch.targets, Tensor):
        held.append(batch.targets)
    return [
        one[:_EXAMPLES_MAX].detach().cpu()
        for one in held
        if one.ndim == _MAP_AXES and not one.is_floating_point()
    ]


def _visible(images: Tensor, affine: Mapping[str, Any] | None) -> Tensor:
    """Return images as UInt8[Tensor, "B 3 H W"]."""
    if images.dtype == torch.uint8:
        values = images.float() / 255
    else:
        values = images.float()
        if affine is not None and len(affine["scale"]) == values.shape[1]:
            scale = torch.tensor(affine["scale"])[:, None, None]
            shift = torch.tensor(affine["shift"])[:, None, None]
            values = torch.where(scale.abs() > 0, (values - shift) / scale, values)
        elif float(values.min()) < 0 or float(values.max()) > 1:
            low, high = values.min(), values.max()
            values = (values - low) / (high - low).clamp_min(1e-12)
    channels = values.shape[1]
    values = values[:, :_RGB] if channels >= _RGB else values[:, :1].expand(-1, _RGB, -1, -1)
    return (torch.nan_to_num(values).clamp(0, 1) * 255).round().byte()


def _with_map(shown: Tensor, found: Tensor) -> Tensor:
    from torchvision.utils import draw_segmentation_masks

    if found.shape[-2:] != shown.shape[-2:]:
        resized = functional.interpolate(found[:, None].float(), shown.shape[-2:], mode="nearest")
        found = resized[:, 0].long()
    drawn = []
    for image, mask in zip(shown, found, strict=True):
        names = torch.unique(mask)
        is_each = mask[None] == names[:, None, None]
        colours = [_colour(int(name)) for name in names]
        drawn.append(draw_segmentation_masks(image, is_each, alpha=_ALPHA, colors=colours))
    return torch.stack(drawn)


def _colour(number: int) -> tuple[int, int, int]:
    """Return a colour of its own for each label, the same in every picture."""
    import colorsys

    if number == 0:
        return (0, 0, 0)
    red, green, blue = colorsys.hsv_to_rgb((number * _GOLDEN) % 1, 0.75, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def _line(images: Tensor) -> Tensor:
    """Lay images [N, 3, H, W] out side by side, brought to a size that can be seen."""
    side = max(images.shape[-2:])
    factor = max(1, -(-_SIDE_MIN // side)) if side < _SIDE_MIN else 1
    if factor > 1:
        images = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    elif side > _SIDE_MAX:
        ratio = _SIDE_MAX / side
        size = tuple(max(1, round(length * ratio)) for length in images.shape[-2:])
        images = functional.interpolate(
            images.float(), size, mode="bilinear", antialias=True
        ).byte()
    padded = functional.pad(images, (0, _GAP))
    return torch.cat(list(padded), 2)

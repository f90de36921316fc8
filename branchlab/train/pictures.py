"""Pictures of what flows through a model, as PNG files."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor


def save_picture(folder: Path, name: str, picture: Tensor) -> Path:
    """Save Float[Tensor, "C H W"] in [0, 1] (or UInt8) with one or three channels; return the file.

    Raises:
        ValueError: It is no picture.
    """
    from PIL import Image

    if picture.ndim != 3 or picture.shape[0] not in {1, 3}:  # noqa: PLR2004  C H W, grey or colour
        raise ValueError(
            f"picture '{name}' has shape {tuple(picture.shape)}: expected [1 or 3, H, W]"
        )
    if picture.is_floating_point():
        picture = (picture.clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = picture.cpu().permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.png"
    image.save(path)
    return path

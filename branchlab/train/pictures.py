"""Pictures of what flows through a model, as PNG files."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from branchlab.run_folder import EventWriter, RunFolder
from branchlab.train.drawing import draw_histogram
from branchlab.train.ear import Ear


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


def keep_seen(ear: Ear, folder: RunFolder, events: EventWriter, *, epoch: int) -> None:
    """Save the pictures and histograms that a model has shown since the last time, and say what was told amiss."""
    drawn = {name: draw_histogram(one) for name, one in ear.histograms.items()}
    for name, found in ear.histograms.items():
        events.write(
            "histogram",
            name=name,
            epoch=epoch,
            low=found.low,
            high=found.high,
            counts=list(found.counts),
            num_not_finite=found.num_not_finite,
        )
    for name, picture in {**drawn, **ear.pictures}.items():
        try:
            path = save_picture(folder.pictures, f"{name}-epoch{epoch:04d}", picture)
        except OSError as error:
            ear.complain(name, f"picture '{name}' cannot be saved: {error}")
        else:
            events.write("picture", name=name, epoch=epoch, file=path.name)
    for text in ear.take_complaints():
        events.write("warning", text=text)
    ear.pictures.clear()
    ear.histograms.clear()

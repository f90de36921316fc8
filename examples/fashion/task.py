"""What the shared trainer asks for: data, model, augmentation, loss, pictures, recipe."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the usual name

from branchlab import Batch, Recipe, Splits, Task

from . import losses
from .augment import random_flip
from .data import load
from .model import ConvNet

MEAN, STD = 0.2860, 0.3530  # of all pixels of the 60,000 train images, in [0, 1]


class FashionTask(Task):
    """Classify 28x28 grey images of ten kinds of clothing.

    Args:
        data: ``sample``, a folder with the four files, or ``torchvision:ROOT`` (see data.py).
        width: Channels after the first convolution.
        loss: Name of a function in losses.py.
    """

    recipe = Recipe(epochs=10, batch_size=64, optimizer="adamw", lr=1e-2, schedule="onecycle")

    def __init__(
        self,
        *,
        data: str = "sample",
        width: int = 16,
        loss: str = "cross_entropy",
    ) -> None:
        self.source = data
        self.width = width
        self.loss_function = getattr(losses, loss)

    def data(self) -> Splits:
        return load(self.source)

    def model(self) -> nn.Module:
        return ConvNet(
            width=self.width,
        )

    def prepare(self, batch: Batch) -> Batch:
        """Turn stored bytes into floats of mean 0 and deviation 1."""
        return batch.with_inputs((batch.inputs.float() / 255 - MEAN) / STD)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        images = random_flip(batch.inputs, generator)
        return batch.with_inputs(images)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return self.loss_function(outputs, batch.targets)

    def pictures(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return what entered the model, eight images a row."""
        images = (batch.inputs[:64].float() * STD + MEAN).clamp(0, 1)  # [N, 1, 28, 28]
        return {"inputs": grid(images)}


def grid(images: Tensor, columns: int = 8) -> Tensor:
    """Lay images [N, C, H, W] out in one picture [C, rows * H, columns * W]; what is left over stays black."""
    num, channels, height, width = images.shape
    rows = -(-num // columns)
    padded = F.pad(images, (0, 0, 0, 0, 0, 0, 0, rows * columns - num))
    return (
        padded.view(rows, columns, channels, height, width)
        .permute(2, 0, 3, 1, 4)  # [C, rows, H, columns, W]
        .reshape(channels, rows * height, columns * width)
    )

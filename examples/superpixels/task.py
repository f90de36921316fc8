"""What the shared trainer asks for: data, model, augmentation, loss, metrics, pictures, recipe."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the usual name

from branchlab import (
    Batch,
    Examples,
    Recipe,
    Splits,
    Task,
    draw_masks,
    draw_segments,
    iou_per_class,
    log_table,
)

from . import garments
from .augment import random_flip
from .model import NUM_SEGMENTS, SuperpixelNet
from .scenes import compose
from .slic import superpixels

NUM_SCENES = {"train": 640, "val": 160, "test": 160}
SEEDS = {"train": 1, "val": 2, "test": 3}  # never the run's: all runs see the same scenes


class SuperpixelTask(Task):
    """Segment scenes of garments, 64 by 64 pixels, with the help of their superpixels.

    A stored input has four channels, the image and the number of each pixel's superpixel; a prepared one is a table of ``image``
    (Float[Tensor, "B 3 H W"]) and ``segments`` (Int[Tensor, "B H W"]). Targets are masks (Int[Tensor, "B H W"]).

    Args:
        data: ``sample``, or a folder with Fashion-MNIST's files (see garments.py).
        width: Channels of the pixels' features.
    """

    recipe = Recipe(epochs=16, batch_size=16, optimizer="adamw", lr=6e-3, schedule="onecycle")

    def __init__(
        self,
        *,
        data: str = "sample",
        width: int = 24,
    ) -> None:
        self.source = data
        self.width = width

    def data(self) -> Splits:
        splits = {name: self.scenes(name) for name in NUM_SCENES}
        return Splits(**splits, classes=garments.CLASSES)

    def scenes(self, name: str) -> Examples:
        """Return one split: scenes that are composed anew, always the same ones, with their superpixels and masks."""
        pieces, classes = garments.load(self.source, "t10k" if name == "test" else "train")
        if name != "test":  # a fifth of the garments is seen in validation alone
            is_val = torch.arange(len(pieces)) % 5 == 0
            kept = is_val if name == "val" else ~is_val
            pieces, classes = pieces[kept], classes[kept]
        images, masks = compose(pieces, classes, NUM_SCENES[name], seed=SEEDS[name])
        segments = superpixels(images)
        return Examples(torch.cat([images, segments[:, None]], 1), masks.long())

    def model(self) -> nn.Module:
        return SuperpixelNet(
            num_classes=len(garments.CLASSES),
            width=self.width,
        )

    def prepare(self, batch: Batch) -> Batch:
        """Take image and superpixels apart."""
        image, segments = batch.inputs[:, :3], batch.inputs[:, 3]
        return batch.with_inputs(
            {"image": image.float() / 255, "segments": segments.long()},
        )

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Mirror image, superpixels and mask together."""
        image, segments, targets = random_flip(
            generator, batch.inputs["image"], batch.inputs["segments"], batch.targets
        )
        return Batch({"image": image, "segments": segments}, targets, batch.ids)

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        return model(batch.inputs["image"] - 0.5, batch.inputs["segments"])

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(outputs, batch.targets)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the IoU of every class, and ``iou``, the mean over the classes of an image but the ground."""
        log_table("purity", purity(batch.inputs["segments"], batch.targets), garments.CLASSES)
        scores = iou_per_class(outputs.argmax(1), batch.targets, garments.CLASSES)
        of_garments = torch.stack(list(scores.values())[1:], dim=1)  # [B, K - 1]
        return {"iou": of_garments.nanmean(1), **scores}

    def pictures(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return rows of what entered and what came out: image, superpixels, mask, prediction."""
        rows = []
        for number in range(min(6, len(batch))):
            image = batch.inputs["image"][number]
            with_segments = draw_segments(image, batch.inputs["segments"][number])
            masks = (batch.targets[number], outputs[number].argmax(0))
            seen = F.interpolate(image[None], size=masks[0].shape)[0]
            drawn = [image, *(draw_masks(seen, mask) for mask in masks)]
            image, *masks = (_enlarged(one, with_segments) for one in drawn)
            rows.append(torch.cat([image, with_segments, *masks], dim=2))
        return {"scenes": torch.cat(rows, dim=1)}


def purity(segments: Tensor, masks: Tensor) -> Tensor:
    """Return, for each class, which part of its pixels lies in superpixels where it is the most frequent one.

    No model that gives all pixels of a superpixel one class can do better. Float[Tensor, "B K"], NaN where an image lacks a class.
    """
    num, num_classes = len(masks), len(garments.CLASSES)
    segments = F.interpolate(segments[:, None].double(), size=masks.shape[1:])[:, 0].long()
    scene = torch.arange(num, device=masks.device)[:, None]
    place = (scene * NUM_SEGMENTS + segments.flatten(1)) * num_classes + masks.flatten(1)
    counts = torch.bincount(place.flatten(), minlength=num * NUM_SEGMENTS * num_classes)
    counts = counts.view(num, NUM_SEGMENTS, num_classes)
    is_most = counts == counts.amax(2, keepdim=True)
    return (counts * is_most).sum(1) / counts.sum(1)


def _enlarged(image: Tensor, like: Tensor) -> Tensor:
    """Return UInt8[Tensor, "3 H W"] in the size of another picture."""
    if image.is_floating_point():
        image = (image * 255).round().to(torch.uint8)
    return F.interpolate(image[None].cpu(), size=like.shape[1:])[0]

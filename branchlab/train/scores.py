"""Per-example scores of segmentations, a value a class: IoU and Dice, NaN where a class is nowhere in an example.

Equal to torchmetrics' ``mean_iou`` and ``dice_score`` with ``per_class``; counted without an atomic operation, so that they
are deterministic on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def iou_per_class(predicted: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, Tensor]:
    """Return the intersection over union of every class, by ``iou/<class>``: Float[Tensor, "B"] in [0, 1], or NaN.

    Args:
        predicted: Class of every pixel, Int[Tensor, "B H W"] or with more axes; for logits: ``outputs.argmax(1)``.
        targets: Likewise. A pixel whose target is no class (255 for instance) counts nowhere.
        classes: Names in the order of their numbers.
    """
    both, ours, theirs = _counts(predicted, targets, len(classes))
    return _named("iou", both / (ours + theirs - both), classes)


def dice_per_class(predicted: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, Tensor]:
    """Return the Dice score of every class, by ``dice/<class>``; arguments and values as ``iou_per_class``."""
    both, ours, theirs = _counts(predicted, targets, len(classes))
    return _named("dice", 2 * both / (ours + theirs), classes)


def _counts(predicted: Tensor, targets: Tensor, num: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return pixels of each class in both, in the prediction and in the target: Float[Tensor, "B K"] each."""
    if predicted.shape != targets.shape:
        raise ValueError(
            f"predicted classes have shape {tuple(predicted.shape)} and targets {tuple(targets.shape)}: "
            f"both need one class a pixel, [B, H, W]; for logits pass outputs.argmax(1)"
        )
    predicted, targets = predicted.flatten(1), targets.flatten(1)
    is_counted = (targets >= 0) & (targets < num)
    counts = []
    for number in range(num):  # one class at a time: all at once would take K times the masks
        wanted = targets == number
        found = (predicted == number) & is_counted
        counts.append(torch.stack([(found & wanted).sum(1), found.sum(1), wanted.sum(1)]))
    both, ours, theirs = torch.stack(counts, 2).float()  # [B, K] each
    return both, ours, theirs


def _named(score: str, values: Tensor, classes: Sequence[str]) -> dict[str, Tensor]:
    return {f"{score}/{name}": values[:, number] for number, name in enumerate(classes)}

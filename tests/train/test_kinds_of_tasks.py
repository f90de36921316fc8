"""Segmentation and detection under the contract of a task."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.ops import box_iou

import branchlab
from branchlab.domain import RunState
from branchlab.run_folder import read_examples

CLASSES = ("ground", "blob", "nowhere")


def drawn(num: int, seed: int) -> tuple[Tensor, Tensor, list[dict[str, Tensor]]]:
    """Return images [N, 1, 16, 16] with one or two bright rectangles, masks, and their boxes."""
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 60, (num, 1, 16, 16), generator=source, dtype=torch.uint8)
    masks = torch.zeros(num, 16, 16, dtype=torch.long)
    boxes: list[dict[str, Tensor]] = []
    for n in range(num):
        found = []
        for _ in range(1 + n % 2):
            x, y = (int(v) for v in torch.randint(0, 10, (2,), generator=source))
            w, h = (int(v) for v in torch.randint(3, 6, (2,), generator=source))
            images[n, 0, y : y + h, x : x + w] = 230
            masks[n, y : y + h, x : x + w] = 1
            found.append([x, y, x + w, y + h])
        boxes.append(
            {"boxes": torch.tensor(found).float(), "labels": torch.ones(len(found)).long()}
        )
    return images, masks, boxes


class Segmentation(branchlab.Task):
    recipe = branchlab.Recipe(epochs=12, batch_size=8, lr=0.05)

    def data(self) -> branchlab.Splits:
        (train, train_masks, _), (val, val_masks, _) = drawn(44, 0), drawn(20, 1)
        return branchlab.Splits(
            train=branchlab.Examples(train, train_masks), val=branchlab.Examples(val, val_masks)
        )

    def model(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, len(CLASSES), 1)
        )

    def metrics(self, outputs: Tensor, batch: branchlab.Batch) -> dict[str, Tensor]:
        found = outputs.argmax(1)
        return {
            **branchlab.iou_per_class(found, batch.targets, CLASSES),
            **branchlab.dice_per_class(found, batch.targets, CLASSES),
        }


class Boxes(nn.Module):
    """Regresses one box; gives losses while it trains and boxes while it is judged, as detectors of torchvision do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(196, 4)
        )

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None):
        boxes = self.body(torch.stack(images)) * 16
        if self.training:
            assert targets is not None
            first = torch.stack([one["boxes"][0] for one in targets])
            return {"loss_box": (boxes - first).abs().mean()}
        return [{"boxes": box[None], "scores": torch.ones(1)} for box in boxes]


class Detection(branchlab.Task):
    recipe = branchlab.Recipe(
        epochs=3, batch_size=8, lr=0.02, monitor="val/iou", monitor_goal="max"
    )

    def __init__(self, *, accumulate: int = 1, ragged: bool = False) -> None:
        self.recipe = branchlab.Recipe(
            epochs=3, batch_size=8, lr=0.02, monitor="val/iou", monitor_goal="max",
            final="best", accumulate=accumulate,
        )  # fmt: skip
        self.ragged = ragged

    def data(self) -> branchlab.Splits:
        def some(num: int, seed: int) -> branchlab.Examples:
            images, _, boxes = drawn(num, seed)
            if self.ragged:
                kept = [image[:, : 16 - n % 2] for n, image in enumerate(images)]
                return branchlab.Examples(kept, boxes)
            return branchlab.Examples(images, boxes)

        return branchlab.Splits(train=some(44, 0), val=some(20, 1))

    def model(self) -> nn.Module:
        return Boxes()

    def forward(self, model: nn.Module, batch: branchlab.Batch):
        images = [nn.functional.pad(one, (0, 0, 0, 16 - one.shape[1])) for one in batch.inputs]
        return model(images, batch.targets)

    def loss(self, outputs, batch: branchlab.Batch) -> Tensor | None:
        return sum(outputs.values()) if isinstance(outputs, dict) else None

    def metrics(self, outputs, batch: branchlab.Batch) -> dict[str, Tensor]:
        best = [
            box_iou(found["boxes"], wanted["boxes"]).max()
            for found, wanted in zip(outputs, batch.targets, strict=True)
        ]
        return {"iou": torch.stack(best)}


def test_a_segmentation_learns_and_is_measured_class_by_class(training) -> None:
    ending = training(Segmentation())
    assert ending.state is RunState.DONE
    assert ending.metrics["val/iou/blob"] > 0.8
    assert ending.metrics["val/dice/blob"] >= ending.metrics["val/iou/blob"]
    assert math.isnan(ending.metrics["val/iou/nowhere"])  # in no example and no prediction
    held = read_examples(training.latest.val_examples)
    assert held is not None
    assert held["iou/blob"].shape == (20,)


def test_a_class_that_an_example_lacks_is_left_out_of_the_mean() -> None:
    targets = torch.zeros(2, 4, 4, dtype=torch.long)
    targets[0, :2] = 1
    scores = branchlab.iou_per_class(targets, targets, ("a", "b"))
    assert scores["iou/b"][0] == 1
    assert scores["iou/b"].isnan().tolist() == [False, True]


def test_a_pixel_of_no_class_counts_nowhere() -> None:
    targets = torch.tensor([[[0, 1, 255, 255]]])
    predicted = torch.tensor([[[0, 1, 1, 0]]])
    scores = branchlab.iou_per_class(predicted, targets, ("a", "b"))
    assert [float(value[0]) for value in scores.values()] == [1.0, 1.0]


def test_logits_in_place_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pass outputs.argmax\(1\)"):
        branchlab.iou_per_class(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4).long(), CLASSES)


@pytest.mark.tools
def test_scores_are_those_of_torchmetrics() -> None:
    from torchmetrics.functional.segmentation import dice_score, mean_iou

    source = torch.Generator().manual_seed(0)
    predicted, targets = torch.randint(0, 3, (2, 6, 9, 7), generator=source)
    predicted[0].clamp_(max=1)
    targets[0].clamp_(max=1)
    options = {"num_classes": 3, "input_format": "index"}
    iou = mean_iou(predicted, targets, per_class=True, **options)
    dice = dice_score(predicted, targets, average=None, aggregation_level="samplewise", **options)
    ours = torch.stack(list(branchlab.iou_per_class(predicted, targets, CLASSES).values()), 1)
    theirs = torch.where(iou < 0, torch.nan, iou)  # they say -1 where a class is absent
    torch.testing.assert_close(ours, theirs, equal_nan=True)
    ours = torch.stack(list(branchlab.dice_per_class(predicted, targets, CLASSES).values()), 1)
    torch.testing.assert_close(ours, dice, equal_nan=True)


@pytest.mark.parametrize("ragged", [False, True], ids=["one-size", "many-sizes"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_detector_learns_without_a_loss_in_validation_and_goes_on_exactly(
    new_training, accumulate: int, *, ragged: bool
) -> None:
    def task() -> Detection:
        return Detection(accumulate=accumulate, ragged=ragged)

    expected, resumed = new_training()(task()), new_training()
    assert expected.state is RunState.DONE
    assert "val/loss" not in expected.metrics
    assert expected.metrics["val/iou"] > 0.2
    resumed(task(), stop_at=3)
    assert resumed(task()) == expected


def test_a_task_without_a_loss_while_training_says_so(training) -> None:
    class Without(Segmentation):
        def loss(self, outputs: Tensor, batch: branchlab.Batch) -> Tensor | None:
            return None if self.is_silent else cross_entropy(outputs, batch.targets)

        is_silent = True

    from branchlab.errors import ConfigError

    with pytest.raises(ConfigError, match=r"loss\(\) gave None while training"):
        training(Without())


def test_images_of_many_sizes_need_a_forward_of_their_own(training) -> None:
    class Plain(Segmentation):
        def data(self) -> branchlab.Splits:
            images = [torch.zeros(1, 8 + n % 2, 8) for n in range(20)]
            both = branchlab.Examples(images, torch.zeros(20).long())
            return branchlab.Splits(train=both, val=both)

    with pytest.raises(TypeError, match=r"differ in size or type.*override forward"):
        training(Plain())


@pytest.mark.slow
def test_a_detector_of_torchvision_trains_as_it_is(training) -> None:
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    class Torchvision(Detection):
        def model(self) -> nn.Module:
            return fasterrcnn_mobilenet_v3_large_320_fpn(
                weights=None, weights_backbone=None, num_classes=2, min_size=64, max_size=64
            )

        def forward(self, model: nn.Module, batch: branchlab.Batch):
            images = [one.expand(3, -1, -1) for one in batch.inputs]
            return model(images, batch.targets if model.training else None)

        def metrics(self, outputs, batch: branchlab.Batch) -> dict[str, Tensor]:
            found = [
                box_iou(one["boxes"], wanted["boxes"])
                for one, wanted in zip(outputs, batch.targets, strict=True)
            ]
            return {"iou": torch.stack([s.max() if s.numel() else s.new_zeros(()) for s in found])}

    ending = training(Torchvision(), epochs=1)
    assert ending.state is RunState.DONE
    assert 0 <= ending.metrics["val/iou"] <= 1
    assert ending.metrics["train/grad_norm"] > 0

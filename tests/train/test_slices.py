from __future__ import annotations

import math

import pytest
import torch
from torch.utils.data import TensorDataset

import branchlab
from branchlab.errors import ConfigError
from branchlab.run_folder import read_examples
from branchlab.train.slices import PARTS_MAX, by_class, by_group, partitions, slices_of

CAMERAS = ["left", "right"] * 10


def with_val(tiny: type, *, classes: tuple[str, ...] = (), **more: object) -> branchlab.Task:
    """Return a tiny task whose validation set says more of itself."""

    class Told(tiny):  # type: ignore[misc]
        def data(self) -> branchlab.Splits:
            plain = super().data()
            return branchlab.Splits(
                train=plain.train,
                classes=classes,
                **{"val": plain.val, **more},  # type: ignore[arg-type]
            )

    return Told()


def test_each_class_and_each_group_has_the_mean_of_its_examples(training, tiny) -> None:
    task = with_val(tiny, classes=("dark", "bright"), val_groups={"camera": CAMERAS})
    ending = training(task)
    held = read_examples(training.latest.val_examples)
    assert held is not None
    targets = task.data().val.targets.numpy()
    left = [camera == "left" for camera in CAMERAS]
    right = held["accuracy"]
    assert dict(ending.slices) == pytest.approx({
        "val/accuracy[dark]": right[targets == 0].mean(),
        "val/accuracy[bright]": right[targets == 1].mean(),
        "val/accuracy[camera=left]": right[left].mean(),
        "val/accuracy[camera=right]": right[[not one for one in left]].mean(),
    })  # fmt: skip


def test_classes_without_names_are_called_by_their_numbers(training, tiny) -> None:
    assert set(training(tiny()).slices) == {"val/accuracy[0]", "val/accuracy[1]"}


def test_a_streamed_dataset_without_targets_has_no_classes_and_still_its_groups(
    training, tiny
) -> None:
    val = tiny().data().val
    dataset = TensorDataset(val.inputs, val.targets)
    task = with_val(tiny, val=dataset, stream=True, val_groups={"camera": CAMERAS})
    assert set(training(task).slices) == {"val/accuracy[camera=left]", "val/accuracy[camera=right]"}


def test_labels_that_are_not_one_an_example_are_refused_with_both_numbers(training, tiny) -> None:
    with pytest.raises(ConfigError, match=r"'camera' has 19 labels for 20 examples"):
        training(with_val(tiny, val_groups={"camera": CAMERAS[1:]}))


def test_too_many_parts_are_left_out_and_said(training, tiny) -> None:
    num = PARTS_MAX + 1
    parted, note = partitions(torch.arange(num), (), {"half": [i % 2 for i in range(num)]}, num=num)
    assert [one.names for one in parted] == [("half=0", "half=1")]
    assert f"over {PARTS_MAX}: {num} of 'class'" in note
    _, none = partitions(torch.arange(PARTS_MAX), (), {}, num=PARTS_MAX)
    assert not none


def test_examples_without_a_value_count_for_no_part_and_empty_parts_are_left_out() -> None:
    nan = math.nan
    values = {"iou": torch.tensor([0.5, nan, 1.0, nan]), "both": torch.eye(4)[:, :2]}
    found = slices_of(values, [by_class(torch.tensor([3, 3, 0, 7]), ("sky",))])
    assert found == {
        "val/iou[sky]": 1.0,
        "val/iou[3]": 0.5,
        "val/both[sky]": 0.0,
        "val/both[3]": 0.5,
        "val/both[7]": 0.0,
    }


def test_labels_may_be_a_tensor_of_numbers() -> None:
    parted = by_group("scene", torch.tensor([2, 1, 2]), num=3)
    assert parted.names == ("scene=1", "scene=2")
    assert parted.numbers.tolist() == [1, 0, 1]

"""A Dataset that is read batch by batch trains like one in memory, whoever reads it and wherever it goes on."""

from __future__ import annotations

import mmap
import os
import random
import resource
import signal
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import branchlab
from branchlab.domain import RunState

SIZE = 44


class Files(Dataset):
    """Stands for files on a disk: item i is made from i alone, and may be transformed at random.

    Args:
        draws: Whether an item is transformed with the global generators, as transforms of torchvision and others are.
    """

    def __init__(self, *, draws: bool = False, num: int = SIZE) -> None:
        self.draws, self.num = draws, num
        self.targets = [self._item(i)[1] for i in range(num)]

    def __len__(self) -> int:
        return self.num

    def _item(self, index: int) -> tuple[torch.Tensor, int]:
        source = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (1, 8, 8), generator=source, dtype=torch.uint8)
        return image, int(image.float().mean() > 127)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image, target = self._item(index)
        if self.draws:
            noise = torch.rand(1) + random.random() + np.random.random()
            image = (image * float(noise) / 3).to(torch.uint8)
        return image, target


class FromFiles(branchlab.Task):
    recipe = branchlab.Recipe(epochs=3, batch_size=8, lr=0.02)

    def __init__(self, *, stream: bool = True, draws: bool = False, memory: bool = False) -> None:
        self.stream, self.draws, self.memory = stream, draws, memory

    def data(self) -> branchlab.Splits:
        train, val = Files(draws=self.draws), Files(num=20)
        if self.memory:
            items = [train[i] for i in range(SIZE)]
            train = branchlab.Examples(
                torch.stack([image for image, _ in items]), torch.tensor(train.targets)
            )
        return branchlab.Splits(train=train, val=val, test=Files(num=9), stream=self.stream)

    def model(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(72, 2)
        )


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_data_trains_to_the_bits_of_data_in_memory(new_training, workers: int) -> None:
    held = new_training()(FromFiles(memory=True))
    assert new_training()(FromFiles(stream=False)) == held
    assert new_training()(FromFiles(), workers=workers) == held


def test_random_transforms_are_drawn_anew_each_epoch_and_the_same_whoever_reads(
    new_training,
) -> None:
    here, there = (new_training()(FromFiles(draws=True), workers=n) for n in (0, 2))
    assert here.state is RunState.DONE
    assert here == there
    assert here.loss_digest != new_training()(FromFiles()).loss_digest
    once = new_training()(FromFiles(draws=True, stream=False))
    assert once.loss_digest != here.loss_digest  # read once, so drawn once


@pytest.mark.parametrize(
    "step", [pytest.param(2, marks=pytest.mark.slow), 4, pytest.param(6, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("workers", [(0, 2), (2, 0)], ids=["0-then-2", "2-then-0"])
def test_a_streamed_run_goes_on_exactly_with_other_workers(
    new_training, step: int, workers: tuple[int, int]
) -> None:
    expected, resumed = new_training()(FromFiles(draws=True), workers=0), new_training()
    resumed(FromFiles(draws=True), stop_at=step, workers=workers[0])
    assert resumed(FromFiles(draws=True), workers=workers[1]) == expected


def test_what_a_dataset_raises_in_a_worker_ends_the_run_with_its_reason(training) -> None:
    class Torn(Files):
        def __getitem__(self, index: int):
            if index == 7:
                raise OSError("img_0007.png is cut short")
            return super().__getitem__(index)

    class FromTorn(FromFiles):
        def data(self) -> branchlab.Splits:
            return branchlab.Splits(train=Torn(), val=Files(num=20), stream=True)

    with pytest.raises(OSError, match=r"img_0007\.png is cut short"):
        training(FromTorn(), workers=1)


class Ending(Files):
    """Ends the worker that reads it as a loader ends one that does not go."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return super().__getitem__(index)


def test_a_worker_that_is_ended_ends_and_does_not_stop_the_training(training) -> None:
    """What the training does on SIGTERM is inherited by its workers, in memory that all of them share."""

    class FromEnding(FromFiles):
        def data(self) -> branchlab.Splits:
            return branchlab.Splits(train=Ending(), val=Files(num=20), stream=True)

    stopped = mmap.mmap(-1, 1)

    def stop(*_: object) -> None:
        stopped[0] = 1

    kept = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(
            RuntimeError, match=r"DataLoader worker .*(killed by signal|exited unexpectedly)"
        ):
            training(FromEnding(), workers=1)
    finally:
        signal.signal(signal.SIGTERM, kept)
    assert stopped[0] == 0


def test_a_batch_of_a_thousand_tensors_comes_through(training) -> None:
    class Many(Files):
        def __getitem__(self, index: int):
            image, _ = super().__getitem__(index)
            boxes = {f"box{n}": torch.zeros(4) for n in range(60)}
            return image, boxes

    class FromMany(FromFiles):
        def data(self) -> branchlab.Splits:
            return branchlab.Splits(train=Many(), val=Many(num=20), stream=True)

        def loss(self, outputs, batch: branchlab.Batch):
            return outputs.mean()

        def metrics(self, outputs, batch: branchlab.Batch):
            return {"boxes": torch.tensor([len(one) for one in batch.targets])}

    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, kept[1]))
    try:
        ending = training(FromMany(), workers=1, epochs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)
    assert ending.metrics["val/boxes"] == 60


def test_a_stratified_sample_of_a_stream_is_drawn_from_its_targets_alone(new_training) -> None:
    held, streamed = new_training(), new_training()
    held(FromFiles(memory=True))
    streamed(FromFiles(), workers=0)

    def sample(one) -> str:
        return next(e["sample_digest"] for e in one.events() if e["kind"] == "start")

    assert sample(held) == sample(streamed)
    assert not [e for e in streamed.events() if e["kind"] == "warning"]


def test_a_stream_without_targets_is_sampled_at_random_and_says_so(training) -> None:
    class Plain(FromFiles):
        def data(self) -> branchlab.Splits:
            splits = super().data()
            del splits.train.targets  # type: ignore[union-attr]
            return splits

    assert training(Plain(), workers=0).state is RunState.DONE
    (said,) = [e["text"] for e in training.events() if e["kind"] == "warning"]
    assert "drawn at random, not class by class" in said


def test_a_dataset_larger_than_the_memory_is_refused_before_it_is_read(training) -> None:
    class Huge(Files):
        def __init__(self) -> None:
            super().__init__()
            self.num_read = 0

        def __len__(self) -> int:
            return 1 << 40

        def __getitem__(self, index: int):
            self.num_read += 1
            return super().__getitem__(index % SIZE)

    huge = Huge()

    class FromHuge(FromFiles):
        def data(self) -> branchlab.Splits:
            return branchlab.Splits(train=Files(), val=huge)

    from branchlab.errors import ConfigError

    with pytest.raises(ConfigError, match=r"val set would take .* GiB.*stream=True"):
        training(FromHuge())
    assert huge.num_read == 1

"""Tiny trainings in this process: a task of 8 by 8 pixels and a run folder in tmp_path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import branchlab
from branchlab.domain import Run, Sample, Scale
from branchlab.run_folder import Attempt, EventWriter, RunFolder, read_events
from branchlab.train import randomness
from branchlab.train.trainer import Ending, train


def images(num: int, seed: int, channels: int = 1) -> branchlab.Examples:
    """Return noise whose class is whether it is bright."""
    source = torch.Generator().manual_seed(seed)
    inputs = torch.randint(0, 256, (num, channels, 8, 8), generator=source, dtype=torch.uint8)
    return branchlab.Examples(inputs, (inputs.float().mean((1, 2, 3)) > 127).long())


class Tiny(branchlab.Task):
    """Every source of random numbers that a project may use: augmentation, dropout, batch norm, random."""

    recipe = branchlab.Recipe(epochs=3, batch_size=8, lr=0.02)

    def __init__(self, *, dropout: float = 0.5, extra_draws: int = 0) -> None:
        self.dropout, self.extra_draws = dropout, extra_draws
        self.seen: list[torch.Tensor] = []

    def data(self) -> branchlab.Splits:
        return branchlab.Splits(train=images(44, 0), val=images(20, 1), test=images(12, 2))

    def model(self) -> nn.Module:
        torch.rand(self.extra_draws)
        return nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(),
            nn.Dropout(self.dropout), nn.Linear(72, 2),
        )  # fmt: skip

    def augment(self, batch: branchlab.Batch, generator: torch.Generator) -> branchlab.Batch:
        self.seen.append(batch.ids)
        noise = torch.rand(batch.inputs.shape, generator=generator)
        return batch.with_inputs(batch.inputs + 0.1 * noise)


class Training:
    """Trains attempts of one run in a folder of its own."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def plan(self, **more: object) -> Run:
        values: dict[str, object] = {
            "seed": 0,
            "scale": Scale.SAMPLE,
            "sample": Sample(fraction=0.75),
            **more,
        }
        return Run(id="r", key="k", branch="main", commit="c", tree="t", task="tiny:Tiny", **values)  # type: ignore[arg-type]

    def __call__(
        self, task: branchlab.Task | None = None, *, stop_at: int | None = None, **more: object
    ) -> Ending:
        attempt = self.folder.attempt(self.folder.attempts() + 1)
        attempt.path.mkdir(parents=True)
        asked = 0

        def should_stop() -> bool:
            nonlocal asked
            asked += 1
            return asked == stop_at

        run = self.plan(**more)
        randomness.seed_global(run.seed, "task")
        return train(
            task or Tiny(), run, self.folder, attempt, EventWriter(attempt.events),
            should_stop=should_stop,
        )  # fmt: skip

    def events(self) -> list[dict]:
        """Return the events of the latest attempt."""
        return list(read_events(self.latest.events).events)

    @property
    def latest(self) -> Attempt:
        found = self.folder.latest()
        assert found is not None
        return found


@pytest.fixture
def new_training(tmp_path: Path) -> Callable[[], Training]:
    """Return a maker of runs, each with a folder of its own."""
    num = 0

    def make() -> Training:
        nonlocal num
        num += 1
        return Training(RunFolder(tmp_path / f"run{num}"))

    return make


@pytest.fixture
def training(new_training: Callable[[], Training]) -> Training:
    return new_training()


@pytest.fixture
def tiny() -> type[Tiny]:
    return Tiny


@pytest.fixture(autouse=True)
def _one_thread_and_torch_as_it_was():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=False)

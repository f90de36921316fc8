"""What only a CUDA device can show; run with ``pytest -m gpu``."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from branchlab import Examples, Recipe, Splits, Task, log
from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.run_folder import EventWriter, RunFolder
from branchlab.train.trainer import train
from branchlab.train.training import begin, take_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
RUN = Run(
    id="r",
    key="k",
    branch="b",
    commit="0" * 40,
    tree="0" * 40,
    task="m:T",
    seed=0,
    scale=Scale.SAMPLE,
    sample=Sample(fraction=1.0),
    device="cuda",
)


class Small(Task):
    recipe = Recipe(epochs=3, batch_size=32, lr=0.01)

    def __init__(self, **recipe):
        self.recipe = replace(self.recipe, **recipe)

    def data(self):
        g = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (256, 3, 16, 16), generator=g, dtype=torch.uint8)
        y = (x[:, 0].float().mean((1, 2)) > 127).long()
        return Splits(train=Examples(x[:192], y[:192]), val=Examples(x[192:], y[192:]))

    def model(self):
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
        return nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3),
            nn.Dropout(0.1),
            *head,
        )

    def augment(self, batch, generator):
        is_flipped = torch.rand(len(batch), device=batch.inputs.device, generator=generator) < 0.5
        flipped = torch.where(is_flipped[:, None, None, None], batch.inputs.flip(-1), batch.inputs)
        return batch.with_inputs(flipped)


RECIPES = {
    "fp16": {"precision": "fp16", "clip_norm": 1.0},
    "average": {"ema": 0.9},
    "in-parts": {"accumulate": 3},
    "mixed": {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1},
    "muon": {"optimizer": "muon"},
    "thawing": {"frozen": {"0.*": 0.5}},
}


class Stored(Dataset):
    """The images of ``Small`` one by one, as from a disk."""

    def __init__(self, examples):
        self.examples, self.targets = examples, examples.targets

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        return self.examples[index]


class Streamed(Small):
    def data(self):
        held = super().data()
        return Splits(train=Stored(held.train), val=Stored(held.val), stream=True)


class Told(nn.Module):
    def forward(self, logits):
        log("mean", logits.mean())
        log("each", lambda: logits.softmax(1)[:, 0])
        log("number", 2.0)
        return logits


class Telling(Small):
    def model(self):
        return nn.Sequential(super().model(), Told())


def run_once(folder, *, stop_after=None, attempt=1, task=None):
    place = RunFolder(folder)
    here = place.attempt(attempt)
    here.path.mkdir(parents=True)
    asked = iter(range(1, 10_000))
    should_stop = lambda: stop_after is not None and next(asked) >= stop_after  # noqa: E731
    return train(
        task or Small(), RUN, place, here, EventWriter(here.events), should_stop=should_stop
    )


def test_two_runs_of_one_key_give_the_same_bits_on_a_gpu(tmp_path):
    one, two = run_once(tmp_path / "a"), run_once(tmp_path / "b")
    assert one.state is RunState.DONE
    assert (one.loss_digest, one.metrics) == (two.loss_digest, two.metrics)


@pytest.mark.parametrize("steps", [1, 6, 9])
def test_a_resumed_run_gives_the_same_bits_on_a_gpu(tmp_path, steps):
    whole = run_once(tmp_path / "whole")
    stopped = run_once(tmp_path / "cut", stop_after=steps)
    assert stopped.state is RunState.CANCELLED
    resumed = run_once(tmp_path / "cut", attempt=2)
    assert (resumed.loss_digest, resumed.metrics) == (whole.loss_digest, whole.metrics)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_goes_on_exactly_on_a_gpu(tmp_path, name):
    whole = run_once(tmp_path / "whole", task=Small(**RECIPES[name]))
    run_once(tmp_path / "cut", stop_after=7, task=Small(**RECIPES[name]))
    resumed = run_once(tmp_path / "cut", attempt=2, task=Small(**RECIPES[name]))
    assert whole.state is RunState.DONE
    assert (resumed.loss_digest, resumed.metrics) == (whole.loss_digest, whole.metrics)


def test_telling_waits_for_nothing_on_a_gpu():
    training = begin(Telling(), RUN)
    batch = training.data.train.slice(0, 32)
    with training.ear.during("train"):
        take_step(training, batch)
        torch.cuda.set_sync_debug_mode("error")
        try:
            take_step(training, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert training.ear.means("train", training.ranks)["train/number"] == 2.0


def test_what_was_told_goes_on_exactly_and_changes_no_bit_on_a_gpu(tmp_path):
    silent, whole = run_once(tmp_path / "silent"), run_once(tmp_path / "whole", task=Telling())
    run_once(tmp_path / "cut", stop_after=7, task=Telling())
    resumed = run_once(tmp_path / "cut", attempt=2, task=Telling())
    assert whole.loss_digest == silent.loss_digest
    assert 0 < whole.metrics["val/each"] < 1
    assert (resumed.loss_digest, resumed.metrics) == (whole.loss_digest, whole.metrics)


@pytest.mark.parametrize("name", ["plain", *RECIPES])
def test_a_step_waits_for_nothing(name):
    training = begin(Small(**RECIPES.get(name, {})), RUN)
    training.freezing.set_modes(0.0)
    batch = training.data.train.slice(0, 32)
    take_step(training, batch)  # the first one sets up what later ones have
    torch.cuda.set_sync_debug_mode("error")
    try:
        take_step(training, batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert training.step == 2


def test_streamed_data_and_data_that_does_not_fit_give_the_bits_of_data_on_the_gpu(
    tmp_path, monkeypatch
):
    held, streamed = run_once(tmp_path / "held"), run_once(tmp_path / "streamed", task=Streamed())
    monkeypatch.setattr("branchlab.train.data._DEVICE_SHARE", 0.0)
    beside = run_once(tmp_path / "beside")
    assert held.state is RunState.DONE
    assert held.loss_digest == streamed.loss_digest == beside.loss_digest


def test_bf16_is_used_where_the_device_has_it():
    seen = []

    class Watching(Small):
        def loss(self, outputs, batch):
            seen.append(outputs.dtype)
            return super().loss(outputs, batch)

    training = begin(Watching(), RUN)
    take_step(training, training.data.train.slice(0, 32))
    assert seen == [torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_processes_on_two_gpus_give_the_same_bits_and_go_on_exactly(tmp_path):
    """In a process of its own: no fork of this one, which has a CUDA context, could use a GPU."""
    script = Path(__file__).with_name("gpus_together.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    one, two, resumed = json.loads(done.stdout.splitlines()[-1])
    assert one[0] == "done", done.stderr
    assert one == two == resumed

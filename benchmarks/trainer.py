"""The shared trainer against a hand-written loop, Lightning and accelerate: one model, data set, batch size, precision.

Every contestant trains and validates the same network on Fashion-MNIST's sample for the same number of epochs, with AdamW,
one learning-rate schedule, random flips and cross entropy, on the device that is there (``--device``):

- *hand*: a minimal loop with the tricks that the trainer uses: images as uint8 on the device, augmentation of a whole batch
  there, fused AdamW, channels-last, bf16 autocast on a GPU, losses fetched once an epoch;
- *branchlab*: ``branchlab.train.trainer.train`` from start to end, with its events, checkpoints and per-example results;
- *recipe*: what the documentation of Lightning, accelerate and torchvision shows: a DataLoader with two workers, PIL images and
  torchvision's v2 transforms image by image;
- *same batches*: Lightning and accelerate with the hand-written loop's batches, memory layout and optimiser, so that what is left is
  the framework.

Models: *tiny* is the example's ConvNet (24 thousand parameters), *medium* torchvision's ResNet-18. Each measurement is a process of
its own (one thread of computation on a CPU, as a run has), which trains one epoch to warm up first. The two that may differ by
2% only are measured once more in turns within one process, by CPU time (on a GPU by wall time), and the median of the pairs' ratios
counts: that is what a busy neighbour changes least.

Goals: no more than 2% beyond the hand-written loop, and at least 1.5 times as fast as either recipe on the tiny model.
"""

from __future__ import annotations

import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timing import Goal, Report, Timed, clean_environment, in_turns, parser

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_ROOT = Path(__file__).resolve().parent.parent
_SIZES = {"tiny": (64, 6, 5000), "medium": (64, 1, 1500)}  # batch size, epochs, examples
_LR = 0.01
_HAND, _OURS = "hand-written loop", "branchlab"
_RECIPES = ("Lightning, recipe", "accelerate, recipe")
_GOAL_BEYOND, _GOAL_TIMES = 1.02, 1.5
_PAIRS = 9


def main() -> None:
    made = parser(__doc__, rounds=5)
    made.add_argument("--device", default="auto", help="cpu, cuda, or auto [auto]")
    made.add_argument("--model", choices=_SIZES, help="one of them alone")
    made.add_argument("--contestant", help="train as one of them here, and print its seconds")
    made.add_argument("--pairs", type=int, help="train so often as the two of the goal here")
    options = made.parse_args()
    if options.pairs:
        print(json.dumps(_pairs(options.model, options.device, options.pairs)))
        return
    if options.contestant:
        print(json.dumps(_measure(options.contestant, options.model, options.device)))
        return
    report = Report("The trainer")
    for model in [options.model] if options.model else list(_SIZES):
        _compare(model, options.device, report, rounds=options.rounds)
    report.print(as_json=options.json)


def _compare(model: str, device: str, report: Report, *, rounds: int) -> None:
    missing = [name for name in ("lightning", "accelerate") if not _is_there(name)]
    names = [name for name in _CONTESTANTS if not any(name.lower().startswith(m) for m in missing)]
    timed = in_turns(
        {name: functools.partial(_child, name, model, device) for name in names},
        rounds=rounds,
        warm_ups=0,
    )
    _, epochs, examples = _SIZES[model]
    title = f"{model}: seconds for 1,000 images, trained and validated."
    report.add(title, timed, against=[_HAND, _OURS], scale=epochs * examples / 1000)
    report.goals.append(
        Goal(
            f"{model}: branchlab against the hand-written loop",
            _in_one_process(model, device, _PAIRS),
            _GOAL_BEYOND,
        )
    )
    if model == "tiny":
        report.goals += [
            Goal(f"{model}: branchlab against {name}", _ratio(timed, _OURS, name), 1 / _GOAL_TIMES)
            for name in _RECIPES
            if name in timed
        ]
    report.remarks += [f"{name} was not measured: pip install {name}" for name in missing]


def _ratio(timed: dict[str, Timed], one: str, other: str) -> float:
    """Return the ratio of the lowest times: what a neighbour on a shared machine adds is never negative."""
    return timed[one].lowest / timed[other].lowest


def _is_there(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _child(name: str, model: str, device: str) -> tuple[float, float]:
    words = [sys.executable, __file__, "--contestant", name, "--model", model, "--device", device]
    found = _answer(words)
    return found["wall_s"], found["cpu_s"]


def _answer(words: list[str]) -> Any:  # noqa: ANN401  what the child was asked for
    """Return what this script, called with some words, prints as JSON in its last line."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=_ROOT,
        env=clean_environment(OMP_NUM_THREADS="1"),
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _in_one_process(model: str, device: str, pairs: int) -> float:
    words = [sys.executable, __file__, "--pairs", str(pairs), "--model", model, "--device", device]
    return statistics.median(_answer(words))


def _pairs(model: str, device: str, num: int) -> list[float]:
    """Return how many times as long as the hand-written loop ours took, pair by pair."""
    found = []
    clock = time.process_time if _prepare(device) == "cpu" else time.perf_counter
    _measure(_OURS, model, device)  # both warm
    for number in range(num):
        spent: dict[str, float] = {}
        for name in (_HAND, _OURS) if number % 2 else (_OURS, _HAND):
            started = clock()
            _measure(name, model, device, warms_up=False)
            spent[name] = clock() - started
        found.append(spent[_OURS] / spent[_HAND])
    return found


def _prepare(device: str) -> str:
    """Make this process ready to train; return the device that is meant."""
    import logging
    import warnings

    import torch

    sys.path.insert(0, str(_ROOT))
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _measure(name: str, model: str, device: str, *, warms_up: bool = True) -> dict[str, float]:
    """Train as one of the contestants; return its seconds."""
    import resource

    device = _prepare(device)
    import torch

    _, epochs, _ = _SIZES[model]
    train = _CONTESTANTS[name]
    if warms_up:
        train(model, torch.device(device), 1)

    def spent() -> float:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in both)

    cpu, started = spent(), time.perf_counter()
    train(model, torch.device(device), epochs)
    if device == "cuda":
        torch.cuda.synchronize()
    return {"wall_s": time.perf_counter() - started, "cpu_s": spent() - cpu}


@functools.cache
def _images(model: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return train images as uint8 [N, 1, 28, 28] with labels, and those of validation."""
    from examples.fashion.data import load

    splits, num = load("sample"), _SIZES[model][2]
    train, val = splits.train, splits.val
    return train.inputs[:num], train.targets[:num], val.inputs[: num // 5], val.targets[: num // 5]


def _network(model: str) -> nn.Module:
    from torch import nn

    if model == "tiny":
        from examples.fashion.model import ConvNet

        return ConvNet()
    from torchvision.models import resnet18

    network = resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    return network


def _groups(network: nn.Module) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _hand(model: str, device: torch.device, epochs: int) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    size = _SIZES[model][0]
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode=True)
    images, labels, val_images, val_labels = (one.to(device) for one in _images(model))
    network = _network(model).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(_groups(network), lr=_LR, fused=True)
    steps = len(images) // size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, total_steps=epochs * steps + 1)
    generator = torch.Generator(device).manual_seed(0)
    precision = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")

    def ready(batch: Tensor) -> Tensor:
        return batch.contiguous(memory_format=torch.channels_last)

    for _ in range(epochs):
        network.train()
        losses = torch.zeros(steps, device=device)
        order = torch.randperm(len(images), device=device)
        for step in range(steps):
            rows = order[step * size : (step + 1) * size]
            batch = _flipped(images[rows].float() / 255, generator)
            with precision:
                loss = cross_entropy(network(ready(batch)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses[step] = loss.detach()
        network.eval()
        with torch.inference_mode(), precision:
            right = [
                network(ready(val_images[at : at + 4 * size].float() / 255)).argmax(1)
                == val_labels[at : at + 4 * size]
                for at in range(0, len(val_images), 4 * size)
            ]
        float(losses.mean()), float(torch.cat(right).float().mean())


def _flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    import torch

    flips = torch.rand(len(images), generator=generator, device=images.device) < 0.5  # noqa: PLR2004  half of them
    return torch.where(flips[:, None, None, None], images.flip(3), images)


def _ours(model: str, device: torch.device, epochs: int) -> None:
    import branchlab
    from branchlab.domain import Run, Sample, Scale
    from branchlab.run_folder import EventWriter, RunFolder
    from branchlab.train.trainer import train

    name = model  # a task has a method of that name

    class Bench(branchlab.Task):
        recipe = branchlab.Recipe(epochs=epochs, batch_size=_SIZES[name][0], lr=_LR)

        def data(self) -> branchlab.Splits:
            images, labels, val_images, val_labels = _images(name)
            return branchlab.Splits(
                train=branchlab.Examples(images, labels),
                val=branchlab.Examples(val_images, val_labels),
            )

        def model(self) -> nn.Module:
            return _network(name)

        def augment(self, batch: branchlab.Batch, generator: torch.Generator) -> branchlab.Batch:
            return batch.with_inputs(_flipped(batch.inputs, generator))

    run = Run(
        id="bench", key="", branch="main", commit="", tree="", task="bench:Bench", seed=0,
        scale=Scale.FULL, sample=Sample(fraction=1.0), device=device.type,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as place:
        folder = RunFolder(Path(place) / "bench")
        attempt = folder.attempt(1)
        attempt.path.mkdir(parents=True)
        train(Bench(), run, folder, attempt, EventWriter(attempt.events), should_stop=lambda: False)


def _loaders(model: str, *, is_recipe: bool, device: torch.device) -> tuple[Any, Any]:
    """Return what yields batches of float images and labels: DataLoaders over PIL images, or the hand-written loop's."""
    import torch
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import v2
    from torchvision.transforms.functional import to_pil_image

    size = _SIZES[model][0]
    images, labels, val_images, val_labels = _images(model)
    if not is_recipe:
        return (
            _Batches(images.to(device), labels.to(device), size, is_train=True),
            _Batches(val_images.to(device), val_labels.to(device), 4 * size, is_train=False),
        )

    class Pictures(Dataset[Any]):
        def __init__(
            self, images: Tensor, labels: Tensor, transform: Callable[[Any], Tensor]
        ) -> None:
            self.pictures = [to_pil_image(image) for image in images]
            self.labels, self.transform = labels.tolist(), transform

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return self.transform(self.pictures[index]), self.labels[index]

    to_float = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    flipping = v2.Compose([v2.ToImage(), v2.RandomHorizontalFlip(), *to_float[1:]])
    shared = {"num_workers": 2, "persistent_workers": True, "pin_memory": device.type == "cuda"}
    return (
        DataLoader(
            Pictures(images, labels, flipping), size, shuffle=True, drop_last=True, **shared
        ),
        DataLoader(Pictures(val_images, val_labels, v2.Compose(to_float)), 4 * size, **shared),
    )


class _Batches:
    """The hand-written loop's batches as an iterable."""

    def __init__(self, images: Tensor, labels: Tensor, size: int, *, is_train: bool) -> None:
        import torch

        self.images, self.labels, self.size, self.is_train = images, labels, size, is_train
        self.generator = torch.Generator(images.device).manual_seed(0)

    def __len__(self) -> int:
        return len(self.images) // self.size if self.is_train else -(-len(self.images) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        import torch

        device = self.images.device
        order = torch.randperm(len(self.images), device=device) if self.is_train else None
        for number in range(len(self)):
            part = slice(number * self.size, (number + 1) * self.size)
            rows = part if order is None else order[part]
            images = self.images[rows].float() / 255
            if self.is_train:
                images = _flipped(images, self.generator)
            yield images.contiguous(memory_format=torch.channels_last), self.labels[rows]


def _laid_out(network: nn.Module, *, is_recipe: bool) -> nn.Module:
    import torch

    return network if is_recipe else network.to(memory_format=torch.channels_last)


def _lightning(model: str, device: torch.device, epochs: int, *, is_recipe: bool) -> None:
    import lightning
    import torch
    from torch.nn.functional import cross_entropy

    train, val = _loaders(model, is_recipe=is_recipe, device=device)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = _laid_out(_network(model), is_recipe=is_recipe)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            images, labels = batch
            loss = cross_entropy(self.network(images), labels)
            self.log("train/loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: list[Tensor], _: int) -> None:
            images, labels = batch
            right = (self.network(images).argmax(1) == labels).float().mean()
            self.log("val/accuracy", right, batch_size=len(labels))

        def configure_optimizers(self) -> tuple[list[Any], list[dict[str, Any]]]:
            optimizer = torch.optim.AdamW(_groups(self.network), lr=_LR, fused=not is_recipe)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, _LR, total_steps=epochs * len(train) + 1
            )
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="gpu" if device.type == "cuda" else "cpu", devices=1,
        precision="bf16-mixed" if device.type == "cuda" else "32-true", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Module(), train, val)


def _accelerate(model: str, device: torch.device, epochs: int, *, is_recipe: bool) -> None:
    import torch
    from accelerate import Accelerator
    from torch.nn.functional import cross_entropy

    is_cuda = device.type == "cuda"
    accelerator = Accelerator(cpu=not is_cuda, mixed_precision="bf16" if is_cuda else "no")
    loaders = _loaders(model, is_recipe=is_recipe, device=device)
    train, val = accelerator.prepare(*loaders) if is_recipe else loaders
    network = _laid_out(_network(model), is_recipe=is_recipe)
    optimizer = torch.optim.AdamW(_groups(network), lr=_LR, fused=not is_recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _LR, total_steps=epochs * len(train) + 1
    )
    network, optimizer, schedule = accelerator.prepare(network, optimizer, schedule)
    for _ in range(epochs):
        network.train()
        total = 0.0
        for images, labels in train:
            optimizer.zero_grad()
            with accelerator.autocast():
                loss = cross_entropy(network(images), labels)
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.detach().float()
        network.eval()
        right = []
        with torch.no_grad(), accelerator.autocast():
            for images, labels in val:
                found, wanted = accelerator.gather_for_metrics(
                    (network(images).argmax(1), labels)
                ) if is_recipe else (network(images).argmax(1), labels)  # fmt: skip
                right.append(found == wanted)
        float(total), float(torch.cat(right).float().mean())


_CONTESTANTS: dict[str, Callable[[str, Any, int], None]] = {
    _HAND: _hand,
    _OURS: _ours,
    "Lightning, same batches": functools.partial(_lightning, is_recipe=False),
    "accelerate, same batches": functools.partial(_accelerate, is_recipe=False),
    _RECIPES[0]: functools.partial(_lightning, is_recipe=True),
    _RECIPES[1]: functools.partial(_accelerate, is_recipe=True),
}


if __name__ == "__main__":
    main()

"""The state of one training, how it begins, one step of it, and looking at a whole split: no loop, no file.

Nothing in a step waits for the device: the loss of every step stays there until the loop asks for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from branchlab.domain import Drawn, Run
from branchlab.errors import ConfigError
from branchlab.train import randomness
from branchlab.train.average import Average
from branchlab.train.budget import TICKS, Budget
from branchlab.train.data import HeldData, Split, hold
from branchlab.train.ear import Ear
from branchlab.train.entering import first_of
from branchlab.train.freezing import Freezing
from branchlab.train.mixing import Mixing, make_mixing
from branchlab.train.optimizer import make_optimizer, make_schedule
from branchlab.train.ranks import ALONE, Loss, Ranks
from branchlab.train.recipe import Recipe
from branchlab.train.task import Batch, Task

_EVAL_BATCH_FACTOR = 4
_VOLUME_AXES = 5
"""Of weights for volumes, which torch cannot lay out as those of images."""


@dataclass(slots=True, kw_only=True)
class Training:
    """The state of one training between two steps.

    Attributes:
        losses: Float[Tensor, "steps"] on the device; NaN where no step has been.
        num_levelled: Steps whose losses are the mean over all ranks; later ones are of this rank's own part of the batch.
        order_state: State of the generator of the data order at the start of the current epoch.
        epochs_validated: Epochs that have ended, with a validation where it was time for one.
        metrics: Of the last epoch, and of the last validation, after ``validated_step`` steps.
        lr: Learning rate of the last step's first parameter group.
        average: The moving average of the weights, or None; ``judged`` is what is validated.
        best: Value of the recipe's ``monitor`` at ``best_step``; None before the first.
        num_worse: Validations since then.
        clipped_norm: Norm of the last gradient before it was clipped; None where nothing is clipped.
        is_judged: Whether what the last validation found is kept for each example, and the test set was seen.
        val: What the last validation found, as ``evaluate`` gives it; ``slices`` what the last of all found in parts of the set.
        budget: The time that ends the training instead of the recipe's epochs, or None.
        entered: Of the epoch's first batch a few examples, as stored and as they entered the model.
        ear: What hears ``branchlab.log``.
    """

    task: Task
    recipe: Recipe
    device: torch.device
    data: HeldData
    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    order: torch.Generator
    augmenting: torch.Generator
    freezing: Freezing
    mixing: Mixing | None
    scaler: torch.amp.GradScaler | None
    average: Average | None
    losses: Tensor
    ear: Ear
    order_state: Tensor
    step: int = 0
    epochs_validated: int = 0
    validated_step: int = 0
    metrics: dict[str, float]
    budget: Budget | None = None
    ranks: Ranks = ALONE
    loss_of: Loss | None = None
    num_levelled: int = 0
    lr: float = 0.0
    best: float | None = None
    best_step: int = 0
    num_worse: int = 0
    val: dict[str, Tensor] = field(default_factory=dict)
    slices: dict[str, float] = field(default_factory=dict)
    clipped_norm: Tensor | None = None
    is_judged: bool = False
    entered: tuple[Batch, Batch] | None = None
    resumed_step: int = -1
    resumed_gauges: dict[str, float] = field(default_factory=dict)

    @property
    def judged(self) -> nn.Module:
        """The model whose weights count: what is validated, drawn and kept as the best."""
        return self.model if self.average is None else self.average.module

    @property
    def batch_size(self) -> int:
        return min(self.recipe.batch_size, len(self.data.train))

    @property
    def steps_per_epoch(self) -> int:
        return len(self.data.train) // self.batch_size

    @property
    def num_steps(self) -> int:
        """Steps of the whole training; an estimate where a time ends it."""
        if self.budget is not None:
            return round(self.step / self.budget.share) if self.budget.share else self.step
        return self.steps_per_epoch * self.recipe.epochs

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.steps_per_epoch

    @property
    def share(self) -> float:
        """Part of the training that is done, from 0 to 1."""
        return self.budget.share if self.budget is not None else self.step / self.num_steps

    @property
    def is_trained(self) -> bool:
        """Whether the last step is taken."""
        patience = self.recipe.patience
        if patience is not None and self.num_worse >= patience:
            return True
        if self.budget is not None:
            return self.budget.is_spent
        return self.step >= self.num_steps

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do, not even the last validation."""
        return self.is_trained and self.validated_step == self.step

    def make_room(self) -> None:
        """Let the losses of one more epoch be kept."""
        missing = self.step + self.steps_per_epoch - len(self.losses)
        if missing > 0:
            self.losses = torch.cat([self.losses, self.losses.new_full((missing,), math.nan)])

    def level_losses(self) -> None:
        """Turn the losses since the last time into those of whole batches."""
        if self.ranks.size > 1 and self.num_levelled < self.step:
            part = self.losses[self.num_levelled : self.step]
            part.copy_(self.ranks.mean(part))
        self.num_levelled = self.step

    def advance_schedule(self) -> None:
        """Set the learning rate of the next step."""
        if self.budget is None:
            self.schedule.step()
        else:
            self.budget.advance(self.schedule)

    def loss_digest(self) -> str:
        """Return a digest of the loss bits of every step so far; equal trainings have equal digests."""
        return hashlib.sha256(self.losses[: self.step].cpu().numpy().tobytes()).hexdigest()[:16]


def begin(task: Task, run: Run, ranks: Ranks = ALONE, *, drawn: Drawn | None = None) -> Training:
    """Return a training before its first step: data held, model built, everything seeded.

    ``drawn`` is the repository's sample, where there is a manifest.
    """
    device = ranks.device_of(run.device)
    randomness.make_deterministic(is_on=run.deterministic)
    recipe = task.recipe if run.epochs is None else replace(task.recipe, epochs=run.epochs)
    randomness.seed_global(run.seed, "data")
    data = hold(task.data(), run, device=device, drawn=drawn)
    randomness.seed_global(run.seed, "model")
    model = task.model().to(device)
    if recipe.channels_last and not any(p.ndim == _VOLUME_AXES for p in model.parameters()):
        model = model.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, recipe, device)
    freezing = Freezing(model, recipe)
    average = None if recipe.ema is None else Average(model, recipe.ema)
    if recipe.compile:
        model.compile()
    order = randomness.generator(run.seed, "order")
    num_steps = max(1, recipe.epochs * (len(data.train) // min(recipe.batch_size, len(data.train))))
    budget = None if run.budget_s is None else Budget(run.budget_s)
    training = Training(
        task=task,
        recipe=recipe,
        device=device,
        data=data,
        model=model,
        optimizer=optimizer,
        schedule=make_schedule(optimizer, recipe, num_steps=num_steps if budget is None else TICKS),
        order=order,
        augmenting=randomness.generator(run.seed, ranks.stream("augment"), device),
        freezing=freezing,
        mixing=make_mixing(
            recipe, num_classes=data.num_classes, seed=run.seed, stream=ranks.stream("augment")
        ),
        scaler=torch.amp.GradScaler(device.type) if recipe.precision == "fp16" else None,
        average=average,
        losses=torch.full((num_steps,), math.nan, device=device),
        ear=Ear(device, is_compiled=recipe.compile),
        order_state=order.get_state(),
        metrics={},
        budget=budget,
        ranks=ranks,
    )
    ranks.check_batch(training.batch_size, wanted=recipe.batch_size)
    training.loss_of = ranks.join(model, partial(_loss_of, training))
    randomness.seed_global(run.seed, ranks.stream("train"))
    return training


def take_step(training: Training, batch: Batch) -> None:
    """Take one optimiser step on a batch as stored, or on this rank's part of one."""
    optimizer, scaler = training.optimizer, training.scaler
    optimizer.zero_grad(set_to_none=True)
    loss = _backward(training, batch)
    if scaler is not None:
        scaler.unscale_(optimizer)
    if training.recipe.clip_norm is not None:
        training.clipped_norm = nn.utils.clip_grad_norm_(
            training.model.parameters(), training.recipe.clip_norm
        )
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
    training.lr = optimizer.param_groups[0]["lr"]
    if training.average is not None:
        training.average.update_parameters(training.model)
    training.advance_schedule()
    training.losses[training.step] = loss
    training.step += 1


def _backward(training: Training, batch: Batch) -> Tensor:
    """Leave the gradient of a batch in the model; return its loss. A batch in parts is the mean over its examples."""
    task = training.task
    assert training.loss_of is not None
    parts = _parts(batch, training.recipe.accumulate)
    total: Tensor | None = None
    for number, part in enumerate(parts):
        training.ear.begin_batch(len(part))
        ready = task.augment(task.prepare(part), training.augmenting)
        if training.mixing is not None:
            ready = training.mixing(ready, training.step * len(parts) + number)
        if number == 0 and training.step % training.steps_per_epoch == 0:
            training.entered = first_of(part, ready)
        with training.ranks.summing(is_last=number == len(parts) - 1):
            loss = training.loss_of(ready)
            if len(parts) > 1:
                loss = loss * (len(part) / len(batch))
            scaled = loss if training.scaler is None else training.scaler.scale(loss)
            scaled.backward()  # type: ignore[no-untyped-call]
        total = loss.detach() if total is None else total + loss.detach()
    assert total is not None
    return total


def _parts(batch: Batch, num: int) -> list[Batch]:
    if num == 1:
        return [batch]
    size = math.ceil(len(batch) / num)
    return [batch.part(start, start + size) for start in range(0, len(batch), size)]


def _loss_of(training: Training, batch: Batch) -> Tensor:
    with autocast(training):
        outputs = training.task.forward(training.model, in_layout(batch, training.recipe))
        loss = training.task.loss(outputs, batch)
    if loss is None:
        raise ConfigError(
            f"{type(training.task).__name__}.loss() gave None while training: it must return a scalar tensor"
        )
    return loss


def gauges(training: Training) -> dict[str, float]:
    """Return the state of the optimisation after a step: learning rate, norms of the last gradient (before clipping) and of all weights."""
    if training.step == training.resumed_step:
        return training.resumed_gauges  # the gradient went with the process that was stopped
    parameters = list(training.model.parameters())
    gradients = [p.grad for p in parameters if p.grad is not None]
    with torch.no_grad():
        found = {"train/weight_norm": nn.utils.get_total_norm([p.detach() for p in parameters])}
        if training.clipped_norm is not None:
            found["train/grad_norm"] = training.clipped_norm
        elif gradients:
            found["train/grad_norm"] = nn.utils.get_total_norm(gradients)
    return {"train/lr": training.lr, **{name: float(value) for name, value in found.items()}}


@torch.inference_mode()
def evaluate(training: Training, split: Split) -> dict[str, Tensor]:
    """Return the loss (one value, where there is one) and every metric per example (Tensor with N rows) over a whole split.

    Ranks take its batches in turn, and the first one has what all of them found; the others return nothing.
    """
    task, recipe, model, ranks = training.task, training.recipe, training.judged, training.ranks
    for levelled in dict.fromkeys((training.model, model)):
        ranks.level(levelled)
    model.eval()
    losses: list[tuple[Tensor, int]] = []
    parts: dict[str, list[Tensor]] = {}
    for stored in split.in_order(_size_of_look(training), first=ranks.rank, stride=ranks.size):
        training.ear.begin_batch(len(stored))
        batch = task.prepare(stored)
        with autocast(training):
            outputs = task.forward(model, in_layout(batch, recipe))
            loss = task.loss(outputs, batch)
        if loss is not None:
            losses.append((loss.float() * len(batch), len(batch)))
        for name, values in task.metrics(outputs, batch).items():
            parts.setdefault(name, []).append(_per_example(name, values, len(batch)))
    if ranks.size > 1:
        return _gathered(ranks, losses, parts, len(split))
    return _whole(losses, parts, len(split))


def _size_of_look(training: Training) -> int:
    """Return how many examples are judged at once: four times what is trained at once, for no gradient is kept."""
    recipe = training.recipe
    at_once = recipe.batch_size // (training.ranks.size * recipe.accumulate)
    return max(1, at_once) * _EVAL_BATCH_FACTOR


def _whole(
    losses: list[tuple[Tensor, int]], parts: dict[str, list[Tensor]], num: int
) -> dict[str, Tensor]:
    found = {name: torch.cat(values) for name, values in parts.items()}
    for name, values in found.items():
        if len(values) != num:
            raise ValueError(
                f"metric '{name}' has values for {len(values)} of {num} examples: "
                f"Task.metrics must give the same names for every batch, NaN where an example has no value"
            )
    if not losses:
        return found
    total = torch.stack([loss for loss, _ in losses]).sum()
    return {"loss": total / sum(size for _, size in losses), **found}


def _gathered(
    ranks: Ranks, losses: list[tuple[Tensor, int]], parts: dict[str, list[Tensor]], num: int
) -> dict[str, Tensor]:
    """Put what the ranks found together again, in the order of the examples."""
    held = {name: [value.cpu() for value in values] for name, values in parts.items()}
    found = ranks.gather(([(loss.cpu(), size) for loss, size in losses], held))
    if not found:
        return {}
    in_turn = {
        name: [
            part
            for parts_in_turn in itertools.zip_longest(*(one.get(name, []) for _, one in found))
            for part in parts_in_turn
            if part is not None
        ]
        for name in held
    }
    return _whole([loss for one, _ in found for loss in one], in_turn, num)


def _per_example(name: str, values: object, num: int) -> Tensor:
    if isinstance(values, Tensor) and values.shape[:1] == (num,):
        return values
    found = (
        f"shape {tuple(values.shape)}"
        if isinstance(values, Tensor)
        else f"type {type(values).__name__}"
    )
    raise ValueError(
        f"metric '{name}' has {found} for a batch of {num}: "
        f"Task.metrics must return a tensor with one value per example"
    )


def autocast(training: Training) -> contextlib.AbstractContextManager[None]:
    """Return the precision of the recipe, for one forward pass and its loss."""
    precision, kind = training.recipe.precision, training.device.type
    if precision == "auto":
        precision = "bf16" if kind == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(kind, dtype=torch.float16 if precision == "fp16" else torch.bfloat16)


def in_layout(batch: Batch, recipe: Recipe) -> Batch:
    """Return the batch in the memory layout of the recipe."""
    if not recipe.channels_last or not isinstance(batch.inputs, Tensor):
        return batch
    if batch.inputs.ndim == 4:  # noqa: PLR2004  B C H W
        return batch.with_inputs(batch.inputs.contiguous(memory_format=torch.channels_last))
    return batch

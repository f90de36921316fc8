"""How a task is trained, in the field's own terms: every option of the shared trainer, with a default that adds nothing.

Points in time are shares of the training (0 its start, 1 its end), so that a recipe means the same for any number of
epochs, on a sample, and under a budget of time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

_KNOWN = {
    "optimizer": ("adamw", "sgd", "muon"),
    "schedule": ("onecycle", "cosine", "step", "constant"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "monitor_goal": ("min", "max"),
    "final": ("last", "best"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train: optimiser, schedule, epochs, batch size.

    Attributes:
        batch_size: Examples of one optimiser step. ``accumulate``: parts in which it goes through the model one after the
            other, to fit into memory; steps and schedule stay the same.
        optimizer: ``adamw``, ``sgd`` (Nesterov when ``momentum`` is above 0), or ``muon`` (torch 2.9 or newer): the hidden
            weights, kernels of convolutions as matrices, by Muon, everything else by AdamW, at one learning rate.
        lr: Peak learning rate of the schedule.
        momentum: Of SGD and Muon; AdamW has torch's betas, the first of which ``onecycle`` moves.
        weight_decay: Of weights with two axes or more; biases and norms have none, nor has what ``no_decay`` names.
        no_decay: Patterns of parameter names, as ``*.pos_embed``.
        frozen: Patterns of parameter names, each with the share of the training during which these stay as they are:
            ``{"backbone.*": 1.0}`` for ever. Modules that are frozen whole are in ``eval`` mode meanwhile.
        schedule: Of the learning rate, a step a batch: ``onecycle`` (torch's OneCycleLR), ``cosine`` (to 0), ``step``
            (times ``step_factor`` at each share in ``step_at``) or ``constant``.
        warmup: Share of the training in which the rate rises to its peak; None is 0.3 for ``onecycle``, else none.
        clip_norm: Largest global gradient norm; None leaves gradients alone.
        label_smoothing: Probability that is taken from an example's class and spread over all.
        mixup: Alpha of the Beta distribution that mixes pairs of images (https://arxiv.org/abs/1710.09412); 0 is off.
        cutmix: Likewise for pasted rectangles (https://arxiv.org/abs/1905.04899); with both, each batch gets one of them.
        ema: Decay of an exponential moving average of the weights, which then is what is validated; None is off. Early on
            the decay is at most (1 + steps) / (10 + steps).
        precision: ``auto`` is bf16 autocast on a GPU that has it and fp32 elsewhere; ``fp16`` scales the loss.
        channels_last: Memory layout of image batches and the model; +25 to 75% images/s on CPU as measured.
        compile: Let torch.compile make the model faster; what it makes is kept for all branches.
        validate_every: Epochs from one validation to the next; the last epoch always has one.
        monitor: The metric that says which weights are the best (``monitor_goal``: ``min`` or ``max``); these are kept in
            ``checkpoints/best.pt``. Where validation has no loss, none are unless another metric is named.
        patience: Validations without a better ``monitor`` after which the training stops; None never stops early.
        final: Whether the weights at the end or the ``best`` ones give the run's final metrics and see the test set. The
            best of many validations looks better than it is, on every branch.
    """

    epochs: int = 8
    batch_size: int = 256
    accumulate: int = 1
    optimizer: Literal["adamw", "sgd", "muon"] = "adamw"
    lr: float = 3e-3
    weight_decay: float = 0.01
    no_decay: Sequence[str] = ()
    momentum: float = 0.9
    frozen: Mapping[str, float] = field(default_factory=dict)
    schedule: Literal["onecycle", "cosine", "step", "constant"] = "onecycle"
    warmup: float | None = None
    step_at: Sequence[float] = (0.5, 0.75)
    step_factor: float = 0.1
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    validate_every: int = 1
    monitor: str = "val/loss"
    monitor_goal: Literal["min", "max"] = "min"
    patience: int | None = None
    final: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        for name, known in _KNOWN.items():
            found = getattr(self, name)
            if found not in known:
                raise ValueError(
                    f"recipe.{name} = {found!r}: known here are {', '.join(known[:-1])} and {known[-1]}"
                )
        for name, is_right, needed in self._needs():
            if not is_right:
                raise ValueError(f"recipe.{name} = {getattr(self, name)!r}: needs {needed}")

    def _needs(self) -> list[tuple[str, bool, str]]:
        """Return what the numbers must be: name, whether it holds, in words."""
        return [
            ("epochs", self.epochs >= 1, "at least one epoch"),
            ("batch_size", self.batch_size >= 1, "at least one example a batch"),
            ("accumulate", 1 <= self.accumulate <= self.batch_size, "1 to batch_size parts"),
            ("lr", 0 <= self.lr < math.inf, "0 or more"),
            ("warmup", 0 <= (self.warmup or 0) < 1, "a share from 0 to below 1"),
            ("step_at", all(0 <= one <= 1 for one in self.step_at), "shares from 0 to 1"),
            ("frozen", all(0 <= one <= 1 for one in self.frozen.values()), "shares from 0 to 1"),
            ("no_decay", not isinstance(self.no_decay, str), "a list of patterns"),
            ("clip_norm", self.clip_norm is None or self.clip_norm > 0, "more than 0, or None"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "0 to below 1"),
            ("mixup", self.mixup >= 0, "0 (off) or more"),
            ("cutmix", self.cutmix >= 0, "0 (off) or more"),
            ("ema", self.ema is None or 0 < self.ema < 1, "a decay between 0 and 1, or None"),
            ("validate_every", self.validate_every >= 1, "at least one epoch"),
            ("patience", self.patience is None or self.patience >= 1, "at least 1, or None"),
        ]

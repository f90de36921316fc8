"""From a recipe to torch's optimiser and learning-rate schedule."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from branchlab.train.task import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser; weight decay is kept off biases and norms (parameters with fewer than two axes)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    is_fused = device.type in {"cpu", "cuda"}
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=is_fused)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            fused=is_fused,
        )
    raise ValueError(f"recipe.optimizer = '{recipe.optimizer}': known here are adamw and sgd")


def make_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, *, num_steps: int
) -> LRScheduler:
    """Return the schedule; it advances once a step."""
    if recipe.schedule == "onecycle":
        # One step more than are taken: torch's schedule raises when it is advanced past its end.
        return OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=num_steps + 1)
    if recipe.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=num_steps)
    if recipe.schedule == "constant":
        return ConstantLR(optimizer, factor=1.0)
    raise ValueError(
        f"recipe.schedule = '{recipe.schedule}': known here are onecycle, cosine and constant"
    )

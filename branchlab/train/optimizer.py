"""From a recipe to torch's optimiser and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from branchlab.errors import ConfigError, nearest
from branchlab.train.recipe import Recipe

_ONECYCLE_WARMUP = 0.3
_MATRIX_AXES = 2


def make_optimizer(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser; weight decay is kept off biases and norms (parameters with fewer than two axes).

    Raises:
        ConfigError: A pattern of the recipe names no parameter, or Muon has nothing to do.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    spared = {id(trained[name]) for name in matching(recipe.no_decay, trained, what="no_decay")}
    if recipe.optimizer == "muon":
        return _muon(list(trained.values()), spared, recipe, device)
    groups = _groups(trained.values(), spared, recipe)
    is_fused = device.type in {"cpu", "cuda"}
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=is_fused)
    return torch.optim.SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=is_fused,
    )


def matching(patterns: Iterable[str], names: Iterable[str], *, what: str) -> list[str]:
    """Return the names that any of some patterns matches, in their order.

    Raises:
        ConfigError: A pattern matches none.
    """
    known = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ConfigError(
                f"recipe.{what}: '{pattern}' matches no trained parameter of the model: "
                f"{nearest(pattern, known)}there are {', '.join(known[:8])}{' …' if len(known) > 8 else ''}"  # noqa: PLR2004  as many as one reads
            )
    return [name for name in known if any(fnmatchcase(name, one) for one in patterns)]


def _groups(parameters: Iterable[Tensor], spared: set[int], recipe: Recipe) -> list[dict[str, Any]]:
    """Return parameters with and without weight decay; what is empty is left out."""
    held = list(parameters)
    decayed = [p for p in held if p.ndim >= _MATRIX_AXES and id(p) not in spared]
    kept = {id(p) for p in decayed}
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": [p for p in held if id(p) not in kept], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _muon(
    trained: list[nn.Parameter], spared: set[int], recipe: Recipe, device: torch.device
) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise ConfigError(
            f"recipe.optimizer = 'muon': torch {torch.__version__} has no Muon, 2.9 and newer have"
        )
    matrices = [p for p in trained if p.ndim >= _MATRIX_AXES]
    hidden = [p for p in matrices[1:-1] if id(p) not in spared]
    if not hidden:
        raise ConfigError(
            f"recipe.optimizer = 'muon': it trains the weights between the first and the last, and the model has "
            f"{len(matrices)} weights; use adamw or sgd"
        )
    ours = {id(p) for p in hidden}
    others = _groups([p for p in trained if id(p) not in ours], spared, recipe)
    return MuonWithAdamW(hidden, others, recipe, is_fused=device.type in {"cpu", "cuda"})


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for hidden weights, AdamW for the rest, as one optimiser with one learning rate.

    Torch's Muon takes matrices alone, so it is given views of the weights: a kernel [O, I, H, W] as [O, I * H * W], as its
    author does (https://kellerjordan.github.io/posts/muon/). Its updates are scaled to AdamW's, so that the rate of one
    serves the other.

    Args:
        hidden: Weights with two axes or more.
        others: Parameter groups for AdamW.
    """

    def __init__(
        self,
        hidden: list[nn.Parameter],
        others: list[dict[str, Any]],
        recipe: Recipe,
        *,
        is_fused: bool,
    ) -> None:
        self._hidden = hidden
        self._matrices = [_as_matrix(p.detach()) for p in hidden]
        self._muon = torch.optim.Muon(
            self._matrices,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(others, lr=recipe.lr, fused=is_fused)
        decay = {"weight_decay": recipe.weight_decay}
        super().__init__([{"params": hidden, **decay}, *map(dict, others)], {"lr": recipe.lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step with the gradients that are there."""
        assert closure is None, "a step is taken with the gradients that are there"
        inner = [*self._muon.param_groups, *self._adamw.param_groups]
        for mine, theirs in zip(self.param_groups, inner, strict=True):
            theirs["lr"], theirs["weight_decay"] = mine["lr"], mine["weight_decay"]
        for matrix, weight in zip(self._matrices, self._hidden, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adamw.step()
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return both optimisers' states and the learning rates."""
        rates = [group["lr"] for group in self.param_groups]
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict(), "lr": rates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        self._muon.load_state_dict(state_dict["muon"])
        self._adamw.load_state_dict(state_dict["adamw"])
        for group, rate in zip(self.param_groups, state_dict["lr"], strict=True):
            group["lr"] = rate


def _as_matrix(weight: Tensor) -> Tensor:
    """Return a weight [O, ...] as a matrix, without a copy where its memory is dense; the order of the columns is that of the memory."""
    is_channels_last = weight.ndim == 4 and weight.is_contiguous(  # noqa: PLR2004  O I H W
        memory_format=torch.channels_last
    )
    ordered = weight.permute(0, 2, 3, 1) if is_channels_last else weight
    return ordered.reshape(len(weight), -1)


def make_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, *, num_steps: int
) -> LRScheduler:
    """Return the schedule; it advances once a step."""
    if recipe.schedule == "onecycle":
        # One step more than are taken: torch's schedule raises when it is advanced past its end.
        return OneCycleLR(
            optimizer,
            max_lr=recipe.lr,
            total_steps=num_steps + 1,
            pct_start=_ONECYCLE_WARMUP if recipe.warmup is None else recipe.warmup,
            cycle_momentum=not isinstance(optimizer, MuonWithAdamW),
        )

    def factor(step: int) -> float:
        return lr_factor(recipe, step, num_steps)

    return LambdaLR(optimizer, factor)


def lr_factor(recipe: Recipe, step: int, num_steps: int) -> float:
    """Return the learning rate of a step as a part of its peak."""
    warming = round((recipe.warmup or 0.0) * num_steps)
    if step < warming:
        return (step + 1) / (warming + 1)
    if recipe.schedule == "cosine":
        done = (step - warming) / max(1, num_steps - warming)
        return (1 + math.cos(math.pi * min(1.0, done))) / 2
    if recipe.schedule == "step":
        return recipe.step_factor ** sum(step >= share * num_steps for share in recipe.step_at)
    return 1.0

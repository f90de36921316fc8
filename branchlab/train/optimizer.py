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
_NUDGE = 1e-6
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)


def make_optimizer(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser; weight decay is kept off biases and norms (parameters with fewer than two axes).

    Raises:
        ConfigError: A pattern of the recipe names no parameter, or Muon has nothing to do.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    spared = {id(trained[name]) for name in matching(recipe.no_decay, trained, what="no_decay")}
    if recipe.optimizer == "muon":
        return _muon(model, list(trained.values()), spared, recipe, device)
    groups = _groups(trained.values(), spared, recipe)
    is_fused = device.type in {"cpu", "cuda"}
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=is_fused)
    optimizer = torch.optim.SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=is_fused,
    )
    if recipe.precision == "fp16" and recipe.momentum > 0:
        # Fused SGD makes room for the momentum in its first step, and does not fill it where the scaler leaves that one out.
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


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
    model: nn.Module,
    trained: list[nn.Parameter],
    spared: set[int],
    recipe: Recipe,
    device: torch.device,
) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise ConfigError(
            f"recipe.optimizer = 'muon': torch {torch.__version__} has no Muon, 2.9 and newer have"
        )
    weights = [p for p in _weights(model) if p.requires_grad]
    hidden = [p for p in weights[1:-1] if id(p) not in spared and _columns(p) is not None]
    if not hidden:
        raise ConfigError(
            f"recipe.optimizer = 'muon': it trains the weights of layers between the first and the last, and the model has "
            f"{len(weights)} layers with weights; use adamw or sgd"
        )
    ours = {id(p) for p in hidden}
    others = _groups([p for p in trained if id(p) not in ours], spared, recipe)
    return MuonWithAdamW(hidden, others, recipe, is_fused=device.type in {"cpu", "cuda"})


def _weights(model: nn.Module) -> list[nn.Parameter]:
    """Return what multiplies in a model's layers, in their order: no embeddings, scales or tokens."""
    found: dict[int, nn.Parameter] = {}
    for module in model.modules():
        name = "in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight"
        weight = getattr(module, name, None)
        if isinstance(module, _LAYERS) and isinstance(weight, nn.Parameter):
            found.setdefault(id(weight), weight)
    return list(found.values())


def _columns(weight: Tensor) -> tuple[int, ...] | None:
    """Return the order of the axes in which a weight's memory is one matrix [O, columns]; None where it is none."""
    if weight.numel() in {len(weight), weight[0].numel()}:
        return None  # a vector, whatever its shape
    last = (0, *range(2, weight.ndim), 1)
    for order in (tuple(range(weight.ndim)), last):
        if weight.permute(order).is_contiguous():
            return order
    return None


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for hidden weights, AdamW for the rest, as one optimiser with one learning rate; under fp16 the scaler waits for it.

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
        self._orders = [_columns(p) or () for p in hidden]
        self._matrices = [
            p.detach().permute(order).view(len(p), -1)
            for p, order in zip(hidden, self._orders, strict=True)
        ]
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
        for matrix, weight, order in zip(self._matrices, self._hidden, self._orders, strict=True):
            grad = weight.grad
            matrix.grad = None if grad is None else grad.permute(order).reshape(matrix.shape)
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


def make_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, *, num_steps: int
) -> LRScheduler:
    """Return the schedule; it advances once a step."""
    if recipe.schedule == "onecycle":
        # One step more than are taken: torch's schedule raises when it is advanced past its end.
        total_steps = num_steps + 1
        warmup = _ONECYCLE_WARMUP if recipe.warmup is None else recipe.warmup
        if warmup * total_steps == 1:
            warmup += _NUDGE  # torch divides by what is beyond one step
        return OneCycleLR(
            optimizer,
            max_lr=recipe.lr,
            total_steps=total_steps,
            pct_start=warmup,
            cycle_momentum=recipe.optimizer == "adamw",  # SGD's is the recipe's own
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

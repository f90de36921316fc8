"""The exponential moving average of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return an average that begins at the model's weights and follows its parameters and buffers.

    The decay is at most (1 + steps) / (10 + steps), or a short training would be judged by the weights of its start.
    """

    def follow(
        averages: tuple[Tensor, ...] | list[Tensor],
        values: tuple[Tensor, ...] | list[Tensor],
        num_averaged: Tensor | int,
    ) -> None:
        steps = int(num_averaged)  # a counter on the CPU: no device waits for it
        weight = 1 - min(decay, (1 + steps) / (10 + steps))
        if averages[0].is_floating_point() or averages[0].is_complex():
            torch._foreach_lerp_(list(averages), list(values), weight)
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)  # a count, of batches seen for instance

    average = AveragedModel(model, multi_avg_fn=torch.no_grad()(follow), use_buffers=True)
    return average.requires_grad_(requires_grad=False)

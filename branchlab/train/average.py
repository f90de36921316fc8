"""The exponential moving average of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


class Average(AveragedModel):
    """An average that begins at a model's weights and follows its parameters and buffers.

    The decay is at most (1 + steps) / (10 + steps), or a short training would be judged by the weights of its start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, multi_avg_fn=self._follow, use_buffers=True)
        self._decay = decay
        self.requires_grad_(requires_grad=False)

    @torch.no_grad()
    def _follow(self, averages: _Tensors, values: _Tensors, _: Tensor | int) -> None:
        # Its own counter is on the CPU; what is handed over is a copy on the device, for which this would wait.
        steps = int(self.n_averaged)
        weight = 1 - min(self._decay, (1 + steps) / (10 + steps))
        if averages[0].is_floating_point() or averages[0].is_complex():
            torch._foreach_lerp_(list(averages), list(values), weight)
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)  # a count, of batches seen for instance

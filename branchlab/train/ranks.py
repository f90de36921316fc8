"""The processes that train one run together: what each takes of a batch, and where all of them have to agree.

``Ranks`` is a process that trains alone: every method gives back what it was given, and costs nothing. ``JoinedRanks`` is
one of several. Whatever they agree on goes over a group of its own on the CPU, so that nothing waits for a GPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from branchlab.errors import ConfigError
from branchlab.train.digests import digest
from branchlab.train.task import Batch

_AGREE_EVERY_S = 0.2
_STRIDE_MAX = 100
"""Steps between two agreements: at most so many, as a step may suddenly take longer."""

Loss = Callable[[Batch], Tensor]


class Ranks:
    """One process, alone."""

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self.rank == 0

    def device_of(self, kind: str) -> torch.device:
        """Return this process's own device."""
        return torch.device(kind)

    def stream(self, purpose: str) -> str:
        """Return the name of a stream of random numbers that differs from process to process."""
        return purpose

    def check_batch(self, size: int, *, wanted: int) -> None:
        """See that a batch can be shared out; ``wanted`` is the recipe's own size, which a small set falls short of."""

    def share(self, rows: Tensor) -> Tensor:
        """Return this process's part of the rows of a batch."""
        return rows

    def join(self, model: nn.Module, loss: Loss) -> Loss:
        """Return the loss whose backward pass leaves the mean gradient of all processes in the model."""
        return loss

    def summing(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Return what a part of a batch is computed in: gradients are exchanged once, with the last part."""
        return nullcontext()

    def agree(self, *, should_stop: bool, should_save: bool) -> tuple[bool, bool]:
        """Return whether all processes stop after this step, and whether they write a checkpoint."""
        return should_stop, should_save

    def of_first(self, value: float) -> float:
        """Return the first process's value."""
        return value

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over all processes, element by element."""
        return values

    def level(self, model: nn.Module) -> None:
        """Give all processes the buffers of the first one's model."""

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401  whatever can be pickled
        """Return every process's value, in order, in the first process; nothing in the others."""
        return [value]


ALONE = Ranks()


class JoinedRanks(Ranks):
    """One process of several; the process group must be there."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        group = dist.new_group(backend="gloo")
        assert isinstance(group, dist.ProcessGroup)
        self._group = group
        self._model: nn.Module | None = None
        self._parallel: _Parallel | None = None
        self._stride, self._until = 1, 1
        self._agreed_at = time.monotonic()

    def device_of(self, kind: str) -> torch.device:
        return torch.device(kind, self.rank) if kind == "cuda" else torch.device(kind)

    def stream(self, purpose: str) -> str:
        return f"{purpose}/{self.rank}" if self.rank else purpose

    def check_batch(self, size: int, *, wanted: int) -> None:
        if size % self.size:
            found = (
                f"recipe.batch_size = {size}"
                if size == wanted
                else f"the training set of {size} examples, which is less than one batch of {wanted},"
            )
            raise ConfigError(
                f"{found} cannot be shared by [run] processes = {self.size}: needs a multiple of {self.size}"
            )

    def share(self, rows: Tensor) -> Tensor:
        size = len(rows) // self.size
        return rows[self.rank * size : (self.rank + 1) * size]

    def join(self, model: nn.Module, loss: Loss) -> Loss:
        # Parameters that a step leaves out are looked for at every step: a branch may have some, and without looking torch
        # lays its buckets out anew after the first step, so that a resumed run of three processes summed in another order.
        self._model = model
        self._parallel = _Parallel(_Joined(model, loss), find_unused_parameters=True)
        return self._parallel

    def summing(self, *, is_last: bool) -> AbstractContextManager[None]:
        if is_last or self._parallel is None:
            return nullcontext()
        return self._parallel.no_sync()

    def agree(self, *, should_stop: bool, should_save: bool) -> tuple[bool, bool]:
        """Return what holds for all. It is asked now and then: the first process says after how many steps again."""
        if self._model is not None:
            self._check_equal(self._model)
            self._model = None
        self._until -= 1
        if self._until:
            return False, False
        said = [should_stop, should_save and self.is_first, self._next_stride()]
        heard = torch.tensor([int(one) for one in said])
        dist.all_reduce(heard, dist.ReduceOp.MAX, group=self._group)
        stop, save, self._stride = heard.tolist()
        self._until = self._stride
        return bool(stop), bool(save)

    def _next_stride(self) -> int:
        if not self.is_first:
            return 0
        now = time.monotonic()
        passed_s, self._agreed_at = now - self._agreed_at, now
        wanted = int(self._stride * _AGREE_EVERY_S / passed_s) if passed_s > 0 else _STRIDE_MAX
        return max(1, min(wanted, 2 * self._stride, _STRIDE_MAX))

    def _check_equal(self, model: nn.Module) -> None:
        """See that one step has left the same gradients and weights everywhere.

        Raises:
            RuntimeError: It has not; what trains on would be several models.
        """
        mine = {name: digest([p.grad, p]) for name, p in model.named_parameters()}
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, mine, group=self._group)
        names = [name for name in mine if len({one.get(name) for one in found}) > 1]
        if names:
            raise RuntimeError(
                f"after one step '{names[0]}' and {len(names) - 1} other parameters differ between the {self.size} processes "
                f"of this run: weights may change through the gradients of Task.loss and the optimiser alone"
            )

    def of_first(self, value: float) -> float:
        held = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(held, 0, group=self._group)
        return float(held[0])

    def mean(self, values: Tensor) -> Tensor:
        # Summed in the order of the ranks: what a ring sums depends on where in the tensor an element stands.
        parts = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(parts, values.contiguous())
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total / self.size

    def level(self, model: nn.Module) -> None:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401
        found: list[Any] | None = [None] * self.size if self.is_first else None
        dist.gather_object(value, found, group=self._group)
        return found or []


class _Joined(nn.Module):
    """From a batch to its loss as one module, so that DistributedDataParallel sees all that a task does with its model."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self._loss = loss

    def forward(self, batch: Batch) -> Tensor:
        return self._loss(batch)


class _Parallel(DistributedDataParallel):
    """Torch's own, but for a line on stderr that advises against looking for parameters that are left out."""

    def _post_forward(self, output: Tensor) -> Tensor:
        # It is said once a process, after whichever step leaves none out: the first, or one that thaws something.
        kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        try:
            return super()._post_forward(output)  # type: ignore[no-any-return, no-untyped-call]
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(null)

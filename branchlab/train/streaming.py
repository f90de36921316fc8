"""A split that is read batch by batch in worker processes: for data that is larger than the memory.

Every item is read with generators that are seeded by run, epoch and item, so that random transforms inside a Dataset give
the same bits however many workers there are, and after a resume in the middle of an epoch.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from branchlab.train import randomness
from branchlab.train.rows import pair, sent, together
from branchlab.train.task import Batch

_WORKERS_MAX = 8
_PREFETCHED = 2
_JUDGED = -1
"""Stands for the epoch where a split is judged: its random transforms, if it has any, are the same every time."""
_Place = tuple[int, int]


class StreamedSplit:
    """One split on a disk. ``ids`` (Int[Tensor, "N"]) are positions in the whole Dataset; batches come on ``device``.

    Args:
        workers: Processes that read ahead; 0 reads in this one, None is as many as serve.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        ids: Tensor,
        *,
        device: torch.device,
        seed: int,
        workers: int | None = None,
    ) -> None:
        self.dataset, self.ids, self.device = dataset, ids, device
        self._seed = seed
        self._workers = _workers_for(device) if workers is None else workers
        if self._workers:
            # Every tensor that a worker sends takes a descriptor here: a batch of boxes may be a thousand.
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def __len__(self) -> int:
        return len(self.ids)

    def batches(
        self, order: Tensor, *, size: int, first: int, share: Callable[[Tensor], Tensor], epoch: int
    ) -> Iterator[Batch]:
        """Yield an epoch's whole batches as stored, from the batch ``first`` on; as ``HeldSplit`` does."""
        ids = self.ids[order]
        parts = [
            share(ids[number * size : (number + 1) * size])
            for number in range(first, len(self) // size)
        ]
        return self._read([[(epoch, one) for one in part.tolist()] for part in parts])

    def in_order(self, size: int, *, first: int = 0, stride: int = 1) -> Iterator[Batch]:
        """Yield batches of consecutive examples as stored, every ``stride``-th from the batch ``first`` on."""
        starts = range(first * size, len(self), stride * size)
        return self._read(
            [[(_JUDGED, one) for one in self.ids[at : at + size].tolist()] for at in starts]
        )

    def slice(self, start: int, end: int) -> Batch:
        """Return consecutive examples as stored, read in this process."""
        items = _Seeded(self.dataset, self._seed)
        with randomness.undisturbed(self.device):
            read = [items[_JUDGED, one] for one in self.ids[start:end].tolist()]
        return self._sent(_collated(read))

    def _read(self, plan: list[list[_Place]]) -> Iterator[Batch]:
        # Workers live for one pass: those that outlive it are inherited by later ones, which then wait for each other.
        loader: DataLoader[Any] = DataLoader(
            _Seeded(self.dataset, self._seed),
            batch_sampler=plan,
            num_workers=self._workers if plan else 0,
            collate_fn=_collated,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_begin_worker,
            prefetch_factor=_PREFETCHED if self._workers and plan else None,
            # What it draws for its workers must not come from the training's numbers.
            generator=torch.Generator().manual_seed(self._seed),
        )
        # Without workers items are read here, between steps whose random numbers must not change.
        is_here = not self._workers
        batches = iter(loader)
        for _ in plan:
            with randomness.undisturbed(self.device) if is_here else contextlib.nullcontext():
                batch = next(batches)
            yield self._sent(batch)

    def _sent(self, batch: tuple[Any, Any, Tensor]) -> Batch:
        inputs, targets, ids = batch
        return Batch(*(sent(value, self.device) for value in (inputs, targets, ids)))


class _Seeded(Dataset[Any]):
    """A Dataset whose items are read with seeded generators; an index is (epoch, id)."""

    def __init__(self, dataset: Dataset[Any], seed: int) -> None:
        self._dataset, self._seed = dataset, seed

    def __getitem__(self, place: _Place) -> tuple[Any, Any, int]:
        epoch, position = place
        randomness.seed_cpu(self._seed, f"example/{epoch}/{position}")
        image, target = pair(self._dataset[position], position)
        return image, target, position


def _collated(items: list[tuple[Any, Any, int]]) -> tuple[Any, Any, Tensor]:
    images, targets, ids = zip(*items, strict=True)
    return together(images), together(targets), torch.tensor(ids)


def _begin_worker(_number: int) -> None:
    """Make a worker end when it is told to: what the training does on SIGTERM is not for its workers."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _workers_for(device: torch.device) -> int:
    """Return how many processes read for one run: on a CPU as many as compute, beside a GPU those that it leaves idle."""
    if device.type == "cpu":
        return torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = max(1, torch.cuda.device_count())
    return max(1, min(_WORKERS_MAX, (cores or 1) // gpus))

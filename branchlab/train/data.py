"""Which examples a run sees, and holding them as they are stored (uint8 for images), on its device where they fit.

In-memory uint8 with batched augmentation gives 20 to 80 times the images/s of a DataLoader with PIL on small images
(measured on two cores). What is larger than the memory is streamed, under the same contract.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils.data import Dataset

from branchlab.domain import Run, Sample, Scale
from branchlab.errors import ConfigError
from branchlab.train.randomness import generator
from branchlab.train.rows import as_tensors, num_bytes, pair, sent, take, together
from branchlab.train.sharing import share
from branchlab.train.slices import Partition, partitions
from branchlab.train.streaming import StreamedSplit
from branchlab.train.task import Batch, Examples, Rows, Splits

_DEVICE_SHARE = 0.5
"""Of a GPU's free memory, data may take so much; else it stays on the CPU and goes there batch by batch."""
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class HeldSplit:
    """One split in memory. ``ids`` (Int[Tensor, "N"]) are positions in the whole split; batches come on ``device``."""

    inputs: Rows
    targets: Rows
    ids: Tensor
    device: torch.device = _CPU

    def __len__(self) -> int:
        return len(self.ids)

    def batches(
        self, order: Tensor, *, size: int, first: int, share: Callable[[Tensor], Tensor], epoch: int
    ) -> Iterator[Batch]:
        """Yield an epoch's whole batches of ``size`` as stored, from the batch ``first`` on.

        ``order`` (Int[Tensor, "N"], on the CPU) is the epoch's own; ``share`` says which of a batch's rows this process takes.
        """
        rows = order.to(self.ids.device)
        for number in range(first, len(self) // size):
            yield self.batch(share(rows[number * size : (number + 1) * size]))

    def in_order(self, size: int, *, first: int = 0, stride: int = 1) -> Iterator[Batch]:
        """Yield batches of consecutive examples as stored, every ``stride``-th from the batch ``first`` on."""
        for start in range(first * size, len(self), stride * size):
            yield self.slice(start, start + size)

    def batch(self, rows: Tensor) -> Batch:
        """Return the examples at ``rows`` (Int[Tensor, "B"], where the data is) as stored."""
        return self._sent(
            Batch(take(self.inputs, rows), take(self.targets, rows), self.ids.index_select(0, rows))
        )

    def slice(self, start: int, end: int) -> Batch:
        """Return consecutive examples as stored, without a copy."""
        return self._sent(
            Batch(self.inputs[start:end], self.targets[start:end], self.ids[start:end])
        )

    def _sent(self, batch: Batch) -> Batch:
        """Return a batch on the device; what is held there is there."""
        if self.ids.device == self.device:
            return batch
        inputs, targets, ids = (
            sent(value, self.device) for value in (batch.inputs, batch.targets, batch.ids)
        )
        return Batch(inputs, targets, ids)


Split = HeldSplit | StreamedSplit


@dataclass(frozen=True, slots=True)
class HeldData:
    """All splits of a run; ``test`` only at full scale.

    Attributes:
        num_classes: Of the whole training set; 0 where its targets are no class numbers.
        note: What the user should know of the sample, or "".
        val_parts: The ways to part the validation set: by class, and by the project's own groups.
        parts_note: Which of them has too many parts, or "".
    """

    train: Split
    val: Split
    test: Split | None
    sample_digest: str
    num_classes: int = 0
    note: str = ""
    val_parts: tuple[Partition, ...] = ()
    parts_note: str = ""


def hold(splits: Splits, run: Run, *, device: torch.device) -> HeldData:
    """Put the data of a run where it trains, the training set reduced when the scale is ``sample``.

    Raises:
        ConfigError: It does not fit into memory.
        TypeError: A Dataset's items are no pairs of an image and a target.
    """
    source = splits.train
    if isinstance(source, Examples):
        source = _in_memory(source, "train")
    targets = _targets_of(source)
    note = ""
    if targets is None and not splits.stream:
        source = _in_memory(
            source, "train"
        )  # all of it: what it holds has to be seen before it can be drawn from
        targets = _targets_of(source)
    if targets is None or not _are_classes(targets):
        size = len(source)  # type: ignore[arg-type]
        targets = targets if targets is not None else torch.zeros(size)
        if run.scale is Scale.SAMPLE and run.sample.strategy == "stratified":
            whose = (
                "the streamed Dataset has no `targets`" if splits.stream else "there are no targets"
            )
            note = f"the sample is drawn at random, not class by class: {whose} with one class number an example"
    ids = torch.arange(len(targets)) if run.scale is Scale.FULL else sample_ids(targets, run.sample)

    def held(source: Examples | Dataset[Any], name: str, ids: Tensor | None = None) -> Split:
        if splits.stream and not isinstance(source, Examples):
            if ids is None:
                ids = torch.arange(len(source))  # type: ignore[arg-type]
            if not len(ids):
                raise TypeError(f"the {name} set has no item; each item must be (image, target)")
            return StreamedSplit(source, ids, device=device, seed=run.seed, workers=run.workers)
        examples = _in_memory(source, name, ids)
        ids = torch.arange(len(examples)) if ids is None else ids
        if isinstance(source, Examples) and len(ids) < len(source):
            examples = Examples(take(source.inputs, ids), take(source.targets, ids))
        return _held(examples, ids, device)

    is_tested = run.scale is Scale.FULL and splits.test is not None
    classes = int(targets.max()) + 1 if _are_classes(targets) else 0
    train, val = held(source, "train", ids), held(splits.val, "val")
    parts, parts_note = _parts_of(splits, val)
    return HeldData(
        train=train,
        val=val,
        test=held(splits.test, "test") if is_tested and splits.test is not None else None,
        sample_digest=hashlib.sha256(ids.numpy().tobytes()).hexdigest()[:16],
        num_classes=max(len(splits.classes), classes),
        note=note,
        val_parts=parts,
        parts_note=parts_note,
    )


def _parts_of(splits: Splits, val: Split) -> tuple[tuple[Partition, ...], str]:
    targets = val.targets if isinstance(val, HeldSplit) else _targets_of(splits.val)
    classes = targets if isinstance(targets, Tensor) and _are_classes(targets) else None
    return partitions(classes, splits.classes, splits.val_groups, num=len(val))


def sample_ids(targets: Tensor, sample: Sample) -> Tensor:
    """Return the sorted ids of the reduced training set (Int[Tensor, "M"]).

    One seeded permutation a class, and the first part of each: samples of growing fraction are nested, and every class
    keeps at least one example. Targets that are no class numbers are drawn at random.
    """
    groups = (
        [torch.nonzero(targets == c).flatten() for c in torch.unique(targets)]
        if sample.strategy == "stratified" and _are_classes(targets)
        else [torch.arange(len(targets))]
    )
    kept = []
    for number, group in enumerate(groups):
        order = torch.randperm(len(group), generator=generator(sample.seed, f"sample/{number}"))
        kept.append(group[order[: max(1, round(sample.fraction * len(group)))]])
    return torch.cat(kept).sort().values


def _are_classes(targets: Tensor) -> bool:
    return targets.ndim == 1 and not targets.is_floating_point()


def _targets_of(source: Examples | Dataset[Any]) -> Tensor | None:
    """Return the targets of all examples where that takes no reading of images: Datasets of torchvision have them."""
    if isinstance(source, Examples):
        targets = source.targets
        return targets if isinstance(targets, Tensor) else torch.zeros(len(source))
    found = getattr(source, "targets", None)
    size = len(source)  # type: ignore[arg-type]
    try:
        known = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError):
        return None
    return known if known.shape == (size,) and _are_classes(known) else None


def _in_memory(source: Examples | Dataset[Any], name: str, ids: Tensor | None = None) -> Examples:
    """Return examples in memory; a Dataset is read through once, where ``ids`` are given these alone.

    Raises:
        TypeError: An item is not a pair of an image and a target.
        ConfigError: All of it would not fit.
    """
    if isinstance(source, Examples):
        rows = [
            one if isinstance(one, Tensor) else together(one)
            for one in (source.inputs, source.targets)
        ]
        return Examples(rows[0], rows[1])
    wanted = range(len(source)) if ids is None else ids.tolist()  # type: ignore[arg-type]
    items: list[tuple[Any, Any]] = []
    for position in wanted:
        items.append(pair(source[position], position))
        if len(items) == 1:
            # Twice: one by one, and together.
            _check_room(2 * num_bytes(as_tensors(items[0])) * len(wanted), name)
    if not items:  # Examples are never empty
        raise TypeError(f"the {name} set has no item; each item must be (image, target)")
    return Examples(together([item[0] for item in items]), together([item[1] for item in items]))


def _check_room(wanted: int, name: str) -> None:
    free = psutil.virtual_memory().available
    if wanted > free:
        raise ConfigError(
            f"the {name} set would take {wanted / 2**30:.1f} GiB of memory, {free / 2**30:.1f} are free: "
            f"stream it with branchlab.Splits(..., stream=True), or train on a smaller sample"
        )


def _held(examples: Examples, ids: Tensor, device: torch.device) -> HeldSplit:
    inputs, targets = examples.inputs, examples.targets
    if isinstance(inputs, Tensor) and isinstance(targets, Tensor):
        home = device if _fits(num_bytes([inputs, targets]), device) else _CPU
        return HeldSplit(share(inputs.to(home)), share(targets.to(home)), ids.to(home), device)
    return HeldSplit(inputs, targets, ids, device)


def _fits(wanted: int, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return wanted <= _DEVICE_SHARE * free

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

from branchlab.domain import Drawn, Run, Scale, Strata, is_other_data
from branchlab.errors import ConfigError
from branchlab.train.rows import as_tensors, num_bytes, pair, sent, take, together
from branchlab.train.sampling import Seen, are_classes, drawn_ids, seen_in
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
        sample_digest: Of the ids of ``train``. ``targets_digest``: of what a draw sees of their targets.
        num_classes: Of the whole training set; 0 where its targets are no class numbers.
        notes: What the user should know of the sample, and of parts of the validation set that there are too many of.
        val_parts: The ways to part the validation set: by class, and by the project's own groups.
    """

    train: Split
    val: Split
    test: Split | None
    sample_digest: str
    targets_digest: str = ""
    num_classes: int = 0
    notes: tuple[str, ...] = ()
    val_parts: tuple[Partition, ...] = ()


def hold(splits: Splits, run: Run, *, device: torch.device, drawn: Drawn | None = None) -> HeldData:
    """Put the data of a run where it trains, the training set reduced when the scale is ``sample``.

    ``drawn`` is the repository's sample, where there is a manifest: a strategy of the project's own takes its ids from there,
    any other is held against it.

    Raises:
        ConfigError: It does not fit into memory, or the sample is not one of this training set.
        TypeError: A Dataset's items are no pairs of an image and a target.
    """
    source = splits.train
    if isinstance(source, Examples):
        source = _in_memory(source, "train")
    is_sample = run.scale is Scale.SAMPLE
    source, seen = see(source, is_streamed=splits.stream, is_close=is_sample)
    ids = _ids(run, seen, splits, drawn) if is_sample else torch.arange(seen.num)

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
    train, val = held(source, "train", ids), held(splits.val, "val")
    parts, parts_note = _parts_of(splits, val)
    classes = 0 if seen.classes is None else int(seen.classes.max()) + 1
    digest, targets_digest = digest_of_ids(ids), seen.digest(ids)
    is_stratified = is_sample and run.sample.strategy == "stratified"
    notes = [note_of(seen, is_streamed=splits.stream)] if is_stratified else []
    notes.append(parts_note)
    if is_sample and drawn is not None and is_other_data(drawn.data, f"{digest}:{targets_digest}"):
        notes.append(_other_data(seen, len(ids), drawn))
    return HeldData(
        train=train,
        val=val,
        test=held(splits.test, "test") if is_tested and splits.test is not None else None,
        sample_digest=digest,
        targets_digest=targets_digest,
        num_classes=max(len(splits.classes), classes),
        notes=tuple(note for note in notes if note),
        val_parts=parts,
    )


def _parts_of(splits: Splits, val: Split) -> tuple[tuple[Partition, ...], str]:
    targets = val.targets if isinstance(val, HeldSplit) else _targets_of(splits.val)
    classes = targets if isinstance(targets, Tensor) and are_classes(targets) else None
    return partitions(classes, splits.classes, splits.val_groups, num=len(val))


def see(
    source: Examples | Dataset[Any], *, is_streamed: bool, is_close: bool = True
) -> tuple[Examples | Dataset[Any], Seen]:
    """Return a training set, read into memory where it has to be, and what a draw sees of its targets.

    ``is_close`` is off where nothing is drawn: then masks are not counted.
    """
    targets = _targets_of(source)
    if targets is None and not is_streamed:
        # All of it: what it holds has to be seen before it can be drawn from.
        source = _in_memory(source, "train")
        targets = _targets_of(source)
    size = len(source)  # type: ignore[arg-type]
    is_plain = isinstance(targets, Tensor) and are_classes(targets)
    return source, seen_in(targets if is_close or is_plain else None, size)


def digest_of_ids(ids: Tensor) -> str:
    """Return the digest by which samples are told apart."""
    return hashlib.sha256(ids.numpy().tobytes()).hexdigest()[:16]


def note_of(seen: Seen, *, is_streamed: bool) -> str:
    """Say that a sample keeps no shares, where that is so."""
    if seen.strata is not Strata.NONE:
        return ""
    whose = "the streamed Dataset has no `targets`" if is_streamed else "there are no targets"
    return f"the sample is drawn at random, not class by class: {whose} with one class number an example"


def _ids(run: Run, seen: Seen, splits: Splits, drawn: Drawn | None) -> Tensor:
    if not run.sample.is_own:
        return drawn_ids(seen, run.sample, splits.groups)
    if drawn is None or not drawn.ids:
        raise ConfigError(
            f"the ids that {run.sample.strategy} has drawn are not in the run's folder",
            hint="draw the sample on main: branchlab sample",
        )
    ids = torch.tensor(drawn.ids)
    if int(ids.max()) >= seen.num:
        raise ConfigError(
            f"the sample drawn on main has example {int(ids.max())}, this branch's training set has {seen.num} examples"
        )
    # A rehearsal takes less of it.
    share = min(1.0, run.sample.fraction / drawn.sample.fraction)
    return ids[: max(1, round(share * len(ids)))]


def _other_data(seen: Seen, num: int, drawn: Drawn) -> str:
    what = (
        f"{num:,} of {seen.num:,} examples, main's is {drawn.num:,} of {drawn.of:,}"
        if (num, seen.num) != (drawn.num, drawn.of)
        else "as many examples as main's, but not the same ones"
    )
    return f"this run trains on another sample than the one drawn on main: {what}"


def _targets_of(source: Examples | Dataset[Any]) -> Rows | None:
    """Return the targets of all examples where that takes no reading of images: Datasets of torchvision have them."""
    if isinstance(source, Examples):
        return source.targets
    found = getattr(source, "targets", None)
    size = len(source)  # type: ignore[arg-type]
    try:
        known = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError):
        return None
    is_one_each = len(known.shape) > 0 and len(known) == size
    return known if is_one_each and seen_in(known, size).strata is not Strata.NONE else None


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

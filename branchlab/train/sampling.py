"""Which examples a sample holds: an order of the training set that one seed decides, of which every fraction takes the first part.

So samples of growing fraction are nested. Class numbers are drawn class by class. Several labels an example, masks and groups
that stay together go by one greedy order in which every prefix keeps the shares of the whole as well as its items allow: the
idea of iterative stratification (Sechidis and others, ECML 2011), for one order instead of k folds. Each step takes, of the
next few items of a random order, the one after which the shares are nearest; what does not fit yet waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from branchlab.domain import Sample, Strata
from branchlab.errors import ConfigError
from branchlab.train.randomness import generator
from branchlab.train.task import Rows

Table = NDArray[np.float64]
"""What items have of each class: a row an item."""

_WINDOW = 256
"""So many items are held against each other at each step. With 32, five labels of 2,000 examples were up to 15 examples off in
samples of 5 to 30%; with 256, less than one, at 0.4 ms a step of 40 labels (2026-11-27)."""
_LABELS_MIN = 2
_MASK_CLASSES_MAX = 200
"""Of more numbers a target is no mask but an image. COCO-Stuff has 182."""
_IGNORED = 255
"""This number, and negative ones, mark pixels that count for nothing."""
_MASK_SIDE_MAX = 128
"""A larger mask is looked at every few pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a draw sees of the targets of a training set.

    Attributes:
        num: Examples.
        classes: Int[Tensor, "N"] for class numbers, else None.
        present: Bool[N, K], which labels an example has, or which classes its mask; None for class numbers, and for nothing.
        shares: Float[N, K], the share of each class in the pixels of its mask; of masks alone.
    """

    strata: Strata
    num: int
    classes: Tensor | None = None
    present: NDArray[np.bool_] | None = None
    shares: Table | None = None

    def digest(self, ids: Tensor) -> str:
        """Return a digest of what is seen of some examples; "" where that is nothing."""
        if self.classes is not None:
            content = self.classes[ids].long().numpy().tobytes()
        elif self.present is not None:
            content = self.present[ids.numpy()].tobytes()
            content += b"" if self.shares is None else self.shares[ids.numpy()].tobytes()
        else:
            return ""
        return hashlib.sha256(content).hexdigest()[:16]

    def table(self) -> Table:
        """Return what shares are kept of where these are no class numbers: a row an example, each of which counts somewhere."""
        if self.present is None:
            return np.ones((self.num, 1))
        without = ~self.present.any(1, keepdims=True)
        parts = [self.present.astype(np.float64), without.astype(np.float64)]
        if self.shares is not None:
            # Pixels of a class weigh as much as the images that show it.
            totals = self.shares.sum(0)
            parts.append(self.shares * (self.present.sum(0) / np.where(totals > 0, totals, 1)))
        return np.concatenate(parts, 1)


def seen_in(targets: Rows | None, num: int) -> Seen:
    """Return what a draw sees of targets; what is no classes, labels or masks is nothing."""
    if isinstance(targets, Tensor):
        if are_classes(targets):
            return Seen(strata=Strata.CLASSES, num=num, classes=targets.cpu())
        if _are_labels(targets):
            return Seen(strata=Strata.LABELS, num=num, present=targets.bool().cpu().numpy())
    if _are_masks(targets):
        assert targets is not None
        shares = _pixel_shares(targets)
        if shares is not None:
            return Seen(strata=Strata.MASKS, num=num, present=shares > 0, shares=shares)
    return Seen(strata=Strata.NONE, num=num)


def are_classes(targets: Tensor) -> bool:
    """Whether targets are one class number an example."""
    return targets.ndim == 1 and not targets.is_floating_point()


def sample_ids(
    targets: Rows | None, sample: Sample, groups: Tensor | Sequence[Any] | None = None
) -> Tensor:
    """Return the sorted ids of the reduced training set (Int[Tensor, "M"]) for its targets."""
    num = len(targets) if targets is not None else len(groups or ())
    return drawn_ids(seen_in(targets, num), sample, groups)


def drawn_ids(seen: Seen, sample: Sample, groups: Tensor | Sequence[Any] | None = None) -> Tensor:
    """Return the sorted ids of the reduced training set (Int[Tensor, "M"]).

    Every class keeps ``sample.class_min`` examples, where it has so many, at least one; a random sample keeps no shares.

    Raises:
        ConfigError: There are not as many groups' names as examples.
    """
    is_stratified = sample.strategy != "random"
    if groups is not None:
        return _by_group(seen, sample, group_numbers(groups, seen.num))
    if is_stratified and seen.present is not None:
        order = _order(
            seen.table(),
            np.ones(seen.num),
            sample=sample,
            present=seen.present.astype(np.float64),
            wanted=sample.fraction * seen.num,
        )
        return torch.from_numpy(np.sort(order))
    # One permutation a class, and the first part of each.
    strata = (
        [torch.nonzero(seen.classes == c).flatten() for c in torch.unique(seen.classes)]
        if is_stratified and seen.classes is not None
        else [torch.arange(seen.num)]
    )
    least = sample.class_min if is_stratified and seen.classes is not None else 1
    kept = []
    for number, stratum in enumerate(strata):
        order_ = torch.randperm(len(stratum), generator=generator(sample.seed, f"sample/{number}"))
        kept.append(stratum[order_[: max(least, 1, round(sample.fraction * len(stratum)))]])
    return torch.cat(kept).sort().values


def group_numbers(groups: Tensor | Sequence[Any], num: int) -> NDArray[np.int64]:
    """Return the number of each example's group, counted from 0 in the order of their first examples.

    Raises:
        ConfigError: There are not as many as examples.
    """
    names = groups.tolist() if isinstance(groups, Tensor) else list(groups)
    if len(names) != num:
        raise ConfigError(
            f"Splits.groups names the groups of {len(names)} examples, the training set has {num}",
            hint="give one name or number for each example of train, in its order",
        )
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _by_group(seen: Seen, sample: Sample, numbers: NDArray[np.int64]) -> Tensor:
    """Draw whole groups. How many groups there are is one more share that is kept: else small ones would be preferred."""
    num_groups = int(numbers.max()) + 1
    is_stratified = sample.strategy != "random"
    sizes = np.bincount(numbers, minlength=num_groups).astype(np.float64)
    if is_stratified:
        shares = _of_groups(seen, numbers, num_groups)
        table = np.concatenate([shares, np.ones((num_groups, 1))], 1)
        width = shares.shape[1] if seen.present is None else seen.present.shape[1]
        present = None if seen.strata is Strata.NONE else shares[:, :width]
    else:
        table, present = (
            np.zeros((num_groups, 1)),
            None,
        )  # nothing to keep: one is as good as another
    order = _order(table, sizes, sample=sample, present=present, wanted=sample.fraction * seen.num)
    is_kept = np.zeros(num_groups, dtype=bool)
    is_kept[order] = True
    return torch.from_numpy(np.flatnonzero(is_kept[numbers]))


def _of_groups(seen: Seen, numbers: NDArray[np.int64], num_groups: int) -> Table:
    """Return what each group has of what shares are kept of."""
    if seen.classes is not None:
        names, inverse = torch.unique(seen.classes, return_inverse=True)
        places = numbers * len(names) + inverse.numpy()
        counts = np.bincount(places, minlength=num_groups * len(names))
        return counts.reshape(num_groups, -1).astype(np.float64)
    rows = seen.table()
    found = np.zeros((num_groups, rows.shape[1]))
    np.add.at(found, numbers, rows)
    return found


def _order(
    table: Table, sizes: Table, *, sample: Sample, present: Table | None, wanted: float
) -> NDArray[np.int64]:
    """Return the first items of the order, as many as come nearest to ``wanted`` examples.

    What every class needs at least stands in front, whatever the fraction is: a larger sample holds a smaller one.

    Args:
        table: Shares of these columns are kept.
        sizes: Examples of each item.
        sample: Whose seed decides the order.
        present: How many examples an item has of each class; None where no class needs a least number.
        wanted: Examples.
    """
    shuffled = torch.randperm(len(table), generator=generator(sample.seed, "sample/order")).numpy()
    first = [] if present is None else _first(present, shuffled, least=max(1, sample.class_min))
    is_first = np.zeros(len(table), dtype=bool)
    is_first[first] = True
    waiting = shuffled[~is_first[shuffled]]
    totals, taken = table.sum(0), table[first].sum(0)
    weights = 1 / np.where(totals > 0, totals, 1)
    done, whole = float(sizes[first].sum()), float(sizes.sum())
    order, following = list(first), _WINDOW
    window = waiting[:_WINDOW].copy()
    rows = table[window]
    while len(window) and (done < wanted or not order):
        after = done + sizes[window]
        off = taken + rows - (after / whole)[:, None] * totals
        best = int(np.argmin((off * off) @ weights))
        order.append(int(window[best]))
        done, taken = float(after[best]), taken + rows[best]
        if following < len(waiting):
            window[best] = waiting[following]
            rows[best] = table[waiting[following]]
            following += 1
        else:
            window, rows = np.delete(window, best), np.delete(rows, best, 0)
    return np.array(order[: _num_kept(order, sizes, first, wanted)], dtype=np.int64)


def _num_kept(order: Sequence[int], sizes: Table, first: Sequence[int], wanted: float) -> int:
    """Return how long the prefix of an order is whose size is nearest to what is wanted: never shorter than what is needed."""
    reached = np.cumsum(sizes[list(order)])
    return max(1, len(first), 1 + int(np.argmin(np.abs(reached - wanted))))


def _first(present: Table, shuffled: NDArray[np.int64], *, least: int) -> list[int]:
    """Return the first items of a random order that give every class its least number of examples."""
    found: dict[int, None] = {}
    for column in present[shuffled].T:
        having = np.flatnonzero(column)
        if len(having):
            enough = int(np.searchsorted(np.cumsum(column[having]), least)) + 1
            found |= dict.fromkeys(shuffled[having[:enough]].tolist())
    return list(found)


def _are_labels(targets: Tensor) -> bool:
    """Whether targets say of several labels which an example has."""
    if targets.ndim != 2 or targets.shape[1] < _LABELS_MIN or targets.is_complex():  # noqa: PLR2004  N K
        return False
    return bool(((targets == 0) | (targets == 1)).all())


def _are_masks(targets: Rows | None) -> bool:
    if isinstance(targets, Tensor):
        return targets.ndim > 2 and not targets.is_floating_point() and targets.numel() > 0  # noqa: PLR2004  N H W
    return bool(targets) and all(
        isinstance(one, Tensor) and one.ndim > 1 and not one.is_floating_point() and one.numel()
        for one in targets or ()
    )


def _pixel_shares(targets: Rows) -> Table | None:
    """Return the share of each class in every mask (Float[N, K]); None where numbers are none of classes."""
    masks = [_thinned(one) for one in targets]
    most = max((int(_counting(mask).max()) for mask in masks if _counting(mask).numel()), default=0)
    num_classes = most + 1
    if num_classes > _MASK_CLASSES_MAX:
        return None
    counts = [torch.bincount(_counting(mask), minlength=num_classes) for mask in masks]
    table = torch.stack(counts).double()
    found: Table = (table / table.sum(1, keepdim=True).clamp(min=1)).numpy()
    return found


def _thinned(mask: Tensor) -> Tensor:
    for axis in range(mask.ndim):
        step = -(-mask.shape[axis] // _MASK_SIDE_MAX)
        if step > 1:
            mask = mask.index_select(axis, torch.arange(0, mask.shape[axis], step))
    return mask.long().flatten()


def _counting(mask: Tensor) -> Tensor:
    return mask[(mask >= 0) & (mask != _IGNORED)]

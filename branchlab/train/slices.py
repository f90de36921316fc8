"""Metrics of parts of the validation set: of each class, and of each group that the project names.

A part is called ``val/accuracy[shirt]`` by its class, ``val/accuracy[camera=left]`` by a group. Its value is the mean over
its examples of what ``Task.metrics`` gave for each of them at the last validation, so no further pass is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from branchlab.errors import ConfigError

PARTS_MAX = 100
"""Of one kind: each costs a line in every result, and no one reads a thousand."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One way to part a split: names of the parts, and for each example the number of its own (Int[Tensor, "N"])."""

    names: tuple[str, ...]
    numbers: Tensor


def by_class(targets: Tensor, classes: Sequence[str]) -> Partition:
    """Return the parts by class number; each is called by its class's name, where there is one."""
    found, numbers = torch.unique(targets.cpu(), return_inverse=True)
    names = tuple(classes[n] if 0 <= n < len(classes) else str(n) for n in found.tolist())
    return Partition(names, numbers)


def by_group(name: str, labels: Sequence[Any] | Tensor, *, num: int) -> Partition:
    """Return the parts by a group's labels.

    Raises:
        ConfigError: There is not one label an example.
    """
    said = [str(label) for label in (labels.tolist() if isinstance(labels, Tensor) else labels)]
    if len(said) != num:
        raise ConfigError(
            f"branchlab.Splits(val_groups): '{name}' has {len(said)} labels for {num} examples of the validation set",
            hint="give one label an example, in the order of the validation set",
        )
    names = sorted(set(said))
    place = {label: number for number, label in enumerate(names)}
    parts = tuple(f"{name}={label}" for label in names)
    return Partition(parts, torch.tensor([place[label] for label in said], dtype=torch.long))


def partitions(
    targets: Tensor | None,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[Any] | Tensor],
    *,
    num: int,
) -> tuple[tuple[Partition, ...], str]:
    """Return every way to part a split of ``num`` examples, and a sentence on what has too many parts (mostly "").

    ``targets`` are None where they are no class numbers.
    """
    kinds = {} if targets is None else {"class": by_class(targets, classes)}
    kinds |= {name: by_group(name, labels, num=num) for name, labels in groups.items()}
    large = {kind: len(one.names) for kind, one in kinds.items() if len(one.names) > PARTS_MAX}
    said = ", ".join(f"{count:,} of '{kind}'" for kind, count in large.items())
    note = f"no metrics of parts of the validation set where there are over {PARTS_MAX}: {said}"
    return tuple(one for kind, one in kinds.items() if kind not in large), note if large else ""


def slices_of(per_example: Mapping[str, Tensor], parted: Sequence[Partition]) -> dict[str, float]:
    """Return the mean of each metric over each part, by name; a part without any value is left out."""
    found: dict[str, float] = {}
    for metric, values in per_example.items():
        rows = values.detach().cpu().double().reshape(len(values), -1)
        total, count = rows.nansum(1), (~rows.isnan()).sum(1).double()
        for one in parted:
            sums, counts = (
                torch.zeros(len(one.names), dtype=torch.float64).index_add_(0, one.numbers, column)
                for column in (total, count)
            )
            for name, mean in zip(one.names, (sums / counts).tolist(), strict=True):
                if math.isfinite(mean):
                    found[f"val/{metric}[{name}]"] = mean
    return found

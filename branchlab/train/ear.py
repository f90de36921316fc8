"""What is told from inside a model while it trains and while it is judged: means over an epoch, pictures of few batches.

A value is added up on the device where it is, in the order in which it was told, so that nothing waits in a step and a resumed
training gives the same bits. It is fetched once an epoch. What a project tells amiss is said once and hurts nothing.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from branchlab import metric_log
from branchlab.train.drawing import Histogram, histogram, panel
from branchlab.train.ranks import Ranks

TRAIN, VAL, TEST = "train", "val", "test"
_NAMES_MAX = 500
_NAME_LENGTH_MAX = 200
_COMPLAINTS_MAX = 32
_TEXT_MAX = 500
_PICTURES_MAX = 32
"""Of one look, of either kind: what is logged in a loop over layers fills no disk."""


class _AmissError(ValueError):
    """What was told is no such value; the message goes on from its name."""


@dataclass(slots=True)
class _Sum:
    """What was told under one name: the sum of its values times their examples, and how many examples these were."""

    total: Tensor
    weight: float | Tensor = 0.0


@dataclass(slots=True)
class Ear:
    """Hears ``branchlab.log`` of one training.

    Attributes:
        device: Where sums are kept.
        is_compiled: Whether the model that tells goes through torch.compile.
        phase: Which part of the training goes on: train, val, test; or "", where nobody listens.
        size: Examples of the batch, or of the part of one, that is computed now.
        is_looking: Whether pictures and histograms of this batch are kept.
    """

    device: torch.device
    is_compiled: bool = False
    phase: str = ""
    size: int = 1
    is_looking: bool = False
    pictures: dict[str, Tensor] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    _sums: dict[str, dict[str, _Sum]] = field(default_factory=dict)
    _said_of: set[str] = field(default_factory=set)
    _num_batches: int = 0
    _listener: metric_log.Ear | None = None

    @contextlib.contextmanager
    def during(self, phase: str, *, looks: bool = False) -> Iterator[None]:
        """Listen to one part of the training; with ``looks`` to the pictures of its first batch, too."""
        before, self.phase, self.is_looking = self.phase, phase, looks
        self._num_batches = 0
        self._listener = self._listener or (outside_graphs(self) if self.is_compiled else self)
        try:
            with metric_log.listening(self._listener):
                yield
        finally:
            self.phase, self.is_looking = before, False

    def begin_batch(self, size: int) -> None:
        """Weigh what is told from now on by the examples of a batch; pictures are those of the first one alone."""
        self.size = size
        self._num_batches += 1
        self.is_looking = self.is_looking and self._num_batches == 1

    def hear(self, name: str, value: Any) -> None:  # noqa: ANN401  whatever was told
        if not self.phase:
            return
        # Not by a context manager: what is told in every step shall cost little.
        try:
            self._add(name, _called(value))
        except Exception as error:  # noqa: BLE001  the project's own values: said, never fatal
            self._forgive(name, error)

    def hear_rows(self, name: str, values: Any, rows: Sequence[str]) -> None:  # noqa: ANN401
        if not self.phase:
            return
        with self._forgiving(name):
            values = _called(values)
            found = values if isinstance(values, Tensor) else torch.as_tensor(values)
            if found.shape[-1:] != (len(rows),):
                raise _AmissError(f"has shape {tuple(found.shape)} for {len(rows)} rows")
            for number, row in enumerate(rows):
                self._add(f"{name}[{row}]", found[..., number])

    def see(self, name: str, draw: Callable[[], Any], options: Mapping[str, Any]) -> None:
        if self._is_wanted(name, self.pictures):
            with self._forgiving(name):
                self.pictures[self._named(name)] = panel(draw(), **options)

    def weigh(self, name: str, values: Any) -> None:  # noqa: ANN401
        if self._is_wanted(name, self.histograms):
            with self._forgiving(name):
                self.histograms[self._named(name)] = histogram(_called(values))

    def means(self, phase: str, ranks: Ranks) -> dict[str, float]:
        """Return the means of what was told in one part of the training, over all ranks, and forget it.

        All ranks must call it; the first one has what all of them were told, the others nothing.
        """
        said = ranks.gather(_plain(self._sums.pop(phase, {})))
        totals: dict[str, tuple[float, float]] = {}
        for one in said:
            for name, (total, weight) in one.items():
                known = totals.get(name, (0.0, 0.0))
                totals[name] = (known[0] + total, known[1] + weight)
        return {
            f"{phase}/{name}": total / weight if weight else math.nan
            for name, (total, weight) in totals.items()
        }

    def state(self) -> dict[str, list[float]]:
        """Return what was told in the epoch of the training that goes on."""
        return {name: list(both) for name, both in _plain(self._sums.get(TRAIN, {})).items()}

    def restore(self, state: Mapping[str, Sequence[float]]) -> None:
        """Go on from a state."""
        self._sums[TRAIN] = {
            name: _Sum(self._zero() + total, weight) for name, (total, weight) in state.items()
        }

    def complain(self, name: str, text: str) -> None:
        """Say once what is amiss with a name."""
        if name not in self._said_of and len(self._said_of) < _COMPLAINTS_MAX:
            self._said_of.add(name)
            self.complaints.append(text[:_TEXT_MAX])

    def take_complaints(self) -> list[str]:
        """Return what was told amiss since the last time."""
        said, self.complaints = self.complaints, []
        return said

    def _add(self, name: str, told: Any) -> None:  # noqa: ANN401
        size, value = self.size, _number(told, self.size)
        held = self._sum_of(name)
        if isinstance(value, float):
            held.total += value * size
            held.weight = held.weight + size
            return
        if value.device.type != self.device.type:
            value = value.to(self.device, non_blocking=True)
        if value.shape == (size,):
            is_there = ~value.isnan()
            held.total.add_(torch.where(is_there, value, 0).sum(dtype=held.total.dtype))
            held.weight = held.weight + is_there.sum()
        else:
            held.total.add_(value.reshape(()) if value.ndim else value, alpha=size)
            held.weight = held.weight + size

    def _sum_of(self, name: str) -> _Sum:
        sums = self._sums.setdefault(self.phase, {})
        held = sums.get(name)
        if held is None:
            if len(sums) >= _NAMES_MAX:
                raise _AmissError(f"is one too many: {_NAMES_MAX} names are kept")
            if not name or len(name) > _NAME_LENGTH_MAX:
                raise _AmissError(f"is no name of 1 to {_NAME_LENGTH_MAX} letters")
            held = sums[name] = _Sum(self._zero())
        return held

    def _zero(self) -> Tensor:
        # MPS has no float64.
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.zeros((), dtype=kind, device=self.device)

    def _is_wanted(self, name: str, kept: Mapping[str, object]) -> bool:
        if not (self.phase and self.is_looking) or self._named(name) in kept:
            return False
        return sum(one.startswith(self._named("")) for one in kept) < _PICTURES_MAX

    def _named(self, name: str) -> str:
        return f"{self.phase}/{name}"

    @contextlib.contextmanager
    def _forgiving(self, name: str) -> Iterator[None]:
        """Let whatever goes wrong with one name be said once, and nothing else."""
        try:
            with torch.no_grad():
                yield
        except Exception as error:  # noqa: BLE001  as above
            self._forgive(name, error)

    def _forgive(self, name: str, error: Exception) -> None:
        what = str(error) if isinstance(error, _AmissError) else f"{type(error).__name__}: {error}"
        self.complain(name, f"branchlab.log: '{name[:_NAME_LENGTH_MAX]}' {what}")


def outside_graphs(ear: Ear) -> metric_log.Ear:
    """Return an ear for a model that is compiled: each call splits the graph, and is left as it is.

    Asking for that imports torch's compiler, so it is done where a recipe compiles alone.
    """
    names = ("hear", "hear_rows", "see", "weigh")
    apart = {name: torch.compiler.disable(getattr(ear, name)) for name in names}  # type: ignore[no-untyped-call]
    return cast(metric_log.Ear, SimpleNamespace(**apart))


def _number(value: Any, size: int) -> float | Tensor:  # noqa: ANN401
    """Return what was told as a number, or as a floating-point tensor with one value or with one for each example."""
    if isinstance(value, str | bytes | bool) or value is None:
        raise _AmissError(f"is a {type(value).__name__}")
    if not isinstance(value, Tensor):
        if not hasattr(value, "shape"):
            return float(value)
        value = torch.as_tensor(value)
    if value.numel() != 1 and value.shape != (size,):
        raise _AmissError(
            f"has shape {tuple(value.shape)} for a batch of {size}: needs one value, or one for each example"
        )
    held: Tensor = value.detach()
    return held if held.is_floating_point() else held.float()


def _called(value: Any) -> Any:  # noqa: ANN401
    if not callable(value):
        return value
    with torch.no_grad():
        return value()


def _plain(sums: Mapping[str, _Sum]) -> dict[str, tuple[float, float]]:
    return {name: (float(held.total), float(held.weight)) for name, held in sums.items()}

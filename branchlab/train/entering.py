"""What entered the model, drawn by the trainer where a task draws nothing itself, so that one sees when the input goes wrong.

A few examples of an epoch's first batch, as stored and as they entered, after augmentation and mixing. They are kept, not made
again: a task may count its calls.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from branchlab.run_folder import EventWriter, RunFolder
from branchlab.train.pictures import save_picture
from branchlab.train.sheets import sheet
from branchlab.train.task import Batch

_EXAMPLES_MAX = 8
_NAME = "inputs"
_UNDRAWABLE = (TypeError, ValueError, RuntimeError, IndexError, OSError)


def first_of(stored: Batch, ready: Batch) -> tuple[Batch, Batch]:
    """Return copies of the first few examples of a batch, as stored and as they enter; the device is not waited for."""
    return _first(stored), _first(ready)


def _first(batch: Batch) -> Batch:
    return Batch(_few(batch.inputs), _few(batch.targets), batch.ids[:_EXAMPLES_MAX])


def _few(value: Any) -> Any:  # noqa: ANN401  whatever a batch holds
    if isinstance(value, Tensor):
        return value[:_EXAMPLES_MAX].detach().clone() if value.ndim else value
    if isinstance(value, Mapping):
        return {name: _few(one) for name, one in value.items()}
    if isinstance(value, list):
        return value[:_EXAMPLES_MAX]
    if isinstance(value, tuple):
        return tuple(_few(one) for one in value)
    return None


def draw_entered(
    entered: tuple[Batch, Batch], folder: RunFolder, events: EventWriter, *, epoch: int
) -> None:
    """Draw them, stored ones above; what is no image is not drawn."""
    stored, ready = entered
    with contextlib.suppress(*_UNDRAWABLE):
        drawn = sheet([("stored", stored), ("entered", ready)], affine=None)
        if drawn is not None:
            path = save_picture(folder.pictures, f"{_NAME}-epoch{epoch:04d}", drawn)
            events.write("picture", name=_NAME, epoch=epoch, file=path.name)

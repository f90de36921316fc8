"""``branchlab.log`` and its kin: how code that branchlab runs tells what it measures, from wherever that arises.

Standard library only, so that any script may call it, with or without torch. In a script a line is appended with one write to a
file that the run's own supervisor reads; inside a task the trainer has put an ear here, which keeps what it hears on the device.
Outside a run nothing happens. It never raises: a full disk or an odd value must not end a training.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

TOLD_VARIABLE = "BRANCHLAB_TOLD"
"""Holds the file that lines are appended to, while a run goes on."""

STEP_KEYS = ("step", "global_step", "_step", "iter", "iteration")
"""Names among the metrics that say where the others belong; so does ``epoch``."""
_DEPTH_MAX = 4


class Ear(Protocol):
    """Who hears what is told inside a task; the trainer's own."""

    def hear(self, name: str, value: Any) -> None:  # noqa: ANN401  whatever was told
        """Take in a number, or one for each example."""

    def hear_rows(self, name: str, values: Any, rows: Sequence[str]) -> None:  # noqa: ANN401
        """Take in a number for each row of a table."""

    def see(self, name: str, draw: Callable[[], Any], options: Mapping[str, Any]) -> None:
        """Take in a picture, where it is time for one."""

    def weigh(self, name: str, values: Any) -> None:  # noqa: ANN401
        """Take in how values are spread, where it is time for that."""


_ear: Ear | None = None


@contextlib.contextmanager
def listening(ear: Ear) -> Iterator[None]:
    """Let an ear hear what is told inside."""
    global _ear  # noqa: PLW0603  a model cannot be handed anything, so what it calls has to find the ear by itself
    before, _ear = _ear, ear
    try:
        yield
    finally:
        _ear = before


def log(
    metrics: Mapping[str, Any] | str | None = None,
    value: Any = None,  # noqa: ANN401  whatever float() takes: numbers, tensors, arrays of one element; or what returns one
    /,
    *,
    step: int | None = None,
    epoch: int | None = None,
    **more: Any,  # noqa: ANN401
) -> None:
    """Tell metrics of the run that this code is part of: ``log("attn/entropy", value)``; does nothing outside a run.

    Inside a task, from anywhere in the model's forward, in the loss or the metrics: the mean over the epoch is kept as
    ``train/attn/entropy``, that over the validation as ``val/attn/entropy``. A tensor stays on its device, so nothing waits.

    Args:
        metrics: A name; or several values by name, where a table within is told under its name and a slash.
        value: Of the name: a number, a tensor with one element, or inside a task one with a value for each example (NaN where
            there is none). A function without arguments is called only where somebody listens.
        step: Where they belong, in a script. Without one it is the epoch, and without that one more than the last.
        epoch: Likewise.
        **more: Metrics whose names Python takes for arguments.
    """
    if _ear is None and TOLD_VARIABLE not in os.environ:
        return
    told = {metrics: value} if isinstance(metrics, str) else metrics
    if _ear is not None:
        _tell(_ear, {**(told or {}), **more})
        return
    path = os.environ[TOLD_VARIABLE]
    if not path:
        return
    with contextlib.suppress(Exception):
        known = {name: _called(one) for name, one in {**(told or {}), **more}.items()}
        values = numbers_of(known)
        if values:
            _append(path, {"values": values, "step": _whole(step), "epoch": _whole(epoch)})


def log_table(name: str, values: Any, rows: Sequence[str]) -> None:  # noqa: ANN401  a tensor, or what returns one
    """Tell a value for each row of a table, of each class for instance; each is a metric ``name[row]``. In tasks only.

    Args:
        name: Of the table.
        values: Float[Tensor, "K"], or Float[Tensor, "B K"] with a value for each example, NaN where there is none.
        rows: The K names.
    """
    if _ear is not None:
        _ear.hear_rows(name, values, rows)


def log_image(name: str, image: Any, **options: Any) -> None:  # noqa: ANN401  a tensor, or what returns one
    """Show an image that flows through the model. In tasks only; kept of few batches.

    Args:
        name: Of the picture.
        image: Float[Tensor, "C H W"] in [0, 1] or UInt8, with one or three channels; or with a batch before, of which the
            first are shown. Any other map (an attention, a feature) with one channel is spread over its range of values.
        **options: ``masks``, Int[Tensor, "H W"] with a class a pixel, laid over in colours; ``segments`` likewise, whose
            borders are drawn.
    """
    if _ear is not None:
        _ear.see(name, image if callable(image) else lambda: image, options)


def log_histogram(name: str, values: Any) -> None:  # noqa: ANN401  a tensor, or what returns one
    """Show how the values of a tensor are spread. In tasks only; kept of few batches."""
    if _ear is not None:
        _ear.weigh(name, values)


def _tell(ear: Ear, found: Mapping[Any, Any], *, prefix: str = "", depth: int = 1) -> None:
    for name, value in found.items():
        key = f"{prefix}{name}"
        if not isinstance(value, Mapping):
            ear.hear(key, value)
        elif depth < _DEPTH_MAX:
            _tell(ear, value, prefix=f"{key}/", depth=depth + 1)


def _called(value: Any) -> Any:  # noqa: ANN401
    return value() if callable(value) else value


def numbers_of(found: Mapping[Any, Any], *, prefix: str = "", depth: int = 1) -> dict[str, Any]:
    """Return the numbers of a table by name; one that is not finite as text. What is no number is left out."""
    values: dict[str, Any] = {}
    for name, value in found.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            if depth < _DEPTH_MAX:
                values |= numbers_of(value, prefix=f"{key}/", depth=depth + 1)
        elif not isinstance(value, str | bytes | bool):
            with contextlib.suppress(Exception):
                number = float(value)
                values[key] = number if math.isfinite(number) else str(number)
    return values


def _whole(number: Any) -> int | None:  # noqa: ANN401  whatever int() takes
    try:
        return None if number is None else int(number)
    except Exception:  # noqa: BLE001  it never raises
        return None


def _append(path: str, entry: dict[str, Any]) -> None:
    line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, line)
    finally:
        os.close(fd)

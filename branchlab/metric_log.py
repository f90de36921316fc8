"""``branchlab.log``: how code that branchlab runs tells its metrics.

Standard library only, so that any script may call it, with or without torch. A line is appended with one write to a file that
the run's own supervisor reads; outside a run nothing happens. It never raises: a full disk or an odd value must not end a
training.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

TOLD_VARIABLE = "BRANCHLAB_TOLD"
"""Holds the file that lines are appended to, while a run goes on."""

STEP_KEYS = ("step", "global_step", "_step", "iter", "iteration")
"""Names among the metrics that say where the others belong; so does ``epoch``."""
_DEPTH_MAX = 4


def log(
    metrics: Mapping[str, Any] | None = None,
    /,
    *,
    step: int | None = None,
    epoch: int | None = None,
    **more: Any,  # noqa: ANN401  whatever float() takes: numbers, tensors, arrays of one element
) -> None:
    """Tell metrics of the run that this code is part of; does nothing outside a run.

    Args:
        metrics: By name; a table within is told under its name and a slash.
        step: Where they belong. Without one it is the epoch, and without that one more than the last.
        epoch: Likewise.
        **more: Metrics whose names Python takes for arguments.
    """
    path = os.environ.get(TOLD_VARIABLE)
    if not path:
        return
    with contextlib.suppress(Exception):
        values = numbers_of({**(metrics or {}), **more})
        if values:
            _append(path, {"values": values, "step": _whole(step), "epoch": _whole(epoch)})


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

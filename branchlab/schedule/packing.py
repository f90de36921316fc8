"""How many runs a GPU takes at once, learned from the runs themselves.

The first run of a device is alone. Once it has told its memory and its speed, another is put beside it if both fit;
once those have told theirs, a third, as long as all together get more done than one fewer did. A GPU that ran out of
memory is never filled so far again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_FILLED_MAX = 0.92
"""Share of a GPU's memory that is planned for; allocators fragment, libraries take their workspaces."""
_CONTEXT_GIB = 0.6
"""What a process takes on a GPU beside its tensors: context, kernels, workspaces."""
_GAIN_MIN = 1.05
"""Another run beside the others has to raise the sum of images/s by this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one run tells of itself at the end of an epoch.

    Attributes:
        epoch: Epochs finished; the first one holds warming up, and does not count for the speed.
        memory_gib: The most that it had reserved on its device so far. ``total_gib``: of the device.
    """

    epoch: int
    images_per_s: float
    memory_gib: float
    total_gib: float


NOTHING_YET = Reading(epoch=0, images_per_s=0.0, memory_gib=0.0, total_gib=0.0)
"""Of a run that has finished no epoch."""


@dataclass(slots=True)
class _Device:
    room: int = 1
    cap: int = 1 << 30
    largest_gib: float = 0.0
    rates: dict[int, float] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    """Epochs of each run when it was last heard while as many ran as now."""
    num_running: int = 0


class Packing:
    """The room of every GPU; ``most`` bounds it."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._devices: dict[str | None, _Device] = {}

    def room(self, device: str | None) -> int:
        """Return how many runs a device takes at once, as far as is known."""
        one = self._devices.setdefault(device, _Device())
        return max(1, min(one.room, one.cap, self._most))

    def hear(self, device: str | None, readings: Mapping[str, Reading]) -> None:
        """Learn from the latest readings of the runs that are on a device now, by run id."""
        one = self._devices.setdefault(device, _Device())
        if len(readings) != one.num_running or set(readings) - set(one.seen):
            one.num_running = len(readings)
            one.seen = {run_id: reading.epoch for run_id, reading in readings.items()}
            return
        if not readings:
            return
        one.largest_gib = max(
            one.largest_gib, *(r.memory_gib + _CONTEXT_GIB for r in readings.values())
        )
        # A whole epoch of every run with just these beside it.
        if any(reading.epoch < one.seen[run_id] + 2 for run_id, reading in readings.items()):
            return
        number = len(readings)
        one.rates[number] = sum(reading.images_per_s for reading in readings.values())
        before = one.rates.get(number - 1)
        if before is not None and one.rates[number] < _GAIN_MIN * before:
            one.cap = min(one.cap, max(1, number - 1))
        total = min(reading.total_gib for reading in readings.values())
        fits = int(total * _FILLED_MAX / one.largest_gib) if one.largest_gib else 1
        one.room = min(fits, max(one.room, number + 1))

    def ran_out(self, device: str | None) -> None:
        """Learn that a run found no memory with the others beside it."""
        one = self._devices.setdefault(device, _Device())
        one.cap = max(1, min(one.cap, self.room(device) - 1))

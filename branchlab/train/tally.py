"""What a script tells of itself, by whichever road it came in, as the events of its run.

The order is: a step where one is told; else the epoch; else one more than the last of that name. The last value of a name is
its final one: which epoch was the best is the script's to say. Who tells too much is thinned out, the latest is always kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from branchlab.metric_log import STEP_KEYS
from branchlab.run_folder import JSON, EventWriter

Value = float | str
"""A number; one that is not finite as text, for JSON has none."""

_EPOCH_KEY = "epoch"
_NAMES_MAX = 1000
_NAME_LENGTH_MAX = 200
_AT_ONCE_MAX = 100
_IN_ALL_MAX = 100_000
"""From there on one event a time, so that a script that tells for weeks fills no disk."""
_PLACE_MAX = 1 << 62
"""SQLite's integers have 64 bits."""


@dataclass(frozen=True, slots=True)
class Told:
    """Metrics that came in together, and where they belong as far as that was said."""

    values: Mapping[str, Value]
    step: int | None = None
    epoch: int | None = None


class Tally:
    """Writes what it hears as events, when it is asked to, and knows the last value of each name."""

    def __init__(self, events: EventWriter) -> None:
        self._events = events
        self.last: dict[str, Value] = {}
        self.step = 0
        self._epoch = 0
        self._steps: dict[str, int] = {}
        self._waiting: dict[tuple[int, int], dict[str, Value]] = {}
        self._num_written = 0
        self._is_full_said = False

    @property
    def steps(self) -> list[int]:
        """Where each name has got to."""
        return list(self._steps.values())

    def go_on(self, events: Iterable[JSON]) -> None:
        """Take over what an earlier attempt told, where the script goes on from its checkpoint."""
        for event in events:
            if event["kind"] == "start" and event.get("is_anew"):
                self.last, self._steps, self._epoch = {}, {}, 0
            elif event["kind"] == "told":
                self.last |= event["values"]
                self._steps |= dict.fromkeys(event["values"], event["step"])
                self._epoch = event["epoch"]

    def hear(self, told: Told) -> bool:
        """Take in what was told; returns whether there was anything."""
        values = {str(name).strip(): value for name, value in told.values.items()}
        step, epoch = told.step, told.epoch
        for key in STEP_KEYS:
            if key in values and step is None:
                step = _whole(values[key])
            values.pop(key, None)
        if _EPOCH_KEY in values:
            said = values.pop(_EPOCH_KEY)
            if epoch is None:
                epoch = _whole(said)
                # Half an epoch is no place of its own.
                step = epoch if step is None and epoch == said else step
        elif step is None:
            step = epoch
        values = {name: value for name, value in values.items() if self._is_known(name)}
        if not values:
            return False
        if step is None:
            step = 1 + max(self._steps.get(name, 0) for name in values)
        self._epoch = self._epoch if epoch is None else epoch
        self._steps |= dict.fromkeys(values, step)
        self.step = step
        self.last |= values
        self._waiting.setdefault((step, self._epoch), {}).update(values)
        if len(self._waiting) > 2 * _AT_ONCE_MAX:
            self._thin_out(_AT_ONCE_MAX)
        return True

    def write(self) -> None:
        """Append what has been heard since the last time.

        Raises:
            OSError: The disk is full.
        """
        self._thin_out(_AT_ONCE_MAX if self._num_written < _IN_ALL_MAX else 1)
        waiting, self._waiting = self._waiting, {}
        for (step, epoch), values in waiting.items():
            self._events.write("told", step=step, epoch=epoch, values=values)
        self._num_written += len(waiting)

    def _thin_out(self, num_max: int) -> None:
        while len(self._waiting) > num_max:
            kept = [*self._waiting][::-1][::2][::-1]
            self._waiting = {place: self._waiting[place] for place in kept}

    def _is_known(self, name: str) -> bool:
        """Whether a name may be kept: a script that makes names up is heard for the first thousand."""
        if name in self._steps:
            return True
        if not name or len(name) > _NAME_LENGTH_MAX:
            return False
        if len(self._steps) >= _NAMES_MAX:
            if not self._is_full_said:
                self._is_full_said = True
                text = f"more than {_NAMES_MAX} names of metrics were told; the rest is left out"
                self._events.write("warning", text=text)
            return False
        self._steps[name] = 0
        return True


def _whole(value: Value) -> int | None:
    try:
        number = int(float(value))
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < _PLACE_MAX else None

"""Training for a time instead of for a number of epochs.

Only steps count: validation, pictures and checkpoints do not. The schedule of the learning rate follows the share of the
time that is spent, in ticks, so that every run goes through the whole of it however fast its model is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim.lr_scheduler import LRScheduler

TICKS = 1000
"""Steps of the schedule in one budget."""


class Budget:
    """The seconds that a training may take, and those that it has taken."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spent_s = 0.0
        self._ticks = 0

    @property
    def share(self) -> float:
        """Part of the time that is spent, from 0 to 1."""
        return min(1.0, self.spent_s / self.seconds)

    @property
    def is_spent(self) -> bool:
        return self.spent_s >= self.seconds

    @contextmanager
    def counting(self, device: torch.device, *, is_waiting: bool) -> Iterator[None]:
        """Count what happens inside. ``is_waiting`` counts what the device still has to do, which costs a wait."""
        started = time.monotonic()
        try:
            yield
            if is_waiting and device.type == "cuda":
                torch.cuda.synchronize(device)
            elif is_waiting and device.type == "mps":
                torch.mps.synchronize()
        finally:
            self.spent_s += time.monotonic() - started

    def advance(self, schedule: LRScheduler) -> None:
        """Take the schedule to where the time is."""
        while self._ticks < int(self.share * TICKS):
            schedule.step()
            self._ticks += 1

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint keeps."""
        return {"spent_s": self.spent_s, "ticks": self._ticks}

    def load_state_dict(self, saved: dict[str, float]) -> None:
        """Go on from what a checkpoint kept."""
        self.spent_s, self._ticks = saved["spent_s"], int(saved["ticks"])

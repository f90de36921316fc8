"""Ctrl-C and SIGTERM as a request to whoever starts runs, instead of an exception in the middle of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from branchlab.schedule.pool import StopRequest


@contextmanager
def stopping(stop: StopRequest, *, at_once: bool = False) -> Iterator[None]:
    """Turn an interrupt into a request: once lets runs write a checkpoint, twice (or ``at_once``) ends them now.

    In any thread but the main one nothing is caught: Python lets no other hear of signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(_number: int, _frame: object) -> None:
        stop.level = 2 if at_once else min(2, stop.level + 1)

    before = {
        number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""What no seed decides: who asks for it, and how to make it another.

A clock, the system's own random numbers, the order of a folder, the addresses of objects, threads: two runs of one key
may meet others. Whoever in a project asks for such a thing is seen by Python's profiler, with the line and the words of
the source; and each can be made different on purpose, so that whether a training depends on it is found out, not hoped.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from branchlab.domain import Outside
from branchlab.train.witness import Witness

_CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
_FUNCTIONS = {
    **{("time", name): ("the clock", True) for name in _CLOCKS},
    **{
        ("posix", name): ("the system's random numbers", False) for name in ("urandom", "getrandom")
    },
    **{("posix", name): ("the order of a folder", False) for name in ("listdir", "scandir")},
    ("_thread", "start_new_thread"): ("a thread", False),
    ("builtins", "id"): ("an address", True),
    ("builtins", "hash"): ("a hash", True),
}
"""(module, name) -> what it gives, and whether only the project's own calls of it count."""
_DATES = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
_EMPTY = {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty"}
_DEPTH_MAX = 60
_LENGTH_MAX = 80
_DAY_S = 86_400.0
_SHIFT_S = 400 * _DAY_S + 12_345.678
_BLOCKS = 2000
"""Of each size: more than the free ones that importing torch leaves behind."""
_BYTES_HEADER = 40
_SIZES = range(48, 513, 16)
_PAUSE_S = 0.002
_PAUSES_MAX = 400
_PAUSES_OF_CALLS = 0.25
_kept: list[bytes] = []


@dataclass(slots=True)
class ChanceWitness(Witness):
    """A witness that also hears of calls that may give something else each time.

    Attributes:
        heard: (what, call as in the source, place), each once.
        hear: Told of each of them when it comes first.
    """

    hear: Callable[[str, str, str], None] = lambda *_: None
    heard: set[tuple[str, str]] = field(default_factory=set)

    @contextlib.contextmanager
    def present(self) -> Iterator[None]:
        """See what is built, seeded and asked for inside."""
        with Witness.present(self), self.watching():
            yield

    def _profiled(self, frame: FrameType, event: str, argument: Any) -> None:  # noqa: ANN401
        if event == "c_call":
            self._asked(frame, argument)
        else:
            Witness._profiled(self, frame, event, argument)  # noqa: SLF001  its own

    def _asked(self, frame: FrameType, function: Any) -> None:  # noqa: ANN401
        what, is_direct = _kind(function, frame)
        if not what:
            return
        of_project = self._of_project(frame, depth=1 if is_direct else _DEPTH_MAX)
        if of_project is None:
            return
        path = of_project.f_code.co_filename.removeprefix(self._prefix)
        place = f"{path}:{of_project.f_lineno}"
        if (what, place) not in self.heard:
            self.heard.add((what, place))
            self.hear(what, _call_of(of_project), place)

    def _of_project(self, frame: FrameType | None, *, depth: int) -> FrameType | None:
        for _ in range(depth):
            if frame is None or frame.f_code.co_filename.startswith(self._prefix):
                return frame
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return None  # the import system lists folders and asks for the time of files
            frame = frame.f_back
        return None


def _kind(function: Any, frame: FrameType) -> tuple[str, bool]:  # noqa: ANN401
    """Return what a function of C gives that no seed decides, and whether only the project's own calls count."""
    module = str(getattr(function, "__module__", ""))
    name = str(getattr(function, "__qualname__", ""))
    if (module, name) in _FUNCTIONS:
        return _FUNCTIONS[module, name]
    if name in _DATES:
        return "the clock", True
    is_unseeded = name == "Random.seed" and frame.f_locals.get("a", 0) is None
    if name == "Generator.seed" or is_unseeded:
        return "a random seed", False
    if name.rpartition(".")[2] in _EMPTY:
        return "memory as it was found", True
    return "", True


def _call_of(frame: FrameType) -> str:
    """Return the call that a frame is making, in the words of its source."""
    positions = list(frame.f_code.co_positions())
    line, end_line, start, end = positions[frame.f_lasti // 2]
    text = linecache.getline(frame.f_code.co_filename, line or frame.f_lineno)
    if line is None or start is None or end is None or end_line != line:
        return text.strip()[:_LENGTH_MAX]
    return text.encode()[start:end].decode(errors="replace")[:_LENGTH_MAX]


@contextlib.contextmanager
def made_different(what: set[Outside], *, number: int = 1) -> Iterator[None]:
    """Make some of what no seed decides another than it was; hashes and memory are its parent's environment.

    Args:
        what: What to change.
        number: Tells several trainings apart whose addresses shall all differ.
    """
    with contextlib.ExitStack() as stack:
        if Outside.ADDRESSES in what:
            _kept.extend(_scattered(random.Random(number)))  # noqa: S311  no secret
        if Outside.CLOCK in what:
            stack.enter_context(_another_day())
        if Outside.LISTING in what:
            stack.enter_context(_folders_reversed())
        if Outside.THREADS in what:
            stack.enter_context(_threads_delayed())
        yield


def _scattered(order: random.Random) -> list[bytes]:
    """Return blocks between which as many are free, in no order: where an object comes to lie decides its place in a set."""
    kept = []
    for size in _SIZES:
        blocks = [bytes(size - _BYTES_HEADER) for _ in range(_BLOCKS)]
        order.shuffle(blocks)
        kept += blocks[::2]
        while blocks:
            blocks.pop()  # the latest one that is given back is the first to be taken again
    return kept


@contextlib.contextmanager
def _replaced(owner: Any, **functions: Any) -> Iterator[None]:  # noqa: ANN401
    before = {name: getattr(owner, name) for name in functions}
    for name, function in functions.items():
        setattr(owner, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(owner, name, function)


def _another_day() -> contextlib.AbstractContextManager[None]:
    now, now_ns = time.time, time.time_ns
    return _replaced(
        time,
        time=lambda: now() + _SHIFT_S,
        time_ns=lambda: now_ns() + int(_SHIFT_S * 1e9),
    )


class _Entries:
    """What ``os.scandir`` gives, the last first."""

    def __init__(self, entries: list[os.DirEntry[Any]]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> os.DirEntry[Any]:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give nothing more."""
        self._entries = iter(())


def _folders_reversed() -> contextlib.AbstractContextManager[None]:
    listdir, scandir = os.listdir, os.scandir

    def last_first(*path: Any) -> list[Any]:  # noqa: ANN401
        return listdir(*path)[::-1]

    def entries_last_first(*path: Any) -> _Entries:  # noqa: ANN401
        with scandir(*path) as entries:
            return _Entries(list(entries)[::-1])

    return _replaced(os, listdir=last_first, scandir=entries_last_first)


@contextlib.contextmanager
def _threads_delayed() -> Iterator[None]:
    """Let threads that are started inside pause now and then, so that races have other winners."""
    chance = random.SystemRandom()
    left = iter(range(_PAUSES_MAX))

    def pausing(_frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and chance.random() < _PAUSES_OF_CALLS and next(left, None) is not None:
            time.sleep(chance.random() * _PAUSE_S)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threading.setprofile(pausing)
    try:
        yield
    finally:
        threading.setprofile(None)
        sys.setswitchinterval(before)

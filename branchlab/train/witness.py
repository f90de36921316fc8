"""Sees what project code does while it runs: which modules it builds and where, which seeds it sets, what it executes.

Torch is asked at three places that every project passes through (``nn.Module.__init__``, the functions that seed, and
Python's profiler); all are put back at the end. Nothing here changes a number.
"""

from __future__ import annotations

import contextlib
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from branchlab.train.digests import digest_of_random

_DEPTH_MAX = 60


@dataclass(slots=True)
class Built:
    """One module that was constructed, in the order of construction.

    Attributes:
        place: Line of the project that built it; the empty string where none did.
        random_before: Digest of the global generators when its construction began.
    """

    module: nn.Module
    kind: str
    place: str
    random_before: str


@dataclass(slots=True)
class Witness:
    """What was seen.

    Attributes:
        worktree: Where the project's code lies.
        built: Modules, in the order in which their construction began.
        seeded: (function, place) of every call that seeds a global generator.
        executed: (path, qualified name) of the project's functions that ran while ``watching``.
    """

    worktree: Path
    device: torch.device
    built: list[Built] = field(default_factory=list)
    seeded: list[tuple[str, str]] = field(default_factory=list)
    executed: set[tuple[str, str]] = field(default_factory=set)
    _prefix: str = ""
    _known: dict[Any, tuple[str, str] | None] = field(default_factory=dict)

    @contextlib.contextmanager
    def present(self) -> Iterator[None]:
        """See what is built and seeded inside."""
        self._prefix = f"{self.worktree}/"
        original = nn.Module.__init__
        witness = self

        def constructing(module: nn.Module, *args: object, **kwargs: object) -> None:
            witness.built.append(
                Built(
                    module,
                    type(module).__name__,
                    witness.place(inspect.currentframe(), built=module),
                    digest_of_random(witness.device),
                )
            )
            original(module, *args, **kwargs)

        with contextlib.ExitStack() as stack:
            nn.Module.__init__ = constructing  # type: ignore[method-assign, assignment]
            stack.callback(setattr, nn.Module, "__init__", original)
            for owner, name in self._seeding():
                seed = getattr(owner, name)
                setattr(owner, name, self._noticing(seed, f"{owner.__name__}.{name}"))
                stack.callback(setattr, owner, name, seed)
            yield

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """See which functions of the project run inside."""
        before = sys.getprofile()
        sys.setprofile(self._profiled)
        try:
            yield
        finally:
            sys.setprofile(before)

    def place(self, frame: FrameType | None, *, built: object = None) -> str:
        """Return the innermost line of the project at or above a frame, constructors of ``built`` itself left out."""
        for _ in range(_DEPTH_MAX):
            if frame is None:
                break
            code = frame.f_code
            is_own = code.co_name == "__init__" and frame.f_locals.get("self") is built
            if code.co_filename.startswith(self._prefix) and not (built is not None and is_own):
                return f"{code.co_filename.removeprefix(self._prefix)}:{frame.f_lineno}"
            frame = frame.f_back
        return ""

    def _seeding(self) -> list[tuple[Any, str]]:
        found: list[tuple[Any, str]] = [(torch, "manual_seed"), (torch, "seed"), (random, "seed")]
        numpy = sys.modules.get("numpy")
        return [*found, (numpy.random, "seed")] if numpy is not None else found

    def _noticing(self, seed: Callable[..., Any], name: str) -> Callable[..., Any]:
        def noticed(*args: object, **kwargs: object) -> Any:  # noqa: ANN401
            place = self.place(inspect.currentframe())
            if place:
                self.seeded.append((name, place))
            return seed(*args, **kwargs)

        return noticed

    def _profiled(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in self._known:
            self._known[code] = (
                (code.co_filename.removeprefix(self._prefix), code.co_qualname)
                if code.co_filename.startswith(self._prefix)
                else None
            )
        found = self._known[code]
        if found is not None:
            self.executed.add(found)

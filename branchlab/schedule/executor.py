"""What every executor can do, and the values that pass between it and the pool."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from branchlab.run_folder import RunFolder, StateFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What plans depend on: the devices there are, and the versions that results depend on.

    Attributes:
        threads: Threads of computation of each run; None divides the cores of this machine.
        has_slots: Whether runs share devices out among themselves by slots; a cluster does that itself.
    """

    devices: tuple[str, ...]
    environment: Mapping[str, str]
    threads: int | None = None
    has_slots: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What ends a run: it takes longer than ``timeout_s``, or gives no sign of life for ``silence_s``.

    What it loses when it is killed is bounded by ``checkpoint_s``.
    """

    timeout_s: float
    silence_s: float
    checkpoint_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One run to start.

    Attributes:
        attempt: Its number; an order that comes late finds it taken.
        visible_device: Numbers of the only GPUs that it may see, with commas between; None leaves that to its machine.
        slot: Lock to hold while it lives; None where the executor itself shares its machines out.
        python: Interpreter of the environment that it trains in; None is the executor's own.
    """

    ticket: int
    run_folder: RunFolder
    attempt: int
    worktree: Path
    bounds: Bounds
    visible_device: str | None = None
    slot: Path | None = None
    python: Path | None = None

    def order(self) -> dict[str, Any]:
        """Return what ``branchlab.train`` is told, as a JSON document."""
        return {
            "run_folder": str(self.run_folder.path),
            "attempt": self.attempt,
            "worktree": str(self.worktree),
            "timeout_s": self.bounds.timeout_s,
            "silence_s": self.bounds.silence_s,
            "checkpoint_s": self.bounds.checkpoint_s,
            "visible_device": self.visible_device,
            "slot": str(self.slot) if self.slot else None,
        }


class Outcome(StrEnum):
    """What became of an order."""

    ENDED = "ended"
    """Its processes have ended; how is in the run's folder."""
    ELSEWHERE = "elsewhere"
    """Somebody else works on the run or has finished it, or nobody watches it any more."""
    ORPHANED = "orphaned"
    """The run goes on, and whoever was to tell of its end is gone."""
    BUSY = "busy"
    """Another command's run took the slot first."""
    HANDED_OVER = "handed over"
    """A cluster carries it out by itself, whether anybody waits or not: ``job.json`` in the run's folder says which job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An order is over; ``job`` is what a cluster calls one that was handed over."""

    ticket: int
    outcome: Outcome = Outcome.ENDED
    job: str = ""


def surroundings(state: StateFolder) -> dict[str, str]:
    """Return the environment that trainers start in, wherever that is."""
    # A fixed hash seed: the order of sets of strings differs between seeds, and with it the order of modules.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    environment.pop("PYTHONPATH", None)
    environment.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # CUDA counts the fastest first unless it is told to count as the driver does.
    environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    # Branches share most of what torch.compile makes of them.
    environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(state.compiled / "inductor"))
    environment.setdefault("TRITON_CACHE_DIR", str(state.compiled / "triton"))
    return environment


class Executor(Protocol):
    """Starts runs somewhere. A run's result never comes through here, but from its folder."""

    def facts(self) -> Facts:
        """Return what plans depend on."""

    def start(self, orders: Sequence[Start]) -> None:
        """Start runs; returns as soon as they are handed over."""

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return orders that are over, as soon as there are any."""

    def stop(self, ticket: int, *, is_now: bool) -> None:
        """Ask a run to write a checkpoint and end, or end it at once."""

    def close(self) -> None:
        """Give resources back; runs go on."""

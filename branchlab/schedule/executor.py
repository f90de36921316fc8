"""What every executor can do, and the values that pass between it and the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from branchlab.run_folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What plans depend on: the devices there are, and the versions that results depend on."""

    devices: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One run to start. ``visible_device`` is the number of the only GPU that it may see, or None."""

    ticket: int
    run_folder: RunFolder
    attempt: int
    worktree: Path
    timeout_s: float
    visible_device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run's processes have ended; ``is_elsewhere``: another process holds or has finished the run."""

    ticket: int
    is_elsewhere: bool = False


class Executor(Protocol):
    """Starts runs somewhere. A run's result never comes through here, but from its folder."""

    def facts(self) -> Facts:
        """Return what plans depend on."""

    def start(self, order: Start) -> None:
        """Start a run; returns at once."""

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return runs that have ended, as soon as there are any."""

    def stop(self, ticket: int, *, is_now: bool) -> None:
        """Ask a run to write a checkpoint and end, or end it at once."""

    def close(self) -> None:
        """Give resources back; runs go on."""

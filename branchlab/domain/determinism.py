"""Whether two runs of one key are the same: what was made different between them, where they parted, and what parts them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from branchlab.domain.parity import Divergence

DETERMINISM_STEPS = 50
"""Steps of each training unless another number is asked for; a recipe may have fewer."""
AT_THE_END = "at the end"
"""What notes begin with that are of all that a training leaves."""


class DeterminismStatus(StrEnum):
    """What the check of one branch showed."""

    DETERMINISTIC = "deterministic"
    DIFFERS = "differs"
    FAILED = "failed"
    """It does not train with ``deterministic = true``, for instance because torch refuses an operation."""


class Proof(StrEnum):
    """What holding two trainings of one key side by side showed."""

    SAME = "same"
    DIFFERS = "differs"
    NOT_RUN = "not-run"


class Outside(StrEnum):
    """What no seed decides, and what may therefore be another in the next run of the same key."""

    CLOCK = "clock"
    LISTING = "listing"
    THREADS = "threads"
    ADDRESSES = "addresses"
    MEMORY = "memory"
    HASHES = "hashes"
    """Runs fix it (PYTHONHASHSEED): what depends on it is said, and breaks nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What parts two trainings, as far as it is known.

    Attributes:
        operation: The call or the state, as it stands in the source where that is known.
        place: ``path:line`` of the project; empty where there is none.
        reason: Why that differs, in words. ``remedy``: what to use instead.
    """

    operation: str
    place: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where a training is interrupted: after a step, by asking it to stop or by killing its process."""

    step: int
    is_kill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Two trainings of one key in two processes.

    Attributes:
        varied: What was made different for the second one.
    """

    status: Proof
    steps: int = 0
    varied: tuple[Outside, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A training that was interrupted several times, against one that was not.

    Attributes:
        epochs: Of both; the sample is made small enough for that.
    """

    status: Proof
    steps: int = 0
    epochs: int = 0
    stops: tuple[Stop, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Determinism:
    """What the check of one branch showed.

    Attributes:
        device: On which it was shown; another one proves nothing about this.
        first_difference: Where two trainings first parted, or where the only one ended.
        remarks: What is harmless here, and worth knowing.
    """

    branch: str
    tip: str
    device: str
    status: DeterminismStatus
    steps: int
    repeat: Repeat
    resume: Resume
    first_difference: Divergence | None = None
    cause: Cause | None = None
    remarks: tuple[str, ...] = ()

"""Two trainings held side by side: what each noted, where they first differ, and what that says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

PARITY_STEPS = 200
"""Steps that are compared unless another number is asked for; a recipe may have fewer."""


class Noted(StrEnum):
    """What a note is about, in causal order. Those that only explain are never judged by themselves."""

    SIGNATURE = "signature"
    RECIPE = "recipe"
    SEEDED = "seeded"
    RANDOM = "random"
    DATA = "data"
    BUILT = "built"
    STATE = "state"
    GROUPS = "groups"
    ORDER = "order"
    PREPARED = "prepared"
    AUGMENTED = "augmented"
    DRAWS = "draws"
    ENTERS = "enters"
    LEAVES = "leaves"
    OUTPUTS = "outputs"
    LOSS = "loss"
    GRADIENTS = "gradients"
    LR = "lr"
    WEIGHTS = "weights"
    METRIC = "metric"
    MODES = "modes"
    EXECUTED = "executed"
    CHANCE = "chance"
    HELD = "held"

    @property
    def only_explains(self) -> bool:
        """Whether two neutral trainings may differ in it: an extra module that does nothing, for instance."""
        explains = {Noted.SEEDED, Noted.BUILT, Noted.ENTERS, Noted.LEAVES, Noted.EXECUTED}
        return self in explains | {Noted.CHANCE, Noted.HELD}


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that a training noted.

    Attributes:
        step: 0 before the first step; steps count from 1.
        name: What it is about: a module, a split, a metric; the empty string where there is but one.
        value: Plain types: a digest, a number in hexadecimal, or a list of rows.
    """

    kind: Noted
    step: int
    name: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All notes of one training, in the order in which they were made.

    Attributes:
        failure: Why the training ended early, in one line; empty when it did not.
        kernels: Operations without a deterministic form that it used.
    """

    notes: tuple[Note, ...] = ()
    failure: str = ""
    kernels: tuple[str, ...] = ()

    def named(self, kind: Noted, step: int | None = None) -> list[Note]:
        """Return the notes of a kind, of one step when it is given."""
        return [n for n in self.notes if n.kind is kind and step in (None, n.step)]

    def upto(self, step: int) -> Recording:
        """Return the recording as it was after a step."""
        return replace(self, notes=tuple(n for n in self.notes if n.step <= step))

    @property
    def num_steps(self) -> int:
        """Steps taken."""
        return max((note.step for note in self.notes if note.kind is Noted.LOSS), default=0)

    def losses(self) -> Sequence[float]:
        """Return the loss of every step."""
        return [float.fromhex(n.value) for n in self.notes if n.kind is Noted.LOSS and not n.name]


class ParityStatus(StrEnum):
    """What holding two trainings side by side showed."""

    NEUTRAL = "neutral"
    DIFFERS = "differs"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first difference of two trainings.

    Attributes:
        step: 0 before the first step.
        stage: Part of a training: construction, data order, augmentation, forward, loss, optimiser, validation …
        where: Module, parameter, argument or split, with its place in the source where that is known.
        reason: What differs. ``remedy``: what to change so that it does not.
    """

    step: int
    stage: str
    where: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCheck:
    """One comparison of two trainings.

    Attributes:
        compared: What was held against what, in words.
        steps: Steps that both took.
        reason: Why it was not run, or what else there is to know.
        tolerance: Largest difference of losses that was allowed; None where bits were compared.
        kernels: What keeps the device from giving the same bits twice.
        not_exercised: Functions that the branch changed and no step ran.
        is_asked: Whether there was anything to compare; not, for flags on, where an experiment has none.
    """

    status: ParityStatus
    compared: str = ""
    steps: int = 0
    first_difference: Divergence | None = None
    reason: str = ""
    tolerance: float | None = None
    kernels: tuple[str, ...] = ()
    not_exercised: tuple[str, ...] = ()
    is_asked: bool = True

    @property
    def holds(self) -> bool:
        """Whether nothing stands against merging here: neutral, or there was nothing to compare."""
        return self.status is ParityStatus.NEUTRAL or not self.is_asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Both promises of a merge: flags off, main stays what it was; flags on, it trains like the branch.

    Attributes:
        main: Commit that was compared with. ``tip``: of the branch.
        flags: What the experiment switches on.
    """

    branch: str
    main: str
    tip: str
    off: ParityCheck
    on: ParityCheck
    flags: dict[str, bool | int | float | str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing stands against merging: off is neutral, and on is neutral or there is nothing to switch on."""
        return self.off.holds and self.on.holds

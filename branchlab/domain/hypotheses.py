"""What an experiment claims, and what the runs say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MIN_SEEDS = 3
"""Seeds that a hypothesis asks for unless it says otherwise."""


class HypothesisState(StrEnum):
    """What runs say of a hypothesis, or of one of its expectations or guards."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not-measured"
    DAMAGED = "damaged"


class Registration(StrEnum):
    """Whether a hypothesis stood, as it stands now, before the first run of its branch."""

    BEFORE_RUNS = "before-runs"
    POST_HOC = "post-hoc"
    WITHDRAWN = "withdrawn"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One ``[[hypothesis]]`` of an experiment's file.

    Attributes:
        claim: Why the idea ought to work, in a sentence.
        expect: What should be seen then, as claims by key. ``guard``: what must not break.
        damage: What is wrong with its table; empty when nothing is. Its claims are read where they are judged.
    """

    id: str
    claim: str = ""
    min_seeds: int = MIN_SEEDS
    expect: Mapping[str, str] = field(default_factory=dict)
    guard: Mapping[str, str] = field(default_factory=dict)
    damage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedClaim:
    """What the runs say of one expectation or guard.

    Attributes:
        key: Its key in the table. ``text``: the claim as it is written there.
        estimate: The difference, the value or the slope that the claim is about, in the metric's own unit.
        interval: 95% interval of the estimate.
        seeds: Seeds that it rests on.
        seeds_needed: Seeds that would decide it, of which some are there; None when it is decided, or nobody can tell.
        sentence: All of it in words.
        column: Where a damaged claim cannot be read, from 1; 0 otherwise.
    """

    key: str
    text: str
    state: HypothesisState
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    seeds: int = 0
    seeds_needed: int | None = None
    sentence: str = ""
    column: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedHypothesis:
    """A hypothesis with its evidence.

    Attributes:
        state: What its expectations say together. Guards are judged apart and never change it.
        original: How it was registered, where it has changed since; None where it has not, or was added later.
        seeds_needed: Seeds that would decide every expectation that is open; None when none is, or nobody can tell.
        words: The state in words, with what it breaks.
    """

    hypothesis: Hypothesis
    state: HypothesisState
    registration: Registration
    expect: tuple[JudgedClaim, ...] = ()
    guard: tuple[JudgedClaim, ...] = ()
    original: Hypothesis | None = None
    seeds_needed: int | None = None
    words: str = ""

    @property
    def broken(self) -> tuple[JudgedClaim, ...]:
        """Guards that the runs refute."""
        return tuple(one for one in self.guard if one.state is HypothesisState.REFUTED)

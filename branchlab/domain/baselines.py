"""The published figure, and what the reference's runs say of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BaselineState(StrEnum):
    """Whether the reference reproduces the published figure. ``NONE``: there is no figure to reproduce."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not-reproduced"
    UNDECIDED = "undecided"
    NOT_RUN = "not-run"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A figure as it was published.

    Attributes:
        tolerance: How far from it still counts as the same.
        source: Where it stands, in words.
    """

    metric: str
    value: float
    tolerance: float
    source: str = ""

    @property
    def low(self) -> float:
        return self.value - self.tolerance

    @property
    def high(self) -> float:
        return self.value + self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineVerdict:
    """What seeds of the reference say of the published figure.

    Attributes:
        mean: Over the seeds; None without any.
        interval: Confidence interval of the mean; None below two seeds, and where all gave the same value.
        seeds_needed: Seeds that would decide it if the mean stays where it is; None when decided, or beyond a thousand.
        sentence: All of it in words.
    """

    state: BaselineState
    mean: float | None
    interval: tuple[float, float] | None
    seeds: int
    seeds_needed: int | None
    sentence: str

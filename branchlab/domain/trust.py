"""How far the sample can be trusted to say what the full set will say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DOUBLY_RUN_MIN = 6
"""With fewer experiments on both scales the interval of every measure of trust is as wide as all there is."""


class TrustState(StrEnum):
    """What the experiments that ran on both scales say of the sample. ``UNKNOWN``: there are too few of them."""

    UNKNOWN = "unknown"
    TRUSTED = "trusted"
    WEAK = "weak"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """How many of the effects that are decided on the full set had the same sign on the sample.

    Attributes:
        interval: Clopper and Pearson's, of the share; None without any decided effect.
        better_held: Of those called better on the sample, as ``better_of``; ``others_held`` and ``others_of`` of all others.
        share: With each of the two groups counted as often as it is among all experiments on the sample; None where one of
            them has no decided effect.
    """

    held: int
    of: int
    interval: tuple[float, float] | None
    better_held: int
    better_of: int
    others_held: int
    others_of: int
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The score of a sample; measures are None where nothing can be said.

    Attributes:
        num: Experiments that ran on both scales. ``num_others``: of these, how many the sample did not call better.
        tau: Kendall's tau-b between effects on the sample and on the full set.
        tau_ceiling: The same between two halves of the full set's own seeds: what a perfect sample would reach.
        tau_ratio: One by the other, at most 1.
        slope: Of the full effect on the sample's, through the origin; ``residual``: deviation of one effect from that line.
        regret: What is lost on the full set by taking the sample's winner instead of the best; a median over seeds.
        fell_with: The experiment without which the state would be better; empty mostly.
        sentence: All of it in words.
    """

    state: TrustState
    num: int
    num_others: int = 0
    tau: float | None = None
    tau_ceiling: float | None = None
    tau_ratio: float | None = None
    signs: Signs | None = None
    slope: float | None = None
    residual: float | None = None
    regret: float | None = None
    fell_with: str = ""
    sentence: str = ""

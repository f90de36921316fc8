"""What runs say of one claim: an estimate with its interval, held against the region that the claim allows.

A claim against another branch is judged like ``compare`` does it: seed by seed, with the noise pooled over the comparison.
One against a constant, and a trend, by a t test over seeds: the epochs of one run are no replicates (Mann-Kendall on one
run of 20 epochs saw a trend in 52% of autocorrelated curves that had none). "Within" is a test of equivalence: the whole
interval has to lie inside. All of it is two-sided at 95%, so that what supports a claim and what refutes it are treated alike.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.analysis.claims.claim import (
    Amount,
    Claim,
    Comparison,
    Equivalence,
    Point,
    Trend,
)
from branchlab.analysis.student import t_cdf, t_quantile
from branchlab.analysis.verdict import CONFIDENCE, Noise, Seeds

Pairs = tuple[Sequence[float], "Noise | None"]
"""Differences seed by seed, and the noise that they are judged by."""
_ALONE = 2
_STEP_PRECISION = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What runs have measured for one claim.

    Attributes:
        own: The claim's estimand by seed; of a trend its slope.
        other: What that is held against: "main", a metric; empty for a constant and for a trend.
        pairs: Differences and noise, by how many percent the other side was moved (``shifts_of``); empty without one.
        step: Smallest step between values of the estimand in the whole comparison: noise below it cannot be seen.
        open_own: Seeds whose run never reached the level of ``epoch_to``; their values are bounds from below. ``open_other``:
            likewise of the other side.
        missing: Why there is nothing to judge; empty when there is. ``waiting``: why there is not enough yet.
    """

    own: Seeds = field(default_factory=dict)
    other: str = ""
    pairs: Mapping[float, Pairs] = field(default_factory=dict)
    step: float = 0.0
    open_own: frozenset[int] = frozenset()
    open_other: frozenset[int] = frozenset()
    missing: str = ""
    waiting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end of the region that a claim allows.

    Attributes:
        bound: Where it ends. ``gap``: how far inside the estimate lies; negative when it is outside.
        error: Standard error of the gap.
    """

    bound: float
    gap: float
    error: float
    df: int
    is_lower: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A claim held against what was measured.

    Attributes:
        p: Two-sided p value of the estimate lying where it lies, inside of the region or outside.
        is_inside: Whether it lies inside.
        bar: Why nothing may be concluded in that direction; empty when it may.
        noise: As ``seeds_needed`` takes it.
    """

    num_seeds: int
    estimate: float
    interval: tuple[float, float]
    sides: tuple[Side, ...]
    p: float
    is_inside: bool
    bar: str
    noise: Noise

    @property
    def effect(self) -> float:
        """How far the estimate is from the nearest end of the region."""
        return min(abs(side.gap) for side in self.sides)


def read(claim: Claim, measured: Measured) -> Reading | None:
    """Hold a claim against what was measured; None where there is too little: fewer than two seeds."""
    pairs = measured.pairs or {0.0: _by_themselves(list(measured.own.values()), measured.step)}
    differences, noise = pairs[0.0]
    if noise is None or not differences:
        return None
    estimate, error = _mean(differences), _error(differences, noise)
    sides = _sides(claim, pairs)
    p, is_inside = _p_value(sides, is_strict=_is_strict(claim))
    reach = t_quantile(0.5 + CONFIDENCE / 2, noise.df) * error
    return Reading(
        num_seeds=len(differences),
        estimate=estimate,
        interval=(estimate - reach, estimate + reach),
        sides=sides,
        p=p,
        is_inside=is_inside,
        bar=_bar(claim, measured, sides, is_inside=is_inside),
        noise=noise,
    )


def noise_words(noise: Noise) -> str:
    """Return whose noise it is."""
    if noise.num_branches > _ALONE:
        return f"noise pooled over {noise.num_branches} branches"
    return "noise of its own seeds"


def shifted(seeds: Seeds, percent: float) -> dict[int, float]:
    """Return values moved up by so many percent of their size."""
    return {seed: value + abs(value) * percent / 100 for seed, value in seeds.items()}


def slope(curve: Sequence[tuple[int, float]]) -> float | None:
    """Return the slope of a curve per epoch, by least squares; None below two epochs."""
    finite = [(epoch, value) for epoch, value in curve if math.isfinite(value)]
    if len(finite) < 2:  # noqa: PLR2004
        return None
    at, height = _mean([e for e, _ in finite]), _mean([v for _, v in finite])
    spread = math.fsum((e - at) ** 2 for e, _ in finite)
    return math.fsum((e - at) * (v - height) for e, v in finite) / spread if spread else None


def paired(own: Seeds, other: Seeds, *, step: float) -> Pairs:
    """Return differences with the noise that they show themselves, without a pool.

    ``step`` is the smallest one between values of either side: differences that agree by it are not free of noise.
    """
    differences = [own[seed] - other[seed] for seed in sorted(own.keys() & other.keys())]
    return _by_themselves(differences, math.sqrt(2) * step)


def smallest_step(values: Iterable[float]) -> float:
    """Return the smallest difference between two values that are not equal; 0 where all are."""
    ordered = sorted(values)
    least = _STEP_PRECISION * max([abs(value) for value in ordered], default=0.0)
    steps = [b - a for a, b in itertools.pairwise(ordered) if b - a > least]
    return min(steps, default=0.0)


def _by_themselves(values: list[float], step: float) -> Pairs:
    """Return values with their own noise, as ``Noise`` counts it: half the variance of a difference of two runs."""
    n = len(values)
    if n < 2:  # noqa: PLR2004
        return values, None
    mean = _mean(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    deviation = max(math.sqrt(variance), step / math.sqrt(12)) / math.sqrt(2)
    return values, Noise(deviation=deviation, df=n - 1, num_branches=_ALONE)


def _sides(claim: Claim, pairs: Mapping[float, Pairs]) -> tuple[Side, ...]:
    match claim:
        case Trend():
            return (_side(pairs, 0.0, 0.0, 0.0, is_lower=claim.is_rising),)
        case Comparison():
            start = claim.target.value if isinstance(claim.target, Amount) else 0.0
            bound, percent = start + claim.margin.value, claim.margin.percent
            return (_side(pairs, bound, percent, start, is_lower=claim.relation.is_upward),)
        case Equivalence():
            reach, percent = claim.within.value, claim.within.percent
            if isinstance(claim.target, Amount):
                start = claim.target.value
                reach += abs(start) * percent / 100
                percent = 0.0
            else:
                start = 0.0
            return (
                _side(pairs, start - reach, -percent, start, is_lower=True),
                _side(pairs, start + reach, percent, start, is_lower=False),
            )


def _side(
    pairs: Mapping[float, Pairs], bound: float, percent: float, start: float, *, is_lower: bool
) -> Side:
    differences, noise = pairs[percent]
    assert noise is not None
    gap = _mean(differences) - bound
    # What percent of the other side come to, in the metric's own unit.
    moved = _mean(pairs[0.0][0]) - _mean(differences)
    return Side(
        bound=bound + moved,
        gap=gap if is_lower else -gap,
        error=_error(differences, noise),
        df=noise.df,
        is_lower=is_lower,
    )


def _p_value(sides: Sequence[Side], *, is_strict: bool) -> tuple[float, bool]:
    outside = [_chance(side, is_strict=is_strict) for side in sides]
    p_inside, p_outside = max(outside), min(1 - chance for chance in outside)
    return min(1.0, 2 * min(p_inside, p_outside)), p_inside <= p_outside


def _chance(side: Side, *, is_strict: bool) -> float:
    """Return the chance of an estimate as far inside as this one, were the truth the end of the region."""
    if side.error > 0:
        return t_cdf(-side.gap / side.error, side.df)
    return float(side.gap < 0 or (side.gap == 0 and is_strict))


def _is_strict(claim: Claim) -> bool:
    if isinstance(claim, Comparison):
        return claim.relation.is_strict
    return isinstance(claim, Trend)


def _bar(claim: Claim, measured: Measured, sides: Sequence[Side], *, is_inside: bool) -> str:
    """Return why runs that never reached a level forbid the conclusion; their true value is larger, nobody knows by how much."""
    if claim.estimand.point is not Point.EPOCH_TO or not (measured.open_own | measured.open_other):
        return ""
    nearest = min(sides, key=lambda side: side.gap)
    says_above, says_below = nearest.is_lower is is_inside, nearest.is_lower is not is_inside
    if len(sides) > 1 and is_inside:
        says_above = says_below = True
    if (says_above and measured.open_other) or (says_below and measured.open_own):
        return "which of them is sooner hangs on runs that never reached it"
    return ""


def _error(differences: Sequence[float], noise: Noise) -> float:
    return noise.deviation * math.sqrt(2 / len(differences))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

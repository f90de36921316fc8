"""Does the sample say what the full set says? Held against the experiments that ran on both.

Four questions, because each measure is blind to something. Do effects keep their sign: exact, but about main alone. Do they
keep their order: Kendall's tau-b, held against what the full set's own seeds agree on among themselves, since no sample can
agree better with the full set than the full set does. How large is the full effect: a line through the origin, since effects
on a sample are too large (1.6 to 3.3 times on Fashion-MNIST). What is lost by believing the sample: the regret of taking its winner.

Experiments that a promotion chose are not a random part of all: the sample called most of them better. The order among the
best alone is harder to keep than among all (range restriction), and says nothing of what the sample has missed. Hence one in
four of the others runs too, signs are given for both groups, and without any of the others a sample is never called trusted.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from branchlab.domain import Outcome, Signs, Trust, TrustState
from branchlab.domain.trust import DOUBLY_RUN_MIN

CONFIDENCE = 0.95
_TAU_MIN = 0.6
_SIGNS_LOW_MIN = 0.6
_SIGNS_HIGH_MIN = 0.75
_SPLITS_MAX = 35
_DECIDED = {Outcome.BETTER, Outcome.WORSE}
_MAIN = ""
"""Stands beside names of experiments: main, which a winner has to beat; no experiment is called so."""
_ORDER = (TrustState.BROKEN, TrustState.WEAK, TrustState.UNKNOWN, TrustState.TRUSTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoublyRun:
    """An experiment with runs on both scales.

    Attributes:
        sample: By how much each seed did better than main there (larger is better for a metric of either direction).
        full: The same on the full set.
        sample_outcome: What the seeds said on the sample. ``full_outcome``: on the full set.
    """

    name: str
    sample: Mapping[int, float]
    full: Mapping[int, float]
    sample_outcome: Outcome
    full_outcome: Outcome

    @property
    def on_sample(self) -> float:
        return statistics.fmean(self.sample.values())

    @property
    def on_full(self) -> float:
        return statistics.fmean(self.full.values())

    @property
    def has_held(self) -> bool:
        """Whether the effect has one sign on both scales."""
        return self.on_sample * self.on_full > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """All experiments on the sample: how many it calls better, and how many not."""

    num_better: int
    num_others: int


def trust_in_sample(
    experiments: Sequence[DoublyRun], population: Population, *, min_effect: float
) -> Trust:
    """Return the score of a sample.

    Args:
        experiments: Those with runs on both scales, the one that came last at the end.
        population: All that ran on the sample.
        min_effect: Smallest difference of the metric that matters; more regret than that breaks the trust.
    """
    found = _score(experiments, population, min_effect=min_effect)
    if found.state is TrustState.UNKNOWN or len(experiments) <= DOUBLY_RUN_MIN:
        return replace(found, sentence=trust_sentence(found))
    before = _score(experiments[:-1], population, min_effect=min_effect)
    if _ORDER.index(found.state) < _ORDER.index(before.state):
        found = replace(found, fell_with=experiments[-1].name)
    return replace(found, sentence=trust_sentence(found))


def unknown_trust(num: int, num_others: int = 0) -> Trust:
    """Return the score of a sample of which too little is known."""
    found = Trust(state=TrustState.UNKNOWN, num=num, num_others=num_others)
    return replace(found, sentence=trust_sentence(found))


def _score(experiments: Sequence[DoublyRun], population: Population, *, min_effect: float) -> Trust:
    others = [one for one in experiments if one.sample_outcome is not Outcome.BETTER]
    num = len(experiments)
    if num < DOUBLY_RUN_MIN:
        return unknown_trust(num, len(others))
    signs = sign_agreement(experiments, population)
    tau = kendall_tau([e.on_sample for e in experiments], [e.on_full for e in experiments])
    ceiling = tau_ceiling([e.full for e in experiments])
    slope, residual = fitted_slope(
        [e.on_sample for e in experiments], [e.on_full for e in experiments]
    )
    regret = regret_of_winner(experiments)
    return Trust(
        state=_state(signs, tau, regret, min_effect=min_effect, num_others=len(others)),
        num=num,
        num_others=len(others),
        tau=tau,
        tau_ceiling=ceiling,
        tau_ratio=min(1.0, tau / ceiling) if tau is not None and ceiling and ceiling > 0 else None,
        signs=signs,
        slope=slope,
        residual=residual,
        regret=regret,
    )


def _state(
    signs: Signs, tau: float | None, regret: float, *, min_effect: float, num_others: int
) -> TrustState:
    low, high = signs.interval or (0.0, 1.0)
    if high < _SIGNS_HIGH_MIN or regret > min_effect:
        return TrustState.BROKEN
    if low > _SIGNS_LOW_MIN and tau is not None and tau >= _TAU_MIN and num_others:
        return TrustState.TRUSTED
    return TrustState.WEAK


def sign_agreement(experiments: Sequence[DoublyRun], population: Population) -> Signs:
    """Return how many effects that are decided on the full set had their sign on the sample already."""
    decided = [one for one in experiments if one.full_outcome in _DECIDED]
    better = [one for one in decided if one.sample_outcome is Outcome.BETTER]
    held = sum(one.has_held for one in decided)
    better_held = sum(one.has_held for one in better)
    others_held, others_of = held - better_held, len(decided) - len(better)
    whole = population.num_better + population.num_others
    groups = [
        (population.num_better, better_held, len(better)),
        (population.num_others, others_held, others_of),
    ]
    is_known = whole > 0 and all(of for num, _, of in groups if num)
    return Signs(
        held=held,
        of=len(decided),
        interval=exact_interval(held, len(decided)) if decided else None,
        better_held=better_held,
        better_of=len(better),
        others_held=others_held,
        others_of=others_of,
        share=sum(num / whole * h / of for num, h, of in groups if num) if is_known else None,
    )


def exact_interval(held: int, of: int) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share."""
    from scipy.stats import binomtest

    found = binomtest(held, of).proportion_ci(confidence_level=CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def kendall_tau(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Kendall's tau-b, which allows for ties; None where one side knows no order at all."""
    from scipy.stats import kendalltau

    if len(set(one)) < 2 or len(set(other)) < 2:  # noqa: PLR2004  all are tied
        return None
    return float(kendalltau(one, other, variant="b").statistic)


def tau_ceiling(full: Sequence[Mapping[int, float]]) -> float | None:
    """Return how well two halves of the full set's seeds agree on the order, on average over all ways to halve them.

    A half is noisier than the whole, so that this is a ceiling from below: a sample may come out above it.
    """
    seeds = sorted(set.intersection(*(set(values) for values in full))) if full else []
    taus = []
    for one in itertools.islice(itertools.combinations(seeds, len(seeds) // 2), _SPLITS_MAX):
        other = [seed for seed in seeds if seed not in one]
        if not one:
            continue
        tau = kendall_tau(
            [statistics.fmean(values[s] for s in one) for values in full],
            [statistics.fmean(values[s] for s in other) for values in full],
        )
        taus += [] if tau is None else [tau]
    return statistics.fmean(taus) if taus else None


def fitted_slope(
    sample: Sequence[float], full: Sequence[float]
) -> tuple[float | None, float | None]:
    """Return the slope of the least-squares line through the origin, and the deviation of one effect from it.

    It predicts a full effect from one on a sample. Choosing experiments by what the sample said does not bend it; the
    sample's own noise makes it flatter, as a prediction has to be.
    """
    squares = math.fsum(x * x for x in sample)
    if not squares or len(sample) < 2:  # noqa: PLR2004  a line and a deviation need two
        return None, None
    slope = math.fsum(x * y for x, y in zip(sample, full, strict=True)) / squares
    rest = math.fsum((y - slope * x) ** 2 for x, y in zip(sample, full, strict=True))
    return slope, math.sqrt(rest / (len(sample) - 1))


def regret_of_winner(experiments: Sequence[DoublyRun]) -> float:
    """Return how much better than the sample's winner the best experiment is on the full set; main takes part.

    The best of many looks better than it is: it is chosen by all seeds but one and measured by that one, and the median over
    seeds is taken. With a single common seed both are done by means.
    """
    on_sample = {_MAIN: 0.0} | {one.name: one.on_sample for one in experiments}
    winner = max(on_sample, key=lambda name: on_sample[name])
    by_name = {one.name: one.full for one in experiments}
    seeds = sorted(set.intersection(*(set(one.full) for one in experiments)))
    if len(seeds) < 2:  # noqa: PLR2004  nothing to leave out
        means = {_MAIN: 0.0} | {one.name: one.on_full for one in experiments}
        return max(means.values()) - means[winner]
    regrets = []
    for left_out in seeds:
        rest = [seed for seed in seeds if seed != left_out]
        means = {_MAIN: 0.0} | {
            name: statistics.fmean(values[s] for s in rest) for name, values in by_name.items()
        }
        best = max(means, key=lambda name: means[name])
        at = {_MAIN: 0.0} | {name: values[left_out] for name, values in by_name.items()}
        regrets.append(at[best] - at[winner])
    return max(0.0, statistics.median(regrets))


def expected_on_full(trust: Trust | None, effect: float | None) -> tuple[float, float] | None:
    """Return the full effect that one on the sample lets expect, and its deviation; None where that is not known."""
    if trust is None or effect is None or trust.slope is None or trust.residual is None:
        return None
    return trust.slope * effect, trust.residual


def trust_sentence(trust: Trust) -> str:
    """Return all that is known of the sample in one sentence."""
    if trust.state is TrustState.UNKNOWN:
        return f"trust in the sample: unknown, {trust.num} of {DOUBLY_RUN_MIN} experiments have run on both scales"
    signs = trust.signs
    assert signs is not None
    parts = []
    if signs.interval is None:
        parts.append("no effect is decided on the full set")
    else:
        low, high = signs.interval
        parts.append(
            f"{signs.held} of {signs.of} held their sign on the full set [{low:.2f}, {high:.2f}]"
        )
    if trust.tau is not None:
        most = ""
        if trust.tau_ceiling is not None:
            most = (
                f" of {trust.tau_ceiling:.2f} that its seeds agree on"
                if trust.tau_ceiling > 0
                else ", and its seeds agree on no order"
            )
        parts.append(f"tau {trust.tau:.2f}{most}")
    if trust.slope is not None and trust.residual is not None:
        parts.append(f"full effect {trust.slope:.2f} times the sample's ± {trust.residual:.4f}")
    if trust.regret is not None:
        parts.append(f"regret of its winner {trust.regret:.4f}")
    if not trust.num_others:
        parts.append(
            "only winners have run on the full set, so that what the sample misses is not known"
        )
    if trust.state is TrustState.BROKEN:
        fell = f" since {trust.fell_with}" if trust.fell_with else ""
        parts.append(f"do not believe this sample{fell}: take a larger one, or run --full")
    elif trust.fell_with:
        parts.append(f"less than before {trust.fell_with}")
    return f"trust in the sample: {trust.state}, " + "; ".join(parts)

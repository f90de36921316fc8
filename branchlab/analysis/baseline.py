"""Does the reference reproduce a published figure? The mean over seeds, its t interval, and the tolerance, as an equivalence test.

"Not different from the published figure" would be the wrong question: two seeds that scatter widely differ from nothing. The
figure counts as reproduced when the whole interval lies within the tolerance, as not reproduced when the whole interval lies
outside. Everything between is undecided, also a mean that lies within: then it is reproduced on average, which is not shown.
With a 95% interval either error has a rate of at most 2.5% (two one-sided tests at 2.5%; Schuirmann 1987 takes 5%).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from branchlab.analysis.student import t_quantile
from branchlab.domain import BaselineState, BaselineVerdict, Published

CONFIDENCE = 0.95
_SEEDS_MIN = 2
_SEEDS_MAX = 1000


def judge_baseline(values: Mapping[int, float], published: Published) -> BaselineVerdict:
    """Return what the values of some seeds say of a published figure."""
    n = len(values)
    if not n:
        return _verdict(BaselineState.NOT_RUN, sentence="it has not been run yet")
    mean = statistics.fmean(values.values())
    deviation = statistics.stdev(values.values()) if n >= _SEEDS_MIN else 0.0
    if not deviation:
        what = (
            f"one seed has no interval: at least {_SEEDS_MIN} are needed"
            if n < _SEEDS_MIN
            else f"all {n} seeds gave the same value, so that nothing says how far it varies"
        )
        return _verdict(
            BaselineState.UNDECIDED,
            mean=mean,
            seeds=n,
            needed=_SEEDS_MIN if n < _SEEDS_MIN else None,
            sentence=f"undecided: {published.metric} {mean:.4f}, {what}; {_said(published)}",
        )
    reach = _reach(deviation, n)
    low, high = mean - reach, mean + reach
    state = _state(low, high, published)
    needed = (
        _seeds_needed(mean, deviation, n, published) if state is BaselineState.UNDECIDED else None
    )
    figures = f"{published.metric} {mean:.4f}, 95% interval [{low:.4f}, {high:.4f}], {n} seeds"
    return _verdict(
        state,
        mean=mean,
        interval=(low, high),
        seeds=n,
        needed=needed,
        sentence=_sentence(state, figures, mean, needed, published),
    )


def _state(low: float, high: float, published: Published) -> BaselineState:
    if published.low <= low and high <= published.high:
        return BaselineState.REPRODUCED
    if high < published.low or low > published.high:
        return BaselineState.NOT_REPRODUCED
    return BaselineState.UNDECIDED


def _sentence(
    state: BaselineState, figures: str, mean: float, needed: int | None, published: Published
) -> str:
    side = "above" if mean > published.value else "below"
    apart = abs(mean - published.value)
    said = _said(published)
    match state:
        case BaselineState.REPRODUCED:
            return f"reproduced: {figures}; {said}"
        case BaselineState.NOT_REPRODUCED:
            return f"not reproduced: {figures}: {side} by {apart:.4f}; {said}"
        case _:
            is_inside = published.low <= mean <= published.high
            where = (
                "reproduced on average, which is not shown: the interval reaches beyond the tolerance"
                if is_inside
                else f"{side} by {apart:.4f} on average, but the interval reaches into the tolerance"
            )
            more = (
                f"about {needed} seeds would decide it"
                if needed
                else f"more than {_SEEDS_MAX} seeds would be needed"
                if published.tolerance
                else "without a tolerance no figure can be shown to be reproduced"
            )
            return f"undecided: {figures}: {where}; {said}; {more}"


def _said(published: Published) -> str:
    source = f" ({published.source})" if published.source else ""
    return f"published {published.value:g} ± {published.tolerance:g}{source}"


def _reach(deviation: float, n: int) -> float:
    """Return half the width of the interval that ``n`` seeds of this deviation give."""
    return t_quantile(0.5 + CONFIDENCE / 2, n - 1) * deviation / math.sqrt(n)


def _seeds_needed(mean: float, deviation: float, n: int, published: Published) -> int | None:
    """Return how many seeds bring the interval to one side of the nearer edge, if mean and deviation stay what they are."""
    room = abs(published.tolerance - abs(mean - published.value))
    # What 1,000 seeds cannot show, no fewer can: the interval only narrows.
    if not room or _reach(deviation, _SEEDS_MAX) > room:
        return None
    return next(num for num in range(n + 1, _SEEDS_MAX + 1) if _reach(deviation, num) <= room)


def _verdict(
    state: BaselineState,
    *,
    sentence: str,
    mean: float | None = None,
    interval: tuple[float, float] | None = None,
    seeds: int = 0,
    needed: int | None = None,
) -> BaselineVerdict:
    return BaselineVerdict(
        state=state,
        mean=mean,
        interval=interval,
        seeds=seeds,
        seeds_needed=needed,
        sentence=sentence,
    )

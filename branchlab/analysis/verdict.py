"""Is a branch better than another? Paired by seed, with the seed noise pooled over all branches of the comparison.

Power at three seeds is many times that of a paired t test per branch, at equal error rate (``benchmarks/honesty.py``).
Several branches are held against main at once, so p values are adjusted after Holm; a further look at the same question,
after seeds were added, is tested at half the level of the one before. No percentile bootstrap: at three seeds its 95%
interval covers 75%. The method with its sources, and the rates measured, are in docs/verdicts.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from branchlab.analysis.declared import Declared
from branchlab.analysis.noise import SEEDS_MIN, Noise, Noises, Seeds, additive_noise, noises_of
from branchlab.analysis.student import t_cdf, t_quantile
from branchlab.analysis.wording import same_sentence, sentence
from branchlab.domain import Goal, Outcome, Scale, Verdict

__all__ = [
    "CONFIDENCE",
    "Noise",
    "Question",
    "Seeds",
    "additive_noise",
    "holm",
    "judge",
    "judge_parts",
    "judge_pooled",
    "judged_by",
    "level_of",
    "same",
    "seeds_needed",
]

CONFIDENCE = 0.95
_POWER = 0.8
_SEEDS_MAX = 1000
_RAISE = 0.6
"""Of the variance, over the root of the seeds less one: what raising noise to a branch's own costs, so that the stated power
is met (calibrated by ``benchmarks/honesty.py``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a comparison is about.

    Attributes:
        goal: Whether more is better.
        min_effect: The difference that matters.
        scale: What it was measured on.
        is_share: Whether the metric is a share, whose differences are said in points.
        declared: By branch, what was declared of its seeds; one that is missing has had one look at all it has.
    """

    goal: Goal
    min_effect: float
    scale: Scale
    against: str
    is_share: bool = False
    declared: Mapping[str, Declared] = field(default_factory=dict)


def judge(branches: Mapping[str, Seeds], other: Seeds, question: Question) -> dict[str, Verdict]:
    """Return the verdict of every branch against ``other`` (usually main), on the seeds that both have."""
    return _judged(branches, other, question)[0]


def judged_by(
    branches: Mapping[str, Seeds], other: Seeds, question: Question
) -> dict[str, tuple[list[float], Noise | None, Outcome]]:
    """Return what each verdict rests on: the differences seed by seed, the noise, and the outcome."""
    verdicts, pairs, noises = _judged(branches, other, question)
    return {name: (pairs[name], noises[name], verdicts[name].outcome) for name in branches}


def judge_parts(
    branch: str,
    parts: Mapping[str, tuple[Mapping[str, Seeds], Seeds]],
    question: Question,
) -> dict[str, Verdict]:
    """Return the verdict of one branch on each part of a metric; p values are adjusted for the number of parts.

    ``parts`` gives, for each, the values of all branches of the comparison and those of the other: noise is pooled over
    the branches, part by part.
    """
    return judge_pooled(
        branch, {name: noises_of(*values) for name, values in parts.items()}, question
    )


def judge_pooled(
    branch: str, parts: Mapping[str, Noises], question: Question
) -> dict[str, Verdict]:
    """Return what ``judge_parts`` does, where the noise of every part is known: it is the same for all branches."""
    found = {
        name: (pairs[branch], noises[branch], pool) for name, (pairs, noises, pool) in parts.items()
    }
    looks = question.declared.get(branch, Declared()).num_looks
    adjusted = holm({
        name: _p_value(pairs, noise, looks) for name, (pairs, noise, _) in found.items() if noise
    })  # fmt: skip
    return {
        name: _verdict(
            branch,
            differences,
            noise or pool,
            adjusted.get(name),
            question,
            num_compared=len(adjusted),
        )
        for name, (differences, noise, pool) in found.items()
    }


def _judged(
    branches: Mapping[str, Seeds], other: Seeds, question: Question
) -> tuple[dict[str, Verdict], dict[str, list[float]], dict[str, Noise | None]]:
    pairs, noises, pool = noises_of(branches, other)
    looks = {n: question.declared.get(n, Declared()).num_looks for n in branches}
    adjusted = holm({
        name: _p_value(pairs[name], noise, looks[name]) for name, noise in noises.items() if noise
    })  # fmt: skip
    verdicts = {
        name: _verdict(
            name,
            pairs[name],
            noises[name] or pool,
            adjusted.get(name),
            question,
            num_compared=len(adjusted),
        )
        for name in branches
    }
    return verdicts, pairs, noises


def same(name: str, num_seeds: int, question: Question) -> Verdict:
    """Return the verdict of a branch that computed what the other did, bit for bit; there is nothing to test."""
    said = question.declared.get(name, Declared())
    return Verdict(
        branch=name,
        outcome=Outcome.NO_DIFFERENCE,
        difference=0.0,
        interval=(0.0, 0.0),
        confidence=CONFIDENCE,
        seeds=num_seeds,
        p_better=0.5,
        seeds_needed=None,
        scale=question.scale,
        sentence=same_sentence(question.against, num_seeds),
        is_share=question.is_share,
        is_interim=said.is_interim,
        num_declared=said.num_seeds,
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's adjusted p values: the family of comparisons keeps its error rate."""
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        running = max(running, min(1.0, p * (len(p_values) - rank)))
        adjusted[name] = running
    return adjusted


def level_of(num_looks: int) -> float:
    """Return the level that the last of some looks is tested at: each at half of the one before, together below twice the first."""
    return float((1 - CONFIDENCE) / 2 ** (num_looks - 1))


def seeds_needed(effect: float, noise: Noise, *, num_compared: int = 1) -> int | None:
    """Return how many common seeds show a difference of ``effect`` with power 0.8, or None beyond a thousand.

    Args:
        effect: The true difference.
        noise: Of one run.
        num_compared: Branches that are compared at once: the hardest of Holm's steps is reckoned with.
    """
    if effect <= 0:
        return None
    # With the degrees of freedom of the most seeds it takes the fewest: a bound from below.
    fewest = _seeds_for(effect, noise, _SEEDS_MAX, num_compared)
    if fewest > _SEEDS_MAX:
        return None
    n = max(SEEDS_MIN, math.ceil(fewest))
    while n <= _SEEDS_MAX and _seeds_for(effect, noise, n, num_compared) > n:
        n += 1
    return n if n <= _SEEDS_MAX else None


def _seeds_for(effect: float, noise: Noise, n: int, num_compared: int) -> float:
    """Return how many seeds it takes, with the degrees of freedom that ``n`` seeds give."""
    df = (noise.num_branches - 1) * (n - 1)
    level = (1 - CONFIDENCE) / max(1, num_compared)
    reach = t_quantile(1 - level / 2, df) + t_quantile(_POWER, df)
    # Where noise is pooled, a branch whose own seeds show more is judged by these: by chance, too.
    raised = 1 + (_RAISE / math.sqrt(n - 1) if noise.num_branches > 2 else 0.0)  # noqa: PLR2004
    ratio = noise.deviation * reach / effect
    return 2 * ratio * ratio * raised


def _standard_error(num_seeds: int, noise: Noise) -> float:
    return noise.deviation * math.sqrt(2 / num_seeds)


def _p_value(differences: list[float], noise: Noise, num_looks: int) -> float:
    """Return the two-sided p value, made larger for looks before this one."""
    error, mean = _standard_error(len(differences), noise), _mean(differences)
    if error == 0:
        return 0.0 if mean else 1.0
    looked = (1 - CONFIDENCE) / level_of(num_looks)
    return min(1.0, looked * 2 * t_cdf(-abs(mean) / error, noise.df))


def _verdict(
    name: str,
    differences: list[float],
    noise: Noise | None,
    p: float | None,
    question: Question,
    *,
    num_compared: int,
) -> Verdict:
    """Return a verdict; without a p value (below two seeds) it is undecided, whatever the noise of the others says."""
    said = question.declared.get(name, Declared())
    n, level = len(differences), level_of(said.num_looks)
    mean = _mean(differences) if differences else None
    interval = None
    if mean is not None and noise is not None:
        reach = t_quantile(1 - level / 2, noise.df) * _standard_error(n, noise)
        interval = mean - reach, mean + reach
    outcome, p_better, needed = Outcome.UNDECIDED, None, None
    if mean is None or noise is None or p is None:
        needed = SEEDS_MIN
    else:
        outcome = _outcome(mean, interval, p, question)
        gain = mean if question.goal is Goal.MAX else -mean
        p_better = _probability_above_zero(gain, _standard_error(n, noise), noise.df)
        if outcome is Outcome.UNDECIDED:
            needed = seeds_needed(question.min_effect, noise, num_compared=num_compared)
            needed = needed and max(needed, n + 1)
    verdict = Verdict(
        branch=name,
        outcome=outcome,
        difference=mean,
        interval=interval,
        confidence=1 - level,
        seeds=n,
        p_better=p_better,
        seeds_needed=needed,
        scale=question.scale,
        sentence="",
        is_interim=said.is_interim,
        num_declared=said.num_seeds,
        looks=said.num_looks,
        is_share=question.is_share,
        p=p,
    )
    words = sentence(
        verdict,
        against=question.against,
        min_effect=question.min_effect,
        noise=noise,
        p=p,
        seeds_max=_SEEDS_MAX,
    )
    return replace(verdict, sentence=words)


def _outcome(
    mean: float, interval: tuple[float, float] | None, p: float, question: Question
) -> Outcome:
    if p < 1 - CONFIDENCE:
        is_gain = mean > 0 if question.goal is Goal.MAX else mean < 0
        return Outcome.BETTER if is_gain else Outcome.WORSE
    if interval is not None and max(map(abs, interval)) <= question.min_effect:
        return Outcome.NO_DIFFERENCE
    return Outcome.UNDECIDED


def _probability_above_zero(gain: float, error: float, df: int) -> float:
    if error == 0:
        return 0.5 if gain == 0 else float(gain > 0)
    return t_cdf(gain / error, df)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)

"""When the remaining seeds of a branch cannot change its verdict any more.

Stochastic curtailment (Lan, Simon and Halperin 1982, *Stochastically curtailed tests in long-term clinical trials*): a
verdict is settled early when the planned end would give it all the same, almost surely, even if what remains spoke
against it as much as is assumed. "Better" and "worse" have to hold with remaining seeds that show no difference at all,
"no difference" and "undecided" with remaining seeds that show a difference of the size that matters. With certainty g, a
test of level a keeps its level within a/g: 0.0505 for 0.05 and 0.99. Looking after every seed needs no other correction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from branchlab.analysis.student import t_cdf, t_quantile
from branchlab.analysis.verdict import CONFIDENCE, Noise, Question, Seeds, judged_by
from branchlab.domain import Outcome

_CERTAINTY = 0.99
_Z_95 = 1.6449
_SEEDS_MIN = 3
"""Of a branch before anything is concluded: two differences that agree by chance look free of noise."""


def settled(
    branches: Mapping[str, Seeds], other: Seeds, question: Question, *, num_planned: int
) -> dict[str, Outcome]:
    """Return the branches whose verdict the remaining seeds cannot change, with that verdict.

    Args:
        branches: Values by seed of every branch of the comparison so far.
        other: Values by seed of what they are held against.
        question: What the comparison is about.
        num_planned: Seeds of each in the whole plan.
    """
    found: dict[str, Outcome] = {}
    for name, (differences, noise, outcome) in judged_by(branches, other, question).items():
        n = len(differences)
        if noise is None or n < _SEEDS_MIN or n >= num_planned or noise.deviation == 0:
            continue
        mean = abs(math.fsum(differences) / n)
        ends = [_End(n, num_planned, bound, len(branches)) for bound in _bounds(noise)]
        if min(end.certainty(outcome, mean, question.min_effect) for end in ends) >= _CERTAINTY:
            found[name] = outcome
    return found


def _bounds(noise: Noise) -> tuple[Noise, Noise]:
    """Return the least and the most noise that there may be: what few seeds show of it may be far off.

    The 5% and 95% points of chi-square, after Wilson and Hilferty 1931.
    """
    width = _Z_95 * math.sqrt(2 / (9 * noise.df))
    middle = 1 - 2 / (9 * noise.df)
    least, most = (noise.deviation / (middle + side * width) ** 1.5 for side in (1, -1))
    return replace(noise, deviation=least), replace(noise, deviation=most)


class _End:
    """The end of a plan, seen from ``n`` of ``planned`` seeds: probabilities of what the final mean will be."""

    def __init__(self, n: int, planned: int, noise: Noise, num_branches: int) -> None:
        self._n, self._left, self._planned, self._noise = n, planned - n, planned, noise
        self._error = noise.deviation * math.sqrt(2 / planned)
        # Of Holm's steps the hardest for a claim, the easiest against it.
        self._hardest = (
            t_quantile(1 - (1 - CONFIDENCE) / (2 * num_branches), noise.df) * self._error
        )
        self._easiest = t_quantile(0.5 + CONFIDENCE / 2, noise.df) * self._error

    def certainty(self, outcome: Outcome, mean: float, min_effect: float) -> float:
        """Return how probably the end gives this outcome again."""
        if outcome in {Outcome.BETTER, Outcome.WORSE}:
            return self._probability_above(self._hardest, mean, drift=0.0)
        return min(
            self._stays_insignificant(mean, min_effect),
            self._keeps_equivalence(mean, min_effect, outcome),
        )

    def _probability_above(self, bound: float, mean: float, *, drift: float) -> float:
        """Return how probably the final mean is above a bound if the remaining seeds differ by ``drift`` on average."""
        sum_needed = self._planned * bound - self._n * mean - self._left * drift
        spread = self._noise.deviation * math.sqrt(2 * self._left)
        return t_cdf(-sum_needed / spread, self._noise.df)

    def _stays_insignificant(self, mean: float, min_effect: float) -> float:
        above = self._probability_above(self._easiest, mean, drift=min_effect)
        below = self._probability_above(self._easiest, -mean, drift=min_effect)
        return 1 - max(above, below)

    def _keeps_equivalence(self, mean: float, min_effect: float, outcome: Outcome) -> float:
        """Return how probably the interval ends where it is now: within what matters, or not."""
        room = min_effect - self._easiest
        if room <= 0:
            return 0.0 if outcome is Outcome.NO_DIFFERENCE else 1.0
        outside = self._probability_above(room, mean, drift=mean) + self._probability_above(
            room, -mean, drift=-mean
        )
        return 1 - min(1.0, outside) if outcome is Outcome.NO_DIFFERENCE else min(1.0, outside)

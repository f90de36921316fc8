"""A paired test over the examples of the validation set: luck of the test set, not of training.

At one seed, two trained models answered the same questions. Whether one answered more of them right than luck of drawing
the questions explains is McNemar's test (1947) where answers are right or wrong; the mid-p form, since the exact one is
conservative (Fagerland, Lydersen and Laake 2013). It says nothing of what another seed would have given: the same change
trained anew may come out the other way. So it stands beside a verdict and never decides one.

Over seeds, the tests share their questions and are not independent. P values are combined by Rüger's rule (1978), which
holds however they depend on each other: n/k times the k-th smallest of n, here for the median.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Answers = Mapping[int, tuple[NDArray[Any], NDArray[Any]]]
    """By seed: values of the branch and of the other, example by example."""


class ExampleTest(StrEnum):
    """How examples are compared."""

    MCNEMAR = "mcnemar"
    """Right or wrong: of the examples that the two disagree on, how many each has right."""
    PAIRED_T = "paired-t"
    """Real values: the mean over seeds of each example's difference, over all examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByExample:
    """What the examples say.

    Attributes:
        p_value: Two-sided; not adjusted for the number of branches.
        num_examples: That both have a value for.
        num_seeds: Common seeds with results by example.
        gained: Examples a seed, on average, that the branch alone has right; of real values those that it is higher on.
        lost: The same of the other.
    """

    test: ExampleTest
    p_value: float
    num_examples: int
    num_seeds: int
    gained: float
    lost: float


def by_example(answers: Answers) -> ByExample | None:
    """Return what the examples say; None without any that both have a value for."""
    import numpy as np

    pairs = []
    for one, other in answers.values():
        values = np.stack([one.astype(float), other.astype(float)])
        if values.ndim == 2:  # noqa: PLR2004  one value an example
            pairs.append(values)
    if not pairs or len({pair.shape for pair in pairs}) > 1:
        return None
    stacked = np.stack(pairs)
    stacked = stacked[:, :, np.isfinite(stacked).all(axis=(0, 1))]
    if not stacked.size:
        return None
    is_yes_or_no = bool(np.isin(stacked, (0.0, 1.0)).all())
    higher = (stacked[:, 0] > stacked[:, 1]).sum(axis=1)
    lower = (stacked[:, 0] < stacked[:, 1]).sum(axis=1)
    counts = [(int(a), int(b)) for a, b in zip(higher, lower, strict=True)]
    p_value = (
        together([mcnemar(a, b) for a, b in counts])
        if is_yes_or_no
        else _paired_t((stacked[:, 0] - stacked[:, 1]).mean(axis=0).tolist())
    )
    return ByExample(
        test=ExampleTest.MCNEMAR if is_yes_or_no else ExampleTest.PAIRED_T,
        p_value=p_value,
        num_examples=stacked.shape[2],
        num_seeds=len(pairs),
        gained=sum(a for a, _ in counts) / len(pairs),
        lost=sum(b for _, b in counts) / len(pairs),
    )


def mcnemar(gained: int, lost: int) -> float:
    """Return the mid-p value of McNemar's test: the exact one, less half the probability of what was seen."""
    num = gained + lost
    if gained == lost:
        return 1.0
    from scipy.stats import binom
    from statsmodels.stats.contingency_tables import mcnemar as exact

    found = float(exact([[0, gained], [lost, 0]], exact=True).pvalue)
    seen = float(binom.pmf(min(gained, lost), num, 0.5))
    return found - seen


def together(p_values: Sequence[float]) -> float:
    """Return one p value for several that may depend on each other in any way (Rüger 1978)."""
    n = len(p_values)
    k = (n + 1) // 2
    return min(1.0, n / k * sorted(p_values)[k - 1])


def _paired_t(differences: Sequence[float]) -> float:
    from branchlab.analysis.student import t_cdf

    n = len(differences)
    mean = math.fsum(differences) / n
    squares = math.fsum((value - mean) ** 2 for value in differences)
    if n < 2 or squares == 0:  # noqa: PLR2004  nothing varies
        return 1.0 if mean == 0 or n < 2 else 0.0  # noqa: PLR2004
    return 2 * t_cdf(-abs(mean) / math.sqrt(squares / (n - 1) / n), n - 1)

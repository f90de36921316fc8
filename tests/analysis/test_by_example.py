from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ttest_rel

from branchlab.analysis.by_example import ExampleTest, by_example, mcnemar, together


@settings(max_examples=60, deadline=None)
@given(gained=st.integers(0, 60), lost=st.integers(0, 60))
def test_mcnemar_is_the_binomial_tail_less_half_of_what_was_seen(gained: int, lost: int) -> None:
    least, num = min(gained, lost), gained + lost
    expected = 2 * binom.cdf(least, num, 0.5) - binom.pmf(least, num, 0.5)
    assert mcnemar(gained, lost) == pytest.approx(min(1.0, float(expected)))


def test_answers_are_counted_where_the_two_disagree() -> None:
    mine = np.array([True, True, False, True, False])
    other = np.array([True, False, True, False, False])
    found = by_example({0: (mine, other)})
    assert found is not None
    assert (found.test, found.gained, found.lost) == (ExampleTest.MCNEMAR, 2, 1)
    assert (found.num_examples, found.num_seeds) == (5, 1)
    assert found.p_value == mcnemar(2, 1)


def test_models_that_are_equal_on_average_seldom_differ_over_seeds_that_share_their_examples() -> (
    None
):
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        hard = random.random(150)  # the same questions at every seed
        answers = {
            seed: (random.random(150) > hard, random.random(150) > hard) for seed in range(3)
        }
        found = by_example(answers)
        assert found is not None
        wrong += found.p_value < 0.05
    assert wrong / 200 <= 0.08


def test_real_values_are_paired_by_example_after_the_mean_over_seeds() -> None:
    random = np.random.default_rng(1)
    answers = {s: (random.random(40) + 0.1, random.random(40)) for s in range(3)}
    found = by_example(answers)
    assert found is not None
    assert found.test is ExampleTest.PAIRED_T
    one, other = (np.mean([pair[side] for pair in answers.values()], axis=0) for side in (0, 1))
    assert found.p_value == pytest.approx(float(ttest_rel(one, other).pvalue))


def test_examples_without_a_value_are_left_out_and_without_any_there_is_no_test() -> None:
    nan = np.nan
    found = by_example({0: (np.array([1.0, nan, 0.0]), np.array([0.0, 1.0, nan]))})
    assert found is not None
    assert (found.num_examples, found.gained, found.lost) == (1, 1, 0)
    assert by_example({0: (np.array([nan]), np.array([1.0]))}) is None
    assert by_example({}) is None
    assert by_example({0: (np.eye(3), np.eye(3))}) is None
    uneven = {0: (np.ones(3), np.ones(3)), 1: (np.ones(4), np.ones(4))}
    assert by_example(uneven) is None


def test_p_values_are_put_together_by_their_median_however_they_depend() -> None:
    assert together([0.01]) == pytest.approx(0.01)
    assert together([0.5, 0.01, 0.02]) == pytest.approx(0.03)
    assert together([0.9, 0.9]) == 1.0

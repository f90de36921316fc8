from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.analysis.baseline import judge_baseline
from branchlab.domain import BaselineState, Published

PUBLISHED = Published(metric="test/accuracy", value=0.925, tolerance=0.005, source="a table")


def judged(*values: float, published: Published = PUBLISHED):
    return judge_baseline(dict(enumerate(values)), published)


def test_an_interval_within_the_tolerance_is_reproduced_with_the_figures_worked_out_by_hand() -> (
    None
):
    # Mean 0.9240, deviation 0.0010; t(0.975, 2) = 4.302653; half width 4.302653 * 0.001 / sqrt(3) = 0.0024841.
    found = judged(0.923, 0.924, 0.925)
    assert found.state is BaselineState.REPRODUCED
    assert found.mean == pytest.approx(0.924)
    assert found.interval == pytest.approx((0.924 - 0.0024841, 0.924 + 0.0024841), abs=1e-7)
    assert found.seeds_needed is None
    assert found.sentence == (
        "reproduced: test/accuracy 0.9240, 95% interval [0.9215, 0.9265], 3 seeds; "
        "published 0.925 ± 0.005 (a table)"
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.903, 0.904, 0.905), "not reproduced: test/accuracy 0.9040, 95% interval [0.9015, 0.9065], 3 seeds: below by 0.0210"),
        ((0.943, 0.944, 0.945), "above by 0.0190"),
    ],
)  # fmt: skip
def test_an_interval_outside_the_tolerance_is_not_reproduced_and_says_on_which_side(
    values: tuple[float, ...], said: str
) -> None:
    found = judged(*values)
    assert found.state is BaselineState.NOT_REPRODUCED
    assert said in found.sentence


def test_a_mean_within_the_tolerance_whose_interval_reaches_out_is_not_shown() -> None:
    found = judged(0.920, 0.925, 0.930)
    assert found.state is BaselineState.UNDECIDED
    assert "reproduced on average, which is not shown" in found.sentence
    # Deviation 0.005 and room 0.005: the first n with t(0.975, n - 1) / sqrt(n) <= 1 is 7 (2.4469 / 2.6458).
    assert found.seeds_needed == 7
    assert "about 7 seeds would decide it" in found.sentence


def test_a_mean_outside_whose_interval_reaches_in_is_undecided() -> None:
    found = judged(0.914, 0.919, 0.924)
    assert found.state is BaselineState.UNDECIDED
    assert "below by 0.0060 on average" in found.sentence


@pytest.mark.parametrize("values", [(0.925,), (0.925, 0.925), (0.925,) * 5])
def test_one_seed_or_seeds_of_one_value_show_nothing(values: tuple[float, ...]) -> None:
    found = judged(*values)
    assert found.state is BaselineState.UNDECIDED
    assert found.interval is None
    assert "seed" in found.sentence


def test_without_a_run_there_is_no_mean() -> None:
    found = judged()
    assert (found.state, found.mean, found.seeds) == (BaselineState.NOT_RUN, None, 0)


def test_without_a_tolerance_nothing_is_ever_reproduced() -> None:
    exact = Published(metric="m", value=0.925, tolerance=0.0)
    found = judged(0.924, 0.925, 0.926, published=exact)
    assert found.state is BaselineState.UNDECIDED
    assert "without a tolerance" in found.sentence
    assert judged(0.9, 0.901, published=exact).state is not BaselineState.REPRODUCED


@settings(max_examples=25)
@given(
    st.lists(st.floats(0.9, 0.95), min_size=2, max_size=8, unique=True),
    st.floats(0.0, 0.02),
)
def test_the_states_exclude_each_other_and_a_wider_tolerance_takes_nothing_back(
    values: list[float], more: float
) -> None:
    wider = Published(metric="m", value=0.925, tolerance=0.005 + more)
    narrow, wide = judged(*values), judged(*values, published=wider)
    if narrow.state is BaselineState.REPRODUCED:
        assert wide.state is BaselineState.REPRODUCED
    if wide.state is BaselineState.NOT_REPRODUCED:
        assert narrow.state is BaselineState.NOT_REPRODUCED


@settings(max_examples=25)
@given(st.lists(st.floats(0.9, 0.95), min_size=3, max_size=8, unique=True))
def test_so_many_seeds_of_the_same_scatter_would_decide_it_and_one_fewer_would_not(
    values: list[float],
) -> None:
    found = judged(*values)
    if found.seeds_needed is None or found.interval is None or found.mean is None:
        return
    from scipy import stats

    deviation = math.sqrt(sum((v - found.mean) ** 2 for v in values) / (len(values) - 1))
    room = abs(0.005 - abs(found.mean - 0.925))
    reach = [
        stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n)
        for n in (found.seeds_needed - 1, found.seeds_needed)
    ]
    assert reach[1] <= room * (1 + 1e-9)
    assert reach[0] > room * (1 - 1e-9) or found.seeds_needed - 1 == len(values)

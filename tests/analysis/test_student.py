from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from branchlab.analysis.student import t_cdf, t_quantile

DF = st.integers(1, 2000) | st.floats(1, 500)


@settings(max_examples=300, deadline=None)
@given(t=st.floats(-50, 50), df=DF)
def test_the_distribution_agrees_with_scipy(t: float, df: float) -> None:
    assert t_cdf(t, df) == pytest.approx(float(stats.t.cdf(t, df)), abs=1e-10, rel=1e-8)


@settings(max_examples=100, deadline=None)
@given(p=st.floats(0.0005, 0.9995), df=DF)
def test_quantiles_agree_with_scipy(p: float, df: float) -> None:
    assert t_quantile(p, df) == pytest.approx(float(stats.t.ppf(p, df)), abs=1e-8, rel=1e-8)


@pytest.mark.parametrize("t", [-1e9, -1e4, 0.0, 1e4, 1e9])
def test_far_tails_stay_probabilities(t: float) -> None:
    assert t_cdf(t, 3) == pytest.approx(float(stats.t.cdf(t, 3)), abs=1e-12)
    assert t_cdf(t, 3) + t_cdf(-t, 3) == pytest.approx(1)

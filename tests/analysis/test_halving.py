from __future__ import annotations

import logging
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.analysis.halving import survivors

pytest.importorskip("optuna")


@settings(max_examples=25)
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=10, unique=True),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_the_best_of_every_eta_go_on_in_whatever_order_they_report(
    gains: list[float], eta: int, random
) -> None:
    names = [f"exp/{i}" for i in range(len(gains))]
    by_name = dict(zip(names, gains, strict=True))
    best = sorted(names, key=lambda name: -by_name[name])[: max(1, len(gains) // eta)]
    assert survivors(by_name, eta=eta) == best
    random.shuffle(names)
    assert survivors({name: by_name[name] for name in names}, eta=eta) == best


def test_reporting_first_is_no_merit() -> None:
    # Asked one after the other, the pruner itself lets the first of them go on: it has nobody to be held against.
    gains = {"exp/first": -0.5, **{f"exp/{i}": 0.1 * i for i in range(8)}}
    assert survivors(gains, eta=3) == ["exp/7", "exp/6", "exp/5"]


def test_branches_that_tie_go_on_together() -> None:
    assert survivors({"a": 0.2, "b": 0.2, "c": 0.1}, eta=3) == ["a", "b"]


def test_what_is_no_number_never_goes_on() -> None:
    assert survivors({"a": math.nan, "b": -0.3, "c": math.inf}, eta=3) == ["b"]
    assert survivors({}, eta=3) == []


def test_optuna_says_nothing_and_keeps_its_loudness(caplog: pytest.LogCaptureFixture) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    with caplog.at_level(logging.INFO):
        survivors({"a": 0.1, "b": 0.2}, eta=2)
    assert optuna.logging.get_verbosity() == before
    assert not caplog.records

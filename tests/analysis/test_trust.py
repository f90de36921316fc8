from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from branchlab.analysis.trust import (
    DoublyRun,
    Population,
    exact_interval,
    expected_on_full,
    fitted_slope,
    kendall_tau,
    regret_of_winner,
    tau_ceiling,
    trust_in_sample,
)
from branchlab.domain import Outcome, Trust, TrustState

EVERYTHING = Population(num_better=5, num_others=7)
SEEDS = range(3)


def an_experiment(name: str, sample: float, full: float, *, noise: float = 0.0003) -> DoublyRun:
    """Return an experiment whose effects beyond half a point are decided on either scale."""

    def by_seed(effect: float) -> dict[int, float]:
        return {seed: effect + noise * (seed - 1) for seed in SEEDS}

    def outcome(effect: float) -> Outcome:
        if abs(effect) < 0.005:
            return Outcome.UNDECIDED
        return Outcome.BETTER if effect > 0 else Outcome.WORSE

    return DoublyRun(
        name=name,
        sample=by_seed(sample),
        full=by_seed(full),
        sample_outcome=outcome(sample),
        full_outcome=outcome(full),
    )


def experiments(samples: list[float], fulls: list[float]) -> list[DoublyRun]:
    pairs = zip(samples, fulls, strict=True)
    return [an_experiment(f"exp/{i}", sample, full) for i, (sample, full) in enumerate(pairs)]


def trust(found: list[DoublyRun]) -> Trust:
    return trust_in_sample(found, EVERYTHING, min_effect=0.005)


EFFECTS = [0.04, 0.03, 0.02, 0.012, 0.008, -0.006, -0.01, -0.016, -0.024, -0.03, -0.04]


def test_perfect_agreement_is_trusted_and_the_slope_undoes_the_exaggeration() -> None:
    found = trust(experiments(EFFECTS, [effect / 2 for effect in EFFECTS]))
    assert found.state is TrustState.TRUSTED
    assert found.tau == pytest.approx(1.0)
    assert found.tau_ceiling == pytest.approx(1.0)
    assert found.tau_ratio == pytest.approx(1.0)
    assert found.slope == pytest.approx(0.5)
    assert found.residual == pytest.approx(0.0, abs=1e-12)
    assert found.regret == pytest.approx(0.0)
    assert found.signs is not None
    # Halved, 0.008 and -0.006 are decided no more.
    assert (found.signs.held, found.signs.of) == (9, 9)
    assert "9 of 9 held their sign" in found.sentence


def test_an_inverted_sample_is_broken_and_says_so() -> None:
    found = trust(experiments(EFFECTS, [-effect for effect in EFFECTS]))
    assert found.state is TrustState.BROKEN
    assert found.tau == pytest.approx(-1.0)
    assert found.signs is not None
    assert found.signs.held == 0
    assert "do not believe this sample" in found.sentence


@pytest.mark.parametrize("num", range(6))
def test_below_six_experiments_nothing_is_claimed_but_their_number(num: int) -> None:
    found = trust(experiments(EFFECTS[:num], EFFECTS[:num]))
    assert found.state is TrustState.UNKNOWN
    assert (found.num, found.tau, found.signs, found.slope) == (num, None, None, None)
    assert f"{num} of 6 experiments" in found.sentence


def test_six_that_agree_are_still_too_few_to_be_trusted() -> None:
    found = trust(experiments(EFFECTS[2:8], EFFECTS[2:8]))
    assert found.signs is not None
    assert found.signs.interval == pytest.approx((0.5407, 1.0), abs=1e-4)
    assert found.state is TrustState.WEAK


def test_winners_alone_are_never_trusted() -> None:
    effects = [0.01 + 0.002 * i for i in range(14)]
    found = trust(experiments(effects, effects))
    assert found.signs is not None
    assert found.signs.interval is not None
    assert found.signs.interval[0] > 0.6
    assert (found.num_others, found.state) == (0, TrustState.WEAK)
    assert found.signs.share is None
    assert "only winners" in found.sentence


def test_the_share_counts_each_group_as_often_as_it_is_among_all() -> None:
    # All of four winners held, one of two others: with 5 winners and 7 others in the lab 5/12 + 7/12 / 2.
    found = trust(
        experiments([0.04, 0.03, 0.02, 0.01, -0.01, -0.02], [0.02, 0.02, 0.01, 0.01, 0.01, -0.02])
    )
    assert found.signs is not None
    assert (found.signs.better_held, found.signs.better_of) == (4, 4)
    assert (found.signs.others_held, found.signs.others_of) == (1, 2)
    assert found.signs.share == pytest.approx(5 / 12 + 7 / 24)


def test_a_winner_that_is_worse_than_main_on_the_full_set_breaks_the_trust_by_its_regret() -> None:
    fulls = [-0.03, *EFFECTS[1:]]
    found = trust(experiments(EFFECTS, fulls))
    assert found.regret == pytest.approx(0.03 + 0.03)
    assert found.state is TrustState.BROKEN


def test_the_experiment_that_broke_the_trust_is_named() -> None:
    good = experiments(EFFECTS, EFFECTS)
    assert trust(good).state is TrustState.TRUSTED
    found = trust([*good, an_experiment("exp/fluke", 0.06, -0.02)])
    assert found.state is TrustState.BROKEN
    assert found.fell_with == "exp/fluke"
    assert "since exp/fluke" in found.sentence


def test_effects_that_are_all_equal_have_no_order_and_no_claim() -> None:
    found = trust(experiments([0.0] * 7, [0.0] * 7))
    assert (found.tau, found.slope, found.state) == (None, None, TrustState.WEAK)
    assert "no effect is decided" in found.sentence


def test_ties_are_counted_as_tau_b_counts_them() -> None:
    # Five pairs agree, one is tied on one side: 5 / sqrt(6 * 5).
    assert kendall_tau([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / np.sqrt(6 * 5))


@pytest.mark.parametrize(
    ("held", "of", "interval"),
    [(5, 5, (0.478, 1)), (8, 8, (0.631, 1)), (11, 11, (0.715, 1)), (9, 11, (0.482, 0.977)), (0, 6, (0, 0.459))],
)  # fmt: skip
def test_the_interval_of_signs_is_clopper_and_pearsons(
    held: int, of: int, interval: tuple[float, float]
) -> None:
    assert exact_interval(held, of) == pytest.approx(interval, abs=1e-3)
    low = stats.beta.ppf(0.025, held, of - held + 1) if held else 0.0
    assert exact_interval(held, of)[0] == pytest.approx(low)


def test_the_ceiling_falls_with_the_noise_of_seeds() -> None:
    random = np.random.default_rng(3)
    effects = np.linspace(-0.02, 0.02, 12)

    def ceiling(noise: float) -> float:
        full = [{seed: effect + random.normal(0, noise) for seed in range(4)} for effect in effects]
        found = tau_ceiling(full)
        assert found is not None
        return found

    assert ceiling(1e-6) == pytest.approx(1.0)
    assert ceiling(0.1) < ceiling(0.01) < 1


def test_one_seed_has_no_ceiling() -> None:
    assert tau_ceiling([{0: 0.1}, {0: 0.2}]) is None
    assert tau_ceiling([{0: 0.1, 1: 0.1}, {2: 0.2, 3: 0.2}]) is None


def test_regret_does_not_grow_from_noise_alone() -> None:
    random = np.random.default_rng(5)
    naive, ours = [], []
    for _ in range(200):
        found = [
            DoublyRun(
                name=f"exp/{i}",
                sample={s: random.normal(0, 0.01) for s in SEEDS},
                full={s: random.normal(0, 0.01) for s in SEEDS},
                sample_outcome=Outcome.UNDECIDED,
                full_outcome=Outcome.UNDECIDED,
            )
            for i in range(10)
        ]
        winner = max(found, key=lambda one: one.on_sample)
        naive.append(max(one.on_full for one in found) - winner.on_full)
        ours.append(regret_of_winner(found))
    assert np.median(ours) < np.median(naive) / 2


@settings(max_examples=15)
@given(st.lists(st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)), min_size=6, max_size=12))
def test_no_figures_make_the_score_fail_and_its_order_of_branches_decides_nothing(
    pairs: list[tuple[float, float]],
) -> None:
    found = [an_experiment(f"exp/{i}", s, f) for i, (s, f) in enumerate(pairs)]
    one, other = trust(found), trust(found[::-1])
    assert one.state is not TrustState.UNKNOWN
    assert (one.state, one.signs, one.num) == (other.state, other.signs, other.num)
    assert (
        one.tau == pytest.approx(other.tau, nan_ok=False)
        if one.tau is not None
        else other.tau is None
    )
    assert one.regret is not None
    assert one.regret >= 0


def test_the_expected_full_effect_goes_through_the_slope() -> None:
    found = trust(experiments(EFFECTS, [effect / 2 for effect in EFFECTS]))
    expected = expected_on_full(found, 0.02)
    assert expected is not None
    assert expected[0] == pytest.approx(0.01)
    assert expected_on_full(None, 0.02) is None
    assert expected_on_full(trust([]), 0.02) is None
    assert fitted_slope([0.0, 0.0], [0.1, 0.2]) == (None, None)

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.analysis.verdict import Noise, Question, additive_noise, holm, judge, seeds_needed
from branchlab.domain import Goal, Outcome, Scale

CLAIMS = {Outcome.BETTER, Outcome.WORSE}
Table = dict[str, dict[int, float]]


def question(goal: Goal = Goal.MAX, *, min_effect: float = 0.005) -> Question:
    return Question(goal=goal, min_effect=min_effect, scale=Scale.SAMPLE, against="main")


def a_batch(
    random: np.random.Generator,
    *,
    num_seeds: int = 3,
    effects: tuple[float, ...] = (0.0,) * 4,
    noisy: float = 1.0,
    step: float = 0.0,
) -> tuple[Table, dict[int, float]]:
    """Return branches and main with seed effects and noise of 0.01; the first branch may be noisier than the others."""
    of_seed = random.normal(0, 0.01, num_seeds)

    def values(effect: float, deviation: float) -> dict[int, float]:
        found = 0.8 + effect + of_seed + random.normal(0, deviation, num_seeds)
        found = np.round(found / step) * step if step else found
        return dict(enumerate(found.tolist()))

    branches = {
        f"b{i}": values(effect, 0.01 * (noisy if i == 0 else 1)) for i, effect in enumerate(effects)
    }
    return branches, values(0.0, 0.01)


def error_rate(num: int, **how: object) -> float:
    """Return the share of batches without any difference in which one is claimed."""
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(num):
        branches, main = a_batch(random, **how)  # type: ignore[arg-type]
        verdicts = judge(branches, main, question()).values()
        wrong += any(verdict.outcome in CLAIMS for verdict in verdicts)
    return wrong / num


@pytest.mark.parametrize("num_seeds", [2, 3, 5])
def test_batches_without_a_difference_seldom_claim_one(num_seeds: int) -> None:
    assert error_rate(300, num_seeds=num_seeds) <= 0.08


@pytest.mark.parametrize("noisy", [3.0, 10.0])
def test_a_branch_far_noisier_than_the_others_is_not_called_different_by_their_noise(
    noisy: float,
) -> None:
    assert error_rate(300, noisy=noisy) <= 0.08


@pytest.mark.parametrize("num_seeds", [2, 3])
def test_differences_that_agree_by_the_metrics_coarse_steps_claim_nothing(num_seeds: int) -> None:
    assert error_rate(300, num_seeds=num_seeds, effects=(0.0,), step=0.01) <= 0.08


def test_a_real_difference_is_found_with_three_seeds_and_its_interval_covers_it() -> None:
    random = np.random.default_rng(11)
    effects = (0.05, -0.05, *(0.0,) * 8)
    num_found = num_covered = 0
    for _ in range(40):
        branches, main = a_batch(random, effects=effects)
        verdicts = judge(branches, main, question())
        num_found += verdicts["b0"].outcome is Outcome.BETTER
        num_found += verdicts["b1"].outcome is Outcome.WORSE
        for name, effect in zip(branches, effects, strict=True):
            interval = verdicts[name].interval
            assert interval is not None
            num_covered += interval[0] <= effect <= interval[1]
    assert num_found >= 0.9 * 80
    assert num_covered >= 0.9 * 400


def test_a_smaller_value_is_better_when_the_goal_is_min() -> None:
    branches, main = a_batch(np.random.default_rng(0), effects=(0.2, -0.2, 0.0))
    upwards = judge(branches, main, question(Goal.MAX))
    downwards = judge(branches, main, question(Goal.MIN))
    assert upwards["b0"].outcome is downwards["b1"].outcome is Outcome.BETTER
    assert upwards["b1"].outcome is downwards["b0"].outcome is Outcome.WORSE
    for name in branches:
        assert upwards[name].difference == downwards[name].difference
        chances = upwards[name].p_better, downwards[name].p_better
        assert sum(c for c in chances if c is not None) == pytest.approx(1)


@pytest.mark.parametrize("seeds", [{}, {0: 0.9}, {7: 0.9, 8: 0.9, 9: 0.9}, {2: 0.9, 7: 0.8}])
def test_fewer_than_two_common_seeds_are_never_a_verdict(seeds: dict[int, float]) -> None:
    branches, main = a_batch(np.random.default_rng(0))
    verdict = judge({**branches, "new": seeds}, main, question())["new"]
    assert verdict.outcome is Outcome.UNDECIDED
    assert verdict.interval is None
    assert verdict.p_better is None
    assert verdict.seeds == len(set(seeds) & {0, 1, 2})
    assert verdict.sentence.startswith("undecided")


def test_a_branch_that_has_no_verdict_yet_costs_the_others_nothing() -> None:
    branches, main = a_batch(np.random.default_rng(0), effects=(0.03,) * 3)
    alone = judge(branches, main, question())
    with_empty = judge({**branches, "new": {}}, main, question())
    assert {name: with_empty[name] for name in branches} == alone


def test_the_same_bits_are_no_difference() -> None:
    main = {0: 0.81, 1: 0.83, 2: 0.80}
    verdict = judge({"same": dict(main)}, main, question())["same"]
    assert verdict.outcome in {Outcome.NO_DIFFERENCE, Outcome.UNDECIDED}
    assert verdict.difference == 0
    assert verdict.p_better == pytest.approx(0.5)


def test_a_difference_within_the_margin_is_no_difference() -> None:
    random = np.random.default_rng(3)
    main = {s: 0.8 + float(random.normal(0, 1e-4)) for s in range(5)}
    near = {s: 0.8 + float(random.normal(0, 1e-4)) for s in range(5)}
    verdict = judge({"near": near}, main, question(min_effect=0.005))["near"]
    assert verdict.outcome is Outcome.NO_DIFFERENCE
    assert "within ±0.005" in verdict.sentence


def test_an_undecided_branch_is_told_more_seeds_than_it_has() -> None:
    random = np.random.default_rng(5)
    num_undecided = 0
    for _ in range(60):
        branches, main = a_batch(random, effects=(0.015,) * 4)
        for verdict in judge(branches, main, question()).values():
            if verdict.outcome is Outcome.UNDECIDED:
                num_undecided += 1
                assert verdict.seeds_needed is not None
                assert verdict.seeds_needed > verdict.seeds
                assert f"about {verdict.seeds_needed} seeds would decide it" in verdict.sentence
            else:
                assert verdict.seeds_needed is None
    assert num_undecided > 20


def test_seeds_needed_is_the_smallest_number_that_shows_the_effect() -> None:
    noise = Noise(deviation=0.01, df=18, num_branches=10)
    counts = [seeds_needed(effect, noise) for effect in (0.1, 0.03, 0.02, 0.01, 0.005, 0.002)]
    assert counts == sorted(counts, key=lambda count: count or math.inf)
    assert counts[0] == 2
    # 2 (2.8 noise / effect)^2 with the normal's quantiles, a little more with t's.
    assert counts[3] is not None
    assert 16 <= counts[3] <= 18


@pytest.mark.parametrize("effect", [0.0, -1.0, 1e-9])
def test_an_effect_beyond_a_thousand_seeds_has_no_number(effect: float) -> None:
    assert seeds_needed(effect, Noise(deviation=0.01, df=4, num_branches=3)) is None


TABLES = st.dictionaries(
    st.sampled_from("abcdef"),
    st.dictionaries(st.integers(0, 5), st.floats(-1, 1).map(lambda v: round(v, 6)), max_size=6),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(table=TABLES)
def test_pooled_noise_is_that_of_least_squares_on_any_incomplete_table(table: Table) -> None:
    cells = [(b, s, v) for b, seeds in table.items() for s, v in seeds.items()]
    names = sorted({f"branch {b}" for b, _, _ in cells} | {f"seed {s}" for _, s, _ in cells})
    design = np.zeros((len(cells), len(names)))
    for row, (branch, seed, _) in enumerate(cells):
        design[row, names.index(f"branch {branch}")] = design[row, names.index(f"seed {seed}")] = 1
    df = len(cells) - (int(np.linalg.matrix_rank(design)) if cells else 0)
    noise = additive_noise(table)
    if df < 1:
        assert noise is None
        return
    values = np.array([v for _, _, v in cells])
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    assert noise is not None
    assert noise.df == df
    assert noise.deviation == pytest.approx(math.sqrt(rest @ rest / df), abs=1e-7)


@settings(max_examples=150, deadline=None)
@given(p=st.lists(st.floats(0, 1), max_size=8))
def test_holm_agrees_with_its_definition(p: list[float]) -> None:
    adjusted = holm({str(i): value for i, value in enumerate(p)})
    for i, value in enumerate(p):
        # Of all steps down to this p value, the largest: p times the number of hypotheses not smaller than it.
        expected = max(
            min(1.0, smaller * (len(p) - sum(q < smaller for q in p)))
            for smaller in p
            if smaller <= value
        )
        assert adjusted[str(i)] == pytest.approx(expected)


def test_no_branches_are_no_verdicts() -> None:
    assert judge({}, {0: 0.8}, question()) == {}
    assert holm({}) == {}
    assert additive_noise({}) is None

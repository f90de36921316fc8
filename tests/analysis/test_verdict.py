from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from branchlab.analysis.declared import Declared
from branchlab.analysis.verdict import (
    Noise,
    Question,
    additive_noise,
    holm,
    judge,
    judge_parts,
    judged_by,
    level_of,
    seeds_needed,
)
from branchlab.domain import Goal, Outcome, Scale, Verdict

CLAIMS = {Outcome.BETTER, Outcome.WORSE}
Table = dict[str, dict[int, float]]


def question(goal: Goal = Goal.MAX, *, min_effect: float = 0.005, **more: object) -> Question:
    return Question(
        goal=goal,
        min_effect=min_effect,
        scale=Scale.SAMPLE,
        against="main",
        **more,  # type: ignore[arg-type]
    )


def a_batch(  # noqa: PLR0913  what noise may be like
    random: np.random.Generator,
    *,
    num_seeds: int = 3,
    effects: tuple[float, ...] = (0.0,) * 4,
    noisy: float = 1.0,
    noisy_main: float = 1.0,
    step: float = 0.0,
    is_skewed: bool = False,
) -> tuple[Table, dict[int, float]]:
    """Return branches and main with seed effects and noise of 0.01; the first branch may be noisier than the others."""
    of_seed = random.normal(0, 0.01, num_seeds)

    def values(effect: float, deviation: float) -> dict[int, float]:
        shape = (
            random.exponential(1, num_seeds) - 1 if is_skewed else random.normal(0, 1, num_seeds)
        )
        found = 0.8 + effect + of_seed + deviation * shape
        found = np.round(found / step) * step if step else found
        return dict(enumerate(found.tolist()))

    branches = {
        f"b{i}": values(effect, 0.01 * (noisy if i == 0 else 1)) for i, effect in enumerate(effects)
    }
    return branches, values(0.0, 0.01 * noisy_main)


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


@pytest.mark.parametrize("num_branches", [1, 12])
@pytest.mark.parametrize("how", [{"noisy_main": 2.0}, {"noisy": 2.0}, {"is_skewed": True}])
def test_noise_that_is_not_alike_or_not_normal_claims_no_more(
    num_branches: int, how: dict[str, float]
) -> None:
    # Pooled alone, 16% of such batches with a main twice as noisy claimed a difference.
    assert error_rate(300, effects=(0.0,) * num_branches, **how) <= 0.09


RECORDED = Path(__file__).parents[2] / "benchmarks" / "seed_noise.json"


@pytest.mark.parametrize("metric", ["val/accuracy", "val/loss"])
def test_noise_as_real_runs_showed_it_claims_no_more(metric: str) -> None:
    runs = np.array(list(json.loads(RECORDED.read_text())["metrics"][metric].values()))
    noise = runs - runs.mean(axis=0) - runs.mean(axis=1, keepdims=True) + runs.mean()
    random = np.random.default_rng(13)
    wrong = 0
    for _ in range(300):
        chosen = noise[
            random.integers(0, len(noise), 7)
        ]  # each branch as noisy as one that was recorded
        drawn = np.take_along_axis(chosen, random.integers(0, chosen.shape[1], (7, 3)), axis=1)
        drawn = drawn + 0.6 * chosen.std(axis=1, keepdims=True) * random.normal(0, 1, (7, 3))
        main, *others = (dict(enumerate((0.8 + row).tolist())) for row in drawn)
        branches = {f"b{i}": row for i, row in enumerate(others)}
        wrong += any(v.outcome in CLAIMS for v in judge(branches, main, question()).values())
    assert wrong / 300 <= 0.08


def test_the_seeds_that_are_said_to_be_needed_find_the_effect() -> None:
    random = np.random.default_rng(17)
    noise = Noise(deviation=0.01, df=10, num_branches=5)
    num_seeds = seeds_needed(0.03, noise, num_compared=4)
    assert num_seeds is not None
    found = 0
    for _ in range(300):
        branches, main = a_batch(random, effects=(0.03, 0.0, 0.0, 0.0), num_seeds=num_seeds)
        found += judge(branches, main, question())["b0"].outcome is Outcome.BETTER
    assert found / 300 >= 0.8 - 2 * math.sqrt(0.16 / 300)


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
    assert (verdict.interval is None) == (verdict.seeds == 0)
    assert verdict.p_better is None
    assert verdict.seeds == len(set(seeds) & {0, 1, 2})
    assert verdict.sentence.startswith("undecided")


def test_one_seed_is_provisional_within_the_noise_of_the_others() -> None:
    branches, main = a_batch(np.random.default_rng(0))
    verdict = judge({**branches, "new": {0: main[0] + 1.0}}, main, question())["new"]
    noise = additive_noise({**branches, "main": main, "new": {0: main[0] + 1.0}})
    assert noise is not None
    assert verdict.outcome is Outcome.UNDECIDED  # however large
    assert verdict.interval is not None
    reach = (verdict.interval[1] - verdict.interval[0]) / 2
    assert reach >= float(stats.t.ppf(0.975, noise.df)) * noise.deviation * math.sqrt(2) * 0.999
    assert f"undecided: +1.0000 ± {reach:.4f} if this branch is as noisy" in verdict.sentence
    assert verdict.sentence.endswith("provisional, run at least 2 seeds")
    alone = judge({"new": {0: main[0] + 1.0}}, main, question())["new"]
    assert alone.interval is None
    assert alone.sentence == "undecided: +1.0000 on 1 seed: provisional, run at least 2 seeds"


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
                said = f"about {verdict.seeds_needed} seeds would show your min effect"
                assert verdict.sentence.endswith(said)
            else:
                assert verdict.seeds_needed is None
    assert num_undecided > 20


def test_seeds_needed_is_the_smallest_number_that_shows_the_effect() -> None:
    noise = Noise(deviation=0.01, df=18, num_branches=10)
    counts = [seeds_needed(effect, noise) for effect in (0.1, 0.03, 0.02, 0.01, 0.005, 0.002)]
    assert counts == sorted(counts, key=lambda count: count or math.inf)
    assert counts[0] == 2
    # 2 (2.8 noise / effect)^2 with the normal's quantiles, a little more with t's, and for what raising noise costs.
    assert counts[3] is not None
    assert 17 <= counts[3] <= 20
    alone = seeds_needed(0.01, Noise(deviation=0.01, df=9, num_branches=2))
    among_many = seeds_needed(0.01, noise, num_compared=9)
    assert alone is not None
    assert 17 <= alone <= 18
    assert among_many is not None
    assert among_many > counts[3]


@pytest.mark.parametrize("effect", [0.0, -1.0, 1e-9])
def test_an_effect_beyond_a_thousand_seeds_has_no_number(effect: float) -> None:
    assert seeds_needed(effect, Noise(deviation=0.01, df=4, num_branches=3)) is None


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


@settings(max_examples=8, deadline=None)  # statsmodels takes a tenth of a second for each
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    found = holm({str(i): value for i, value in enumerate(p)})
    expected = multipletests(p, method="holm")[1]
    assert [found[str(i)] for i in range(len(p))] == pytest.approx(list(expected))


def test_every_further_look_is_tested_at_half_the_level_and_the_sentence_says_so() -> None:
    assert [level_of(looks) for looks in (1, 2, 3)] == pytest.approx([0.05, 0.025, 0.0125])
    random = np.random.default_rng(2)
    branches, main = a_batch(random, effects=(0.02, 0.0), num_seeds=6)
    first = judge(branches, main, question())["b0"]
    looked = {"b0": Declared(num_seeds=6, num_looks=2)}
    second = judge(branches, main, question(declared=looked))["b0"]
    assert first.confidence == pytest.approx(0.95)
    assert second.confidence == pytest.approx(0.975)
    assert width(second) > width(first)
    assert "6 seeds in 2 looks (tested at 2.5%" in second.sentence
    assert "claim wrongly in at most 7.5%" in second.sentence
    assert "looks" not in first.sentence


def width(verdict: Verdict) -> float:
    assert verdict.interval is not None
    return verdict.interval[1] - verdict.interval[0]


def test_adding_seeds_until_it_suits_claims_no_more_than_is_said() -> None:
    random = np.random.default_rng(9)
    num, wrong = 300, 0
    for _ in range(num):
        branches, main = a_batch(random, effects=(0.0,), num_seeds=9)
        for looks, seen in ((1, 3), (2, 6), (3, 9)):
            said = {"b0": Declared(num_seeds=seen, num_looks=looks)}
            few = {seed: value for seed, value in branches["b0"].items() if seed < seen}
            if judge({"b0": few}, main, question(declared=said))["b0"].outcome in CLAIMS:
                wrong += 1
                break
    assert wrong / num <= 0.0875 + 3 * math.sqrt(0.0875 * 0.9125 / num)


def test_what_is_interim_says_so_beside_its_interval() -> None:
    branches, main = a_batch(np.random.default_rng(0), effects=(0.2, 0.0))
    declared = {name: Declared(num_seeds=5, num_open=2) for name in branches}
    for verdict in judge(branches, main, question(declared=declared)).values():
        assert verdict.is_interim
        assert verdict.num_declared == 5
        assert "interim" in verdict.sentence
        assert "3 of 5 declared seeds" in verdict.sentence
    assert not any(v.is_interim for v in judge(branches, main, question()).values())


def test_shares_are_said_in_points_and_kept_in_their_own_unit() -> None:
    branches, main = a_batch(np.random.default_rng(0), effects=(0.2, 0.0))
    verdict = judge(branches, main, question(is_share=True))["b0"]
    assert verdict.difference is not None
    assert verdict.difference < 1
    assert (
        f"better than main: {100 * verdict.difference:+.2f} points, 95% interval ["
        in verdict.sentence
    )


def test_parts_are_judged_by_their_own_noise_and_adjusted_for_their_number() -> None:
    random = np.random.default_rng(4)
    parts = {f"p{i}": a_batch(random, num_seeds=5) for i in range(8)}
    parts["real"] = a_batch(random, num_seeds=5, effects=(0.1, 0.0, 0.0, 0.0))
    found = judge_parts("b0", parts, question())
    assert found["real"].outcome is Outcome.BETTER
    alone = judge_parts("b0", {"real": parts["real"]}, question())
    assert float(alone["real"].sentence.rpartition("Holm p ")[2]) < float(
        found["real"].sentence.rpartition("Holm p ")[2]
    )
    wrong = 0
    for _ in range(60):
        equal = {f"p{i}": a_batch(random) for i in range(6)}
        verdicts = judge_parts("b0", equal, question()).values()
        wrong += any(verdict.outcome in CLAIMS for verdict in verdicts)
    assert wrong / 60 <= 0.15


def test_a_part_with_one_common_seed_is_undecided() -> None:
    branches, main = a_batch(np.random.default_rng(4))
    few = {**branches, "b0": {0: 0.9}}
    found = judge_parts("b0", {"few": (few, main), "all": (branches, main)}, question())
    assert found["few"].outcome is Outcome.UNDECIDED
    assert found["few"].seeds == 1
    assert found["all"].seeds == 3


def test_what_a_verdict_rests_on_is_its_differences_and_the_noise_it_says() -> None:
    branches, main = a_batch(np.random.default_rng(1), noisy=30.0, num_seeds=5)
    found = judged_by(branches, main, question())
    differences, noise, _ = found["b0"]
    assert differences == [branches["b0"][seed] - main[seed] for seed in range(5)]
    assert noise is not None
    assert noise.df == 4  # far noisier than the others: alone
    assert "noise of its own seeds" in judge(branches, main, question())["b0"].sentence


def test_no_branches_are_no_verdicts() -> None:
    assert judge({}, {0: 0.8}, question()) == {}
    assert holm({}) == {}
    assert additive_noise({}) is None

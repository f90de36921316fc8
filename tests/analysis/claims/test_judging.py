"""Claims against figures: by hand, and by simulation where an error rate is promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from branchlab.analysis.claims.claim import first_epoch
from branchlab.analysis.claims.grammar import parse_claim
from branchlab.analysis.claims.hypotheses import judge_hypothesis, remark, same_hypothesis
from branchlab.analysis.claims.judging import Measured, read, shifted, slope
from branchlab.analysis.verdict import Question, judged_by
from branchlab.domain import (
    Goal,
    Hypothesis,
    HypothesisState,
    JudgedClaim,
    JudgedHypothesis,
    Outcome,
    Registration,
    Scale,
)

SUPPORTED, REFUTED = HypothesisState.SUPPORTED, HypothesisState.REFUTED
UNDECIDED, DAMAGED = HypothesisState.UNDECIDED, HypothesisState.DAMAGED
NOT_MEASURED = HypothesisState.NOT_MEASURED
QUESTION = Question(goal=Goal.MAX, min_effect=0.0, scale=Scale.SAMPLE, against="main")


def by_seed(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def against(own: dict[int, float], other: dict[int, float], *percents: float) -> Measured:
    """Return two branches alone, held against each other."""
    pairs = {}
    for percent in (0.0, *percents):
        differences, noise, _ = judged_by({"b": own}, shifted(other, percent), QUESTION)["b"]
        pairs[percent] = differences, noise
    return Measured(own=own, other="main", pairs=pairs)


def judged(
    expect: str | dict[str, str],
    *measured: Measured,
    guard: dict[str, str] | None = None,
    min_seeds: int = 3,
) -> JudgedHypothesis:
    claims = {"a": expect} if isinstance(expect, str) else expect
    hypothesis = Hypothesis(
        id="H1", claim="c", min_seeds=min_seeds, expect=claims, guard=guard or {}
    )
    texts = [*claims.values(), *hypothesis.guard.values()]
    found = dict(zip(texts, measured, strict=False))
    return judge_hypothesis(hypothesis, found, registration=Registration.BEFORE_RUNS)


def finding(expect: str, measured: Measured, *, min_seeds: int = 3) -> JudgedClaim:
    return judged(expect, measured, min_seeds=min_seeds).expect[0]


def test_a_comparison_of_two_branches_is_the_paired_t_interval() -> None:
    own, main = by_seed(0.90, 0.93, 0.91), by_seed(0.80, 0.82, 0.83)
    found = finding("val/accuracy > main + 1pt", against(own, main))
    differences = [0.10, 0.11, 0.08]
    low, high = stats.t.interval(0.95, 2, np.mean(differences), stats.sem(differences))
    assert found.estimate == pytest.approx(np.mean(differences))
    assert found.interval == pytest.approx((low, high))
    assert (found.state, found.seeds, found.seeds_needed) == (SUPPORTED, 3, None)
    assert "all of it above +0.0100" in found.sentence


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("a > main", SUPPORTED),
        ("a > main + 5pt", SUPPORTED),
        ("a > main + 8pt", UNDECIDED),
        ("a > main + 20pt", REFUTED),
        ("a >= main - 1pt", SUPPORTED),
        ("a < main", REFUTED),
        ("a < main + 20pt", SUPPORTED),
        ("a within 20pt of main", SUPPORTED),
        ("a within 1pt of main", REFUTED),
        ("a within 10pt of main", UNDECIDED),
        ("a > main + 5%", SUPPORTED),
        ("a > main + 30%", REFUTED),
        ("a within 30% of main", SUPPORTED),
        ("a within 2% of main", REFUTED),
        ("a within 12% of main", UNDECIDED),
    ],
)
def test_a_difference_of_ten_points_says_of_a_claim(text: str, state: HypothesisState) -> None:
    own, main = by_seed(0.90, 0.93, 0.91), by_seed(0.80, 0.82, 0.83)  # +0.097, ±0.038
    percents = [5.0, 30.0, -30.0, 2.0, -2.0, 12.0, -12.0]
    found = finding(text, against(own, main, *percents))
    assert found.state is state, found.sentence


def test_a_constant_is_held_against_the_interval_of_the_mean() -> None:
    values = by_seed(0.31, 0.35, 0.33)
    found = finding("val/loss < 0.5", Measured(own=values))
    low, high = stats.t.interval(0.95, 2, 0.33, stats.sem(list(values.values())))
    assert found.interval == pytest.approx((low, high))
    assert found.state is SUPPORTED
    assert finding("val/loss < 0.3", Measured(own=values)).state is UNDECIDED
    assert finding("val/loss < 0.1", Measured(own=values)).state is REFUTED
    assert finding("val/loss within 0.2 of 0.3", Measured(own=values)).state is SUPPORTED
    assert finding("val/loss within 50% of 0.3", Measured(own=values)).state is SUPPORTED


def test_values_that_agree_by_the_steps_of_their_metric_are_not_certain() -> None:
    values = by_seed(0.84, 0.84, 0.84)
    assert finding("a > 0.835", Measured(own=values)).state is SUPPORTED
    assert finding("a > 0.835", Measured(own=values, step=0.01)).state is UNDECIDED


def test_a_trend_is_a_t_test_over_the_slopes_of_seeds() -> None:
    slopes = by_seed(-0.02, -0.03, -0.025)
    found = finding("attn_entropy decreases", Measured(own=slopes))
    low, high = stats.t.interval(0.95, 2, -0.025, stats.sem(list(slopes.values())))
    assert found.interval == pytest.approx((low, high))
    assert (found.state, "it falls" in found.sentence) == (SUPPORTED, True)
    found = finding("attn_entropy increases", Measured(own=slopes))
    assert (found.state, "it falls" in found.sentence) == (REFUTED, True)
    flat = finding("attn_entropy decreases", Measured(own=by_seed(0.0, 0.0, 0.0)))
    assert (flat.state, "does not move" in flat.sentence) == (REFUTED, True)


def test_a_slope_is_the_least_squares_line_of_one_curve() -> None:
    curve = [(1, 3.0), (2, 2.5), (3, 2.6), (5, 1.0)]
    assert slope(curve) == pytest.approx(np.polyfit(*zip(*curve, strict=True), 1)[0])
    assert slope([(1, 3.0)]) is None
    assert slope([(1, 3.0), (2, math.nan)]) is None


@pytest.mark.parametrize("text", ["a decreases", "a < 1", "a > main"])
def test_one_seed_is_never_enough(text: str) -> None:
    one = Measured(own=by_seed(0.5)) if "main" not in text else against(by_seed(9), by_seed(1))
    found = finding(text, one)
    assert (found.state, found.seeds_needed) == (UNDECIDED, 3)
    assert "1 seed so far, 3 are asked for" in found.sentence


def test_below_min_seeds_a_clear_difference_is_undecided_and_the_rest_is_counted() -> None:
    found = finding("a > main", against(by_seed(9, 9.1), by_seed(1, 1)), min_seeds=5)
    assert (found.state, found.seeds, found.seeds_needed) == (UNDECIDED, 2, 5)
    assert found.estimate == pytest.approx(8.05)
    assert "3 seeds more are asked for" in found.sentence


def test_the_seeds_that_would_decide_grow_as_the_remaining_margin_shrinks() -> None:
    far = finding("a > main - 9pt", against(by_seed(0.90, 0.93, 0.91), by_seed(0.92, 0.89, 0.93)))
    near = finding("a > main - 1pt", against(by_seed(0.90, 0.93, 0.91), by_seed(0.92, 0.89, 0.93)))
    assert near.state is UNDECIDED
    assert near.seeds_needed is not None
    assert near.seeds_needed > 3
    assert far.seeds_needed is None or far.seeds_needed < near.seeds_needed


def test_equal_bits_refute_a_difference_and_support_a_bound() -> None:
    same = against(by_seed(0.5, 0.6, 0.7), by_seed(0.5, 0.6, 0.7))
    exact = Measured(own=same.own, other="main", pairs={0.0: ([0.0] * 3, _noise_of(0.0))})
    assert finding("a > main", exact).state is REFUTED
    assert finding("a >= main", exact).state is SUPPORTED
    assert finding("a within 1pt of main", exact).state is SUPPORTED


def _noise_of(deviation: float):
    from branchlab.analysis.verdict import Noise

    return Noise(deviation=deviation, df=2, num_branches=2)


def test_runs_that_never_reached_a_level_conclude_nothing_in_their_favour() -> None:
    own, main = by_seed(5, 6, 5), by_seed(11, 11, 11)  # main never reached it in ten epochs
    measured = against(own, main)
    sooner = Measured(own=own, other="main", pairs=measured.pairs, open_other=frozenset({0, 1, 2}))
    assert finding("epoch_to(0.8) a < main", sooner).state is SUPPORTED
    unsure = Measured(own=own, other="main", pairs=measured.pairs, open_own=frozenset({1}))
    found = finding("epoch_to(0.8) a < main", unsure)
    assert found.state is UNDECIDED
    assert "never reached it" in found.sentence
    assert finding("epoch_to(0.8) a > main", sooner).state is REFUTED
    late = Measured(own=by_seed(11, 11, 11), open_own=frozenset({0, 1, 2}))
    assert finding("epoch_to(0.8) a < 5", late).state is REFUTED
    assert finding("epoch_to(0.8) a < 20", late).state is UNDECIDED


def test_the_first_epoch_of_a_level_is_on_the_side_that_is_asked_for() -> None:
    curve = [(1, 0.5), (2, 0.8), (3, 0.7)]
    assert first_epoch(curve, 0.8, is_upward=True) == 2
    assert first_epoch(curve, 0.9, is_upward=True) is None
    assert first_epoch(curve, 0.6, is_upward=False) == 1


def test_a_hypothesis_is_refuted_by_one_expectation_and_supported_by_all() -> None:
    good = against(by_seed(0.90, 0.93, 0.91), by_seed(0.80, 0.82, 0.83))
    bad = against(by_seed(0.80, 0.82, 0.83), by_seed(0.90, 0.93, 0.91))
    open_one = against(by_seed(0.90, 0.95, 0.91), by_seed(0.91, 0.92, 0.95))
    none = Measured(missing="no run has recorded it")

    def state(*measured: Measured) -> HypothesisState:
        expect = {key: f"{key} > main" for key, _ in zip("abc", measured, strict=False)}
        return judged(expect, *measured).state

    assert state(good) is SUPPORTED
    assert state(good, good) is SUPPORTED
    assert state(good, bad) is REFUTED
    assert state(bad, open_one, none) is REFUTED
    assert state(good, open_one) is UNDECIDED
    assert state(good, none) is UNDECIDED
    assert state(none, none) is NOT_MEASURED
    assert judged({"a": "a > main", "b": "b >> main"}, good).state is DAMAGED


def test_expectations_share_one_error_rate() -> None:
    # Alone p is 0.03: of three it is 0.09.
    own, main = by_seed(0.90, 0.935, 0.91), by_seed(0.83, 0.83, 0.86)
    middling = against(own, main)
    alone = finding("a > main", middling)
    claim = parse_claim("a > main")
    assert 0.017 < read(claim, middling).p < 0.05
    assert alone.state is SUPPORTED
    three = judged({k: f"{k} > main" for k in "abc"}, middling, middling, middling)
    assert {one.state for one in three.expect} == {UNDECIDED}
    assert "alone it would be supported, not as one of 3" in three.expect[0].sentence


def test_a_broken_guard_is_shown_and_leaves_the_state_as_it_is() -> None:
    good = against(by_seed(0.90, 0.93, 0.91), by_seed(0.80, 0.82, 0.83))
    bad = against(by_seed(0.80, 0.82, 0.83), by_seed(0.90, 0.93, 0.91))
    found = judged("a > main", good, bad, guard={"g": "val/iou >= main"})
    assert (found.state, [one.key for one in found.broken]) == (SUPPORTED, ["g"])
    assert found.words == "supported, but breaks g (val/iou >= main)"
    assert judged("a > main", good, good, guard={"g": "val/iou >= main"}).words == "supported"
    none = Measured(missing="no run has recorded it")
    open_guard = judged("a > main", good, none, guard={"g": "val/iou >= main"})
    assert open_guard.words == "supported; whether g holds is open"


def test_a_damaged_claim_points_at_its_column_and_the_others_are_judged() -> None:
    good = against(by_seed(0.90, 0.93, 0.91), by_seed(0.80, 0.82, 0.83))
    found = judged({"a": "a > main", "b": "b >> main"}, good)
    assert [one.state for one in found.expect] == [SUPPORTED, DAMAGED]
    assert (found.expect[1].column, found.words) == (4, "damaged: b")


@pytest.mark.parametrize(
    ("own", "outcome", "said"),
    [
        ((0.80, 0.82, 0.83), Outcome.BETTER, "for another reason"),
        ((0.80, 0.82, 0.83), Outcome.WORSE, ""),
        ((1.0, 1.02, 1.03), Outcome.BETTER, ""),
        ((1.0, 1.02, 1.03), Outcome.WORSE, "worse than main all the same"),
        ((1.0, 1.02, 1.03), Outcome.NO_DIFFERENCE, "no better than main"),
        ((1.0, 1.02, 1.03), Outcome.UNDECIDED, "not shown to be better than main"),
    ],
)
def test_hypothesis_and_verdict_that_disagree_are_said_in_words(
    own: tuple[float, ...], outcome: Outcome, said: str
) -> None:
    found = judged("val/accuracy[shirt] > main", against(by_seed(*own), by_seed(0.9, 0.93, 0.91)))
    words = remark([found], outcome, metric="val/accuracy", main="main")
    assert (said in words, bool(said)) == (True, bool(words))


def test_a_refuted_amount_of_the_metric_itself_is_no_other_reason() -> None:
    found = judged("a > main + 20pt", against(by_seed(0.90, 0.93, 0.91), by_seed(0.8, 0.82, 0.83)))
    words = remark([found], Outcome.BETTER, metric="a", main="main")
    assert "by another amount than expected" in words


def test_writing_a_hypothesis_otherwise_leaves_it_the_same() -> None:
    one = Hypothesis(id="H1", claim="It sees  more.", expect={"a": "val/iou>main+1pt"})
    other = Hypothesis(id="H1", claim="It sees more.", expect={"a": "val/iou > main + 1 pt"})
    assert same_hypothesis(one, other)
    for changed in (
        Hypothesis(id="H1", claim="It sees more.", expect={"a": "val/iou > main + 2pt"}),
        Hypothesis(id="H1", claim="It sees less.", expect={"a": "val/iou > main + 1pt"}),
        Hypothesis(id="H1", claim="It sees more.", expect={"b": "val/iou > main + 1pt"}),
        Hypothesis(
            id="H1", claim="It sees more.", min_seeds=5, expect={"a": "val/iou > main + 1pt"}
        ),
        Hypothesis(
            id="H1",
            claim="It sees more.",
            expect={"a": "val/iou > main + 1pt"},
            guard={"g": "val/loss < 1"},
        ),
    ):
        assert not same_hypothesis(one, changed)


def test_a_difference_at_the_margin_is_seldom_called_either_way() -> None:
    random = np.random.default_rng(5)
    claim, num_wrong, num = parse_claim("a > main + 1pt"), 0, 400
    for _ in range(num):
        of_seed = random.normal(0, 0.02, 3)
        table = {f"b{i}": by_seed(*(0.8 + of_seed + random.normal(0, 0.01, 3))) for i in range(4)}
        main = by_seed(*(0.8 + of_seed + random.normal(0, 0.01, 3)))
        table["b0"] = {seed: value + 0.01 for seed, value in table["b0"].items()}
        differences, noise, _ = judged_by(table, main, QUESTION)["b0"]
        reading = read(claim, Measured(other="main", pairs={0.0: (differences, noise)}))
        num_wrong += reading.p < 0.05
    assert num_wrong / num <= 0.08


@pytest.mark.parametrize("memory", [0.0, 0.9, 1.0])
def test_curves_without_a_trend_are_seldom_given_one_however_they_remember(memory: float) -> None:
    random = np.random.default_rng(6)
    claim, num_wrong, num = parse_claim("a decreases"), 0, 400
    for _ in range(num):
        slopes = {}
        for seed in range(3):
            value, curve = 0.0, []
            for epoch in range(20):
                value = memory * value + random.normal()
                curve.append((epoch, value))
            slopes[seed] = slope(curve)
        num_wrong += read(claim, Measured(own=slopes)).p < 0.05
    assert num_wrong / num <= 0.08


def test_equivalence_at_its_edge_is_seldom_claimed() -> None:
    random = np.random.default_rng(8)
    claim, num_wrong, num = parse_claim("a within 1 of 0"), 0, 400
    for _ in range(num):
        reading = read(claim, Measured(own=by_seed(*random.normal(1.0, 0.3, 4))))
        num_wrong += reading.p < 0.05 and reading.is_inside
    assert num_wrong / num <= 0.05

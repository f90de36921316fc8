from __future__ import annotations

import random

import pytest

from branchlab.analysis.curtail import settled
from branchlab.analysis.verdict import Question, judge
from branchlab.domain import Goal, Outcome, Scale

QUESTION = Question(goal=Goal.MAX, min_effect=0.005, scale=Scale.SAMPLE, against="main")
NOISE = 0.004


def batch(source: random.Random, effects: list[float], seeds: int) -> tuple[dict, dict]:
    """Return values of branches and of main: a level a seed, and noise of their own."""
    levels = [source.gauss(0.9, 0.01) for _ in range(seeds)]
    values = {
        f"b{number}": {
            seed: level + effect + source.gauss(0, NOISE) for seed, level in enumerate(levels)
        }
        for number, effect in enumerate(effects)
    }
    return values, {seed: level + source.gauss(0, NOISE) for seed, level in enumerate(levels)}


def until_settled(values: dict, main: dict, planned: int) -> dict[str, tuple[Outcome, int]]:
    """Run a plan seed by seed as the pool does, and return each branch's verdict and the seeds that it took."""
    taken: dict[str, dict[int, float]] = {name: {} for name in values}
    over: dict[str, tuple[Outcome, int]] = {}
    for seed in range(planned):
        for name in values:
            if name not in over:
                taken[name][seed] = values[name][seed]
        so_far = {s: v for s, v in main.items() if s <= seed}
        found = settled(taken, so_far, QUESTION, num_planned=planned)
        over |= {name: (outcome, seed + 1) for name, outcome in found.items() if name not in over}
    last = judge(taken, main, QUESTION)
    return {name: over.get(name, (last[name].outcome, planned)) for name in values}


def test_a_large_effect_is_settled_early_and_a_small_one_is_not() -> None:
    values, main = batch(random.Random(1), [0.08, 0.004, 0.0, -0.08], 12)
    found = until_settled(values, main, 12)
    assert found["b0"][0] is Outcome.BETTER
    assert found["b3"][0] is Outcome.WORSE
    assert found["b0"][1] <= 4
    assert found["b3"][1] <= 4
    assert found["b1"][1] > 6


def test_nothing_is_settled_before_three_seeds_or_after_the_plan() -> None:
    values, main = batch(random.Random(2), [0.5, 0.5], 6)
    for number in (1, 2, 6):
        some = {
            name: {s: v for s, v in seeds.items() if s < number} for name, seeds in values.items()
        }
        assert settled(some, main, QUESTION, num_planned=6) == {}


def test_branches_without_noise_are_left_to_their_seeds() -> None:
    same = dict.fromkeys(range(4), 0.9)
    assert settled({"b": same}, same, QUESTION, num_planned=9) == {}


@pytest.mark.parametrize("num_branches", [1, 6])
def test_branches_without_an_effect_are_hardly_more_often_called_different(
    num_branches: int,
) -> None:
    source = random.Random(3)
    planned, rounds, wrong, wrong_in_full = 8, 300, 0, 0
    for _ in range(rounds):
        values, main = batch(source, [0.0] * num_branches, planned)
        early = until_settled(values, main, planned)
        full = judge(values, main, QUESTION)
        wrong += any(outcome in {Outcome.BETTER, Outcome.WORSE} for outcome, _ in early.values())
        wrong_in_full += any(v.outcome in {Outcome.BETTER, Outcome.WORSE} for v in full.values())
    assert wrong - wrong_in_full <= 0.01 * rounds


def test_what_is_settled_is_what_the_whole_plan_would_say() -> None:
    source = random.Random(4)
    planned, changed, num_settled = 8, 0, 0
    for _ in range(150):
        effects = [source.choice([0.0, 0.002, 0.01, 0.03]) for _ in range(5)]
        values, main = batch(source, effects, planned)
        full = judge(values, main, QUESTION)
        for name, (outcome, seeds) in until_settled(values, main, planned).items():
            if seeds < planned:
                num_settled += 1
                changed += full[name].outcome is not outcome
    assert num_settled > 100
    assert changed <= 0.01 * num_settled

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlab.analysis.calibration import (
    STEPS_SHARE_MIN,
    Known,
    Rung,
    epochs_for,
    judge_rungs,
    known_signs,
    recommended,
)
from branchlab.analysis.verdict import Question
from branchlab.domain import Goal, Scale


def rung(fraction: float, *, noise: float, values: dict[str, float] | None = None, **more) -> Rung:
    means = values or {"main": 0.80, "exp/a": 0.83, "exp/b": 0.74}
    made = Rung(
        fraction=fraction,
        num=round(1000 * fraction),
        epochs=10,
        is_recipes=True,
        steps=50,
        full_steps=100,
        values={n: {0: mean - noise, 1: mean + noise} for n, mean in means.items()},
    )
    return replace(made, **more)


KNOWN = Known(signs={"exp/a": 1, "exp/b": -1}, source="the full set")


def judged(*rungs: Rung, known: Known = KNOWN, **more):
    return judge_rungs(rungs, known, main="main", goal=Goal.MAX, **more)


def test_the_smallest_fraction_whose_signal_stands_out_is_recommended() -> None:
    found = judged(rung(0.05, noise=0.02), rung(0.1, noise=0.004), rung(0.2, noise=0.003))
    assert [one.short == () for one in found] == [False, True, True]
    assert "branches differ by 1.6 times what seeds do, needs 4" in found[0].short
    best = recommended(found)
    assert best is not None
    assert (best.rung.fraction, best.signs_kept, best.signs_known) == (0.1, 2, 2)


def test_a_fraction_that_turns_a_known_sign_does_not_serve() -> None:
    turned = rung(0.1, noise=0.003, values={"main": 0.80, "exp/a": 0.78, "exp/b": 0.70})
    (found,) = judged(turned)
    assert found.short == ("turns the sign of exp/a",)
    assert recommended([found]) is None


def test_a_sample_learned_by_heart_while_more_data_helps_is_too_small() -> None:
    small = rung(0.05, noise=0.002, train_loss=0.01, val_loss=0.9)
    large = rung(0.1, noise=0.002, values={"main": 0.85, "exp/a": 0.88, "exp/b": 0.79})
    by_heart, fine = judged(small, large)
    assert by_heart.is_by_heart
    assert not fine.is_by_heart
    # Where more data does not help, a training loss of nothing is no reproach.
    assert not judged(small, rung(0.1, noise=0.002))[0].is_by_heart
    (last,) = judged(small, full={0: 0.86, 1: 0.86})
    assert last.is_by_heart


def test_a_run_that_takes_too_long_does_not_serve() -> None:
    (found,) = judged(rung(0.1, noise=0.002, run_s=300.0), minutes=4.0)
    assert found.short == ("a run takes 5.0 minutes, may take 4",)
    (fine,) = judged(rung(0.1, noise=0.002, run_s=200.0), minutes=4.0)
    assert not fine.short


def test_branches_that_compute_what_main_does_are_no_signal() -> None:
    values = {"main": 0.8, "original": 0.8, "exp/a": 0.9}
    (found,) = judged(rung(0.1, noise=0.001, values=values), known=Known())
    assert found.signal is None
    assert "no signal can be told from noise" in found.short[0]


def test_without_any_noise_the_signal_is_not_a_division_by_zero() -> None:
    (found,) = judged(rung(0.1, noise=0.0), known=Known())
    assert not found.short
    (same,) = judged(
        rung(0.1, noise=0.0, values={"main": 0.8, "exp/a": 0.8, "exp/b": 0.8}), known=Known()
    )
    assert same.short


def test_only_differences_that_are_decided_are_known() -> None:
    question = Question(goal=Goal.MAX, min_effect=0.001, scale=Scale.FULL, against="main")
    values = rung(1.0, noise=0.002, values={"main": 0.8, "exp/a": 0.9, "exp/b": 0.8005}).values
    found = known_signs(values, "main", question, source="the full set")
    assert found.signs == {"exp/a": 1}
    assert known_signs({"exp/a": {0: 1.0}}, "main", question, source="").signs == {}


@given(
    of=st.integers(1, 5000),
    share=st.floats(0.001, 1),
    epochs=st.integers(1, 40),
    batch_size=st.integers(1, 600),
)
def test_epochs_are_enough_for_half_the_steps_and_never_fewer_than_the_recipes(
    of: int, share: float, epochs: int, batch_size: int
) -> None:
    num = max(1, round(share * of))
    wanted, steps, full_steps = epochs_for(num, of, epochs=epochs, batch_size=batch_size)
    assert wanted >= epochs
    assert steps >= STEPS_SHARE_MIN * full_steps
    per_epoch = steps // wanted
    assert wanted == epochs or (wanted - 1) * per_epoch < STEPS_SHARE_MIN * full_steps


def test_the_epochs_of_a_tenth_keep_half_the_steps() -> None:
    assert epochs_for(5000, 50_000, epochs=10, batch_size=64) == (51, 51 * 78, 10 * 781)


@pytest.mark.parametrize("goal", [Goal.MIN])
def test_a_metric_that_shall_be_small_gains_by_falling(goal: Goal) -> None:
    small = rung(0.05, noise=0.002, train_loss=0.01, val_loss=0.9)
    large = rung(0.1, noise=0.002, values={"main": 0.7, "exp/a": 0.72, "exp/b": 0.6})
    assert judge_rungs([small, large], Known(), main="main", goal=goal)[0].is_by_heart

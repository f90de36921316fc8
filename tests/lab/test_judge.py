"""Verdicts on recorded runs: real branches, run folders written by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from branchlab.domain import Action, Outcome, RunState, Scale
from branchlab.errors import ConfigError
from branchlab.lab.judge import compare
from branchlab.lab.judge_examples import judge_examples
from branchlab.lab.judge_slices import judge_slices
from branchlab.lab.promote import promotion
from branchlab.lab.status import status
from branchlab.run_folder import write_examples

START = datetime(2026, 11, 23, tzinfo=UTC)
MAIN = (0.80, 0.81, 0.79, 0.80, 0.81, 0.79)
BETTER = (0.902, 0.911, 0.893, 0.899, 0.912, 0.890)
CALM = (0.801, 0.809, 0.792, 0.802, 0.811, 0.788)


def judged(repo, name: str = "exp/a", **more: object):
    found = compare(repo.open(), [name], **more)  # type: ignore[arg-type]
    return found.judged[0].verdict, found


def test_runs_of_the_sample_and_of_the_full_set_are_never_compared(repo, record) -> None:
    record("main", MAIN)
    record("exp/a", BETTER, scale=Scale.FULL)
    verdict, found = judged(repo)
    assert verdict is not None
    assert (verdict.difference, verdict.outcome, verdict.seeds) == (None, Outcome.UNDECIDED, 0)
    assert verdict.scale is Scale.FULL
    assert found.other_scales == {}


def test_both_scales_are_judged_apart_and_each_says_that_there_is_the_other(repo, record) -> None:
    record("main", MAIN)
    record("main", tuple(v + 0.1 for v in MAIN), scale=Scale.FULL)
    record("exp/a", BETTER)
    record("exp/a", tuple(v + 0.1 for v in CALM[:3]), scale=Scale.FULL)
    for scale, outcome, seeds in ((Scale.SAMPLE, "better", 6), (Scale.FULL, "no-difference", 3)):
        verdict, found = judged(repo, scale=scale)
        assert verdict is not None
        assert (verdict.scale, str(verdict.outcome), verdict.seeds) == (scale, outcome, seeds)
        other = Scale.FULL if scale is Scale.SAMPLE else Scale.SAMPLE
        assert found.other_scales == {"exp/a": other}
    of_most_seeds, _ = judged(repo)
    assert of_most_seeds is not None
    assert of_most_seeds.scale is Scale.SAMPLE


def test_a_scale_that_nothing_ran_at_has_no_verdict(repo, record) -> None:
    record("main", MAIN)
    record("exp/a", BETTER)
    verdict, found = judged(repo, scale=Scale.FULL)
    assert verdict is None
    assert found.other_scales == {"exp/a": Scale.SAMPLE}


def test_any_two_branches_can_be_held_against_each_other(repo, record) -> None:
    record("exp/a", BETTER)
    record("exp/b", CALM)
    record("original", MAIN)
    one, _ = judged(repo, "exp/a", against="exp/b")
    other, _ = judged(repo, "exp/b", against="exp/a")
    frozen, _ = judged(repo, "exp/a", against="original")
    assert one is not None
    assert other is not None
    assert frozen is not None
    assert (one.outcome, other.outcome) == (Outcome.BETTER, Outcome.WORSE)
    assert one.difference == pytest.approx(-other.difference)
    assert one.sentence.startswith("better than exp/b: +")
    assert frozen.sentence.startswith("better than original: +")


def test_a_batch_of_which_a_run_failed_is_interim_and_leads_to_no_merge(repo, record) -> None:
    record("main", MAIN[:4])
    record("exp/a", BETTER[:4], s3=RunState.FAILED)
    verdict, _ = judged(repo)
    assert verdict is not None
    assert (verdict.outcome, verdict.is_interim) == (Outcome.BETTER, True)
    assert "interim 95% interval" in verdict.sentence
    assert "3 of 4 declared seeds" in verdict.sentence
    (row,) = status(repo.open(), ["exp/a"]).branches
    assert row.verdict == verdict
    assert row.recommendation.action is Action.KEEP
    assert "better than main so far" in row.recommendation.reason


def test_once_all_that_was_declared_is_done_it_is_interim_no_more(repo, record) -> None:
    record("main", MAIN[:4])
    record("exp/a", BETTER[:4])
    verdict, _ = judged(repo)
    assert verdict is not None
    assert not verdict.is_interim
    assert verdict.looks == 1


def test_seeds_that_are_added_later_are_a_second_look_at_half_the_level(repo, record) -> None:
    for branch, values in (("main", MAIN), ("exp/a", BETTER)):
        record(branch, values[:3], batch="20261123-100000")
        record(branch, values[3:], first=3, batch="20261123-110000")
    verdict, _ = judged(repo)
    assert verdict is not None
    assert (verdict.looks, verdict.confidence, verdict.seeds) == (2, pytest.approx(0.975), 6)
    assert "in 2 looks" in verdict.sentence


def test_a_slice_is_judged_like_any_metric(repo, record) -> None:
    record("main", MAIN, slices={"val/accuracy[shirt]": -0.3, "val/accuracy[bag]": 0.1})
    record("exp/a", CALM, slices={"val/accuracy[shirt]": -0.1, "val/accuracy[bag]": 0.1})
    verdict, _ = judged(repo, metric="val/accuracy[shirt]")
    assert verdict is not None
    assert verdict.outcome is Outcome.BETTER
    assert " points" in verdict.sentence
    with pytest.raises(ConfigError) as refused:
        judged(repo, metric="val/accuracy[shrt]")
    assert "did you mean 'val/accuracy[shirt]'" in refused.value.hint


def test_slices_say_where_a_branch_differs(repo, record) -> None:
    parts = {"val/accuracy[shirt]": 0.0, "val/accuracy[bag]": 0.05, "val/loss[bag]": 1.0}
    record("main", MAIN, slices=parts)
    record("exp/a", CALM, slices={**parts, "val/accuracy[shirt]": 0.08})
    record("exp/b", CALM[:2])
    project = repo.open()
    a, b = judge_slices(project, compare(project, ["exp/a", "exp/b"]))
    assert list(a.verdicts) == ["val/accuracy[shirt]", "val/accuracy[bag]"]
    assert a.verdicts["val/accuracy[shirt]"].outcome is Outcome.BETTER
    assert a.verdicts["val/accuracy[bag]"].outcome is not Outcome.BETTER
    assert a.means["val/accuracy[shirt]"] == pytest.approx(sum(CALM) / 6 + 0.08)
    assert b.verdicts == {}


def test_examples_say_something_else_than_seeds_and_decide_nothing(repo, record) -> None:
    random = np.random.default_rng(0)
    right = random.random((6, 2, 400)) < [[[0.8]], [[0.8]], [[0.8]], [[0.8]], [[0.8]], [[0.8]]]
    right[:, 1, :40] = True
    record("main", MAIN, is_right=tuple(right[:, 0]))
    record("exp/a", CALM, is_right=tuple(right[:, 1]))
    record("exp/b", CALM)
    project = repo.open()
    found = compare(project, ["exp/a", "exp/b"])
    tests = judge_examples(project, found)
    assert set(tests) == {"exp/a"}
    assert (tests["exp/a"].num_seeds, tests["exp/a"].num_examples) == (6, 400)
    before = found.judged[0].verdict
    assert before is not None
    assert before.outcome is not Outcome.BETTER


def test_damaged_results_by_example_are_left_out_and_nothing_else_is(repo, record) -> None:
    right = tuple(np.ones(50, bool) for _ in range(3))
    record("main", MAIN[:3], is_right=right)
    record("exp/a", CALM[:3], is_right=right)
    damaged = record.state.run("exp-a-sample-s1").attempt(1).val_examples
    damaged.write_bytes(damaged.read_bytes()[:100])
    other = record.state.run("main-sample-s2").attempt(1).val_examples
    write_examples(other, {"ids": np.arange(1, 51), "accuracy": right[0]})  # other examples
    project = repo.open()
    found = compare(project, ["exp/a"])
    assert judge_examples(project, found)["exp/a"].num_seeds == 1
    assert found.judged[0].verdict is not None
    assert found.judged[0].verdict.seeds == 3


def test_branches_without_runs_are_said_to_have_none(repo, record) -> None:
    project = repo.open()
    found = compare(project)
    assert [one.verdict for one in found.judged] == [None, None]
    assert all(not one.verdicts for one in judge_slices(project, found))
    assert judge_examples(project, found) == {}


def test_runs_with_other_flags_are_not_named_as_another_scale(repo, record) -> None:
    record("main", MAIN)
    record("exp/a", BETTER)
    repo.git("switch", "--quiet", "exp/a")
    repo.commit({"experiments/a.toml": 'title = "a"\nbase = "main"\nflags = { squeeze = true }\n'})
    repo.git("switch", "--quiet", "main")
    verdict, found = judged(repo)
    assert verdict is None
    assert found.other_scales == {}


def test_promotion_says_that_a_verdict_is_interim(repo, record) -> None:
    record("main", MAIN[:4])
    record("exp/a", BETTER[:4], s3=RunState.FAILED)
    found = promotion(repo.open())
    assert [one.branch for one in found.chosen] == ["exp/a"]
    assert any("exp/a: judged before all declared seeds are done" in note for note in found.notes)

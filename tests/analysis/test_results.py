from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from branchlab.analysis.results import (
    BranchResults,
    Recorded,
    Subject,
    freshness,
    is_identical,
    protocol_of,
    results_of,
)
from branchlab.domain import Freshness, Run, RunRecord, RunState, Sample, Scale, Script

START = datetime(2026, 11, 23, tzinfo=UTC)
SE = Subject(branch="exp/se", tree="tree-2", flags={"se": True})


def a_record(
    *,
    branch: str = "exp/se",
    tree: str = "tree-2",
    seed: int = 0,
    value: float | None = 0.8,
    state: RunState = RunState.DONE,
    minute: int = 0,
    **more: object,
) -> RunRecord:
    values: dict[str, object] = {
        "flags": {"se": True},
        "scale": Scale.SAMPLE,
        "sample": Sample(fraction=0.1),
        **more,
    }
    run = Run(
        id=f"{branch}-{tree}-{seed}-{minute}",
        key="",
        branch=branch,
        commit="c",
        tree=tree,
        task="t:T",
        seed=seed,
        planned_at=START + timedelta(minutes=minute),
        **values,  # type: ignore[arg-type]
    )
    metrics = {} if value is None else {"val/accuracy": value}
    return RunRecord(run=run, state=state, metrics=metrics)


def test_runs_of_the_tips_content_come_before_later_ones_of_older_content() -> None:
    records = [a_record(value=0.7), a_record(tree="tree-1", value=0.9, minute=5)]
    results = results_of(SE, records)
    assert results.is_of_tip
    assert results.seeds("val/accuracy") == {0: 0.7}


def test_an_amended_or_rebased_branch_without_a_changed_file_keeps_its_results() -> None:
    records = [a_record(branch="exp/old-name", seed=s, value=0.7 + s) for s in range(2)]
    results = results_of(SE, records)
    assert results.is_of_tip
    assert results.seeds("val/accuracy") == {0: 0.7, 1: 1.7}


def test_a_note_on_the_branch_leaves_its_results_current() -> None:
    records = [
        a_record(value=0.7, content="same"),
        a_record(tree="tree-3", seed=1, value=0.8, content="same", minute=5),
    ]
    noted = replace(SE, tree="tree-9", content="same")
    for found in (records, Recorded(records).about(noted)):
        results = results_of(noted, found)
        assert results.is_of_tip
        assert results.seeds("val/accuracy") == {0: 0.7, 1: 0.8}
    assert not results_of(replace(noted, content="other"), records).is_of_tip


def test_without_runs_of_the_tip_the_latest_content_of_the_branch_is_shown_as_old() -> None:
    records = [
        a_record(tree="tree-0", minute=1, value=0.1),
        a_record(tree="tree-1", minute=2, value=0.2),
        a_record(tree="tree-0", minute=0, seed=1, value=0.3),
    ]
    results = results_of(SE, records)
    assert not results.is_of_tip
    assert results.seeds("val/accuracy") == {0: 0.2}


def test_runs_with_other_flags_speak_for_another_experiment() -> None:
    records = [a_record(flags={}), a_record(flags={"se": False}, seed=1)]
    assert results_of(SE, records).records == ()


@pytest.mark.parametrize(
    "other",
    [
        {"scale": Scale.FULL},
        {"sample": Sample(fraction=0.2)},
        {"sample": Sample(fraction=0.1, seed=1)},
        {"epochs": 3},
        {"arguments": {"width": 8}},
        {"environment": {"torch": "3"}},
        {"deterministic": False},
    ],
)
def test_protocols_are_never_mixed(other: dict[str, object]) -> None:
    old = [a_record(seed=s, value=0.5) for s in range(3)]
    new = [a_record(seed=s, value=0.9, minute=9, **other) for s in range(3)]
    latest = results_of(SE, [*old, *new])
    assert latest.seeds("val/accuracy") == {0: 0.9, 1: 0.9, 2: 0.9}
    named = results_of(SE, [*old, *new], protocol=protocol_of(old[0].run))
    assert named.seeds("val/accuracy") == {0: 0.5, 1: 0.5, 2: 0.5}


def test_a_quick_try_does_not_hide_what_more_seeds_have_shown() -> None:
    old = [a_record(seed=s, value=0.5) for s in range(3)]
    quick = [a_record(seed=s, value=0.9, minute=9, epochs=1) for s in range(2)]
    assert results_of(SE, [*old, *quick]).seeds("val/accuracy") == {0: 0.5, 1: 0.5, 2: 0.5}


def test_one_seed_under_mains_script_of_today_goes_before_more_under_an_older_one() -> None:
    older, todays = (
        Script(command=("python", "train.py"), taken={"train.py": blob}) for blob in "ab"
    )
    old = [a_record(seed=s, value=0.5, script=older) for s in range(3)]
    new = [a_record(value=0.9, minute=9, script=todays)]
    found = results_of(SE, [*old, *new], taken={"train.py": "b"})
    assert found.seeds("val/accuracy") == {0: 0.9}
    failed = replace(new[0], state=RunState.FAILED)
    found = results_of(SE, [*old, failed], taken={"train.py": "b"})
    assert found.seeds("val/accuracy") == {0: 0.5, 1: 0.5, 2: 0.5}


def test_the_sample_does_not_matter_at_full_scale() -> None:
    records = [
        a_record(seed=s, scale=Scale.FULL, sample=Sample(fraction=1.0, seed=s)) for s in range(2)
    ]
    assert len(results_of(SE, records).records) == 2


def test_a_failed_repeat_does_not_hide_a_result_and_a_later_result_replaces_it() -> None:
    done = a_record(value=0.5)
    failed = a_record(value=None, state=RunState.FAILED, minute=1)
    again = a_record(value=0.6, minute=2)
    assert results_of(SE, [failed, done]).seeds("val/accuracy") == {0: 0.5}
    assert results_of(SE, [again, done, failed]).seeds("val/accuracy") == {0: 0.6}


def test_of_runs_that_gave_nothing_the_latest_is_counted() -> None:
    records = [
        a_record(state=RunState.FAILED, value=None),
        a_record(state=RunState.RUNNING, value=None, minute=1),
    ]
    results = results_of(SE, records)
    assert results.count(RunState.RUNNING) == 1
    assert results.count(RunState.FAILED) == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_no_measurement(value: float) -> None:
    records = [a_record(value=value), a_record(seed=1, value=0.5)]
    assert results_of(SE, records).seeds("val/accuracy") == {1: 0.5}


def test_runs_without_the_metric_or_not_done_are_no_measurement() -> None:
    records = [
        a_record(value=None),
        a_record(seed=1, state=RunState.RUNNING),
        a_record(seed=2, state=RunState.LOST),
    ]
    assert results_of(SE, records).seeds("val/accuracy") == {}


def test_freshness_says_who_moved() -> None:
    main = Subject(branch="main", tree="main-2")
    main_now = results_of(main, [a_record(branch="main", tree="main-2", flags={})])
    main_old = results_of(main, [a_record(branch="main", tree="main-1", flags={})])
    now = results_of(SE, [a_record()])
    old = results_of(SE, [a_record(tree="tree-1")])
    assert freshness(now, main_now) is Freshness.CURRENT
    assert freshness(now, main_old) is Freshness.MAIN_MOVED
    assert freshness(now, results_of(main, [])) is Freshness.MAIN_MOVED
    assert freshness(old, main_now) is Freshness.BRANCH_MOVED
    running = replace(a_record(), state=RunState.RUNNING)
    assert freshness(results_of(SE, [running]), main_now) is Freshness.NONE


def computed(losses: list[float], **more: float) -> BranchResults:
    metrics = [{"train/loss": loss, "val/accuracy": 0.8, **more} for loss in losses]
    records = [replace(a_record(seed=s), metrics=m) for s, m in enumerate(metrics)]
    return BranchResults(records=tuple(records), is_of_tip=True)


def test_equal_losses_on_two_seeds_are_the_same_computation() -> None:
    assert is_identical(computed([0.5, 0.25], top2=0.9), computed([0.5, 0.25]))


@pytest.mark.parametrize("losses", [[0.5, 0.2500001], [0.5]])
def test_one_other_bit_or_one_seed_is_not_the_same_computation(losses: list[float]) -> None:
    assert not is_identical(computed(losses), computed([0.5, 0.25]))


def test_equal_accuracies_without_the_losses_prove_nothing() -> None:
    one = BranchResults(records=tuple(a_record(seed=s) for s in range(3)))
    assert not is_identical(one, one)


def test_recorded_runs_are_found_by_content_and_by_name_once() -> None:
    mine, others, old = a_record(), a_record(branch="exp/copy", seed=1), a_record(tree="tree-1")
    recorded = Recorded([mine, others, old, a_record(branch="exp/x", tree="tree-9")])
    assert recorded.about(SE) == [mine, others, old]


def test_runs_that_differ_in_packages_alone_are_compared_where_branches_have_their_own() -> None:
    ours = {"device": "cpu", "torch": "2.15", "python": "3.11.7", "packages": "ab12"}
    theirs = {**ours, "torch": "2.14", "packages": "cd34"}
    one, two = (protocol_of(a_record(environment=env).run) for env in (ours, theirs))
    assert one == two
    assert protocol_of(a_record(environment={**theirs, "device": "cuda"}).run) != two
    shared = {name: value for name, value in ours.items() if name != "packages"}
    assert protocol_of(a_record(environment=shared).run) != one
    assert protocol_of(a_record(environment={**shared, "torch": "2.14"}).run) != protocol_of(
        a_record(environment=shared).run
    )

import pytest

from branchlab.analysis.station import station_of
from branchlab.domain import (
    Action,
    Freshness,
    Outcome,
    Recommendation,
    RunState,
    Scale,
    Station,
    Verdict,
)

DONE, RUNNING, PLANNED = RunState.DONE, RunState.RUNNING, RunState.PLANNED
FAILED, LOST = RunState.FAILED, RunState.LOST


def where(
    action=Action.KEEP,
    *states,
    outcome=None,
    fresh=Freshness.CURRENT,
    has_conflicts=False,
    is_given_up=False,
):
    verdict = outcome and Verdict(
        branch="exp/a", outcome=outcome, difference=0.01, interval=(0.0, 0.02), confidence=0.95,
        seeds=3, p_better=0.9, seeds_needed=None, scale=Scale.SAMPLE, sentence="",
    )  # fmt: skip
    return station_of(
        Recommendation(action=action, reason=""),
        verdict=verdict,
        freshness=fresh,
        states=states,
        has_conflicts=has_conflicts,
        is_given_up=is_given_up,
    )


def test_what_is_over_asks_for_nothing_whatever_runs():
    assert where(Action.NOTHING, RUNNING) is Station.LANDED
    assert where(Action.NOTHING, DONE, is_given_up=True) is Station.DROPPED
    assert where(Action.MERGE_NOW, DONE, is_given_up=True) is Station.DROPPED


@pytest.mark.parametrize(
    ("action", "station"),
    [
        (Action.MERGE_NOW, Station.READY),
        (Action.GUARD_FIRST, Station.GUARD),
        (Action.FLIP_DEFAULT, Station.GUARD),
        (Action.PROVE_FIRST, Station.PROVE),
    ],
)
def test_what_did_well_waits_for_somebody_though_more_seeds_run(action, station):
    assert where(action, DONE, RUNNING, outcome=Outcome.BETTER) is station


def test_only_what_is_safe_for_main_is_told_to_bring_main_in():
    assert where(Action.MERGE_NOW, DONE, has_conflicts=True) is Station.CONFLICT
    assert where(Action.GUARD_FIRST, DONE, has_conflicts=True) is Station.GUARD


def test_without_a_result_the_runs_decide():
    assert where() is Station.NOT_RUN
    assert where(Action.KEEP, RunState.CANCELLED) is Station.NOT_RUN
    assert where(Action.KEEP, FAILED) is Station.FAILED
    assert where(Action.KEEP, LOST) is Station.FAILED
    assert where(Action.KEEP, FAILED, PLANNED) is Station.RUNNING
    assert where(Action.KEEP, DONE, RUNNING) is Station.RUNNING


def test_old_results_are_neither_promising_nor_undecided():
    for fresh in (Freshness.BRANCH_MOVED, Freshness.MAIN_MOVED):
        assert where(Action.KEEP, DONE, outcome=Outcome.BETTER, fresh=fresh) is Station.OLD


def test_no_branch_without_a_shown_difference_is_promising():
    assert where(Action.KEEP, DONE, outcome=Outcome.BETTER) is Station.PROMISING
    assert where(Action.KEEP, DONE, outcome=Outcome.UNDECIDED) is Station.OPEN
    assert where(Action.KEEP, DONE) is Station.OPEN
    assert where(Action.DROP, DONE, outcome=Outcome.WORSE) is Station.NO_BETTER
    assert where(Action.DROP, DONE, outcome=Outcome.NO_DIFFERENCE) is Station.NO_BETTER

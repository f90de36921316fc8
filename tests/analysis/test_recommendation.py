from datetime import UTC, datetime

import pytest

from branchlab.analysis.recommendation import recommendation
from branchlab.domain import (
    Action,
    Branch,
    Divergence,
    Drift,
    Freshness,
    Landed,
    MergeBack,
    Outcome,
    Parity,
    ParityCheck,
    ParityStatus,
    Scale,
    Standing,
    Verdict,
)


def standing(landed=Landed.NO, conflicts=()):
    branch = Branch(
        name="exp/a", tip="1" * 40, tree="2" * 40, last_commit_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    drift = Drift(merge_base="0" * 40, ahead=1, behind=0)
    return Standing(
        branch=branch, main=drift, reference=None, base_branch="main",
        landed=landed, landed_commits=0, conflicts=conflicts,
    )  # fmt: skip


def verdict(outcome, seeds_needed=None):
    return Verdict(
        branch="exp/a", outcome=outcome, difference=0.01, interval=(0.0, 0.02), confidence=0.95,
        seeds=3, p_better=0.9, seeds_needed=seeds_needed, scale=Scale.SAMPLE, sentence="",
    )  # fmt: skip


def advise(
    merge_back=MergeBack.READY,
    outcome=Outcome.BETTER,
    *,
    fresh=Freshness.CURRENT,
    parity=None,
    **where,
):
    found = verdict(outcome, seeds_needed=9) if outcome else None
    return recommendation(standing(**where), merge_back, found, fresh, parity=parity)


def shown(status, difference=None):
    off = ParityCheck(status=status, steps=200, first_difference=difference)
    on = ParityCheck(status=ParityStatus.NEUTRAL, steps=200)
    return Parity(branch="exp/a", main="a" * 40, tip="b" * 40, off=off, on=on)


@pytest.mark.parametrize(
    ("merge_back", "action"),
    [
        (MergeBack.READY, Action.MERGE_NOW),
        (MergeBack.ADDITIVE, Action.MERGE_NOW),
        (MergeBack.NEEDS_FLAG, Action.GUARD_FIRST),
        (MergeBack.BREAKS_BASE, Action.GUARD_FIRST),
        (MergeBack.DEFAULT_ON, Action.FLIP_DEFAULT),
        (MergeBack.NEEDS_PARITY, Action.PROVE_FIRST),
        (MergeBack.NOTHING, Action.KEEP),
        (None, Action.KEEP),
    ],
)
def test_what_is_better_goes_back_by_the_road_that_its_code_leaves(merge_back, action):
    assert advise(merge_back).action is action


@pytest.mark.parametrize("outcome", [Outcome.WORSE, Outcome.NO_DIFFERENCE])
def test_what_is_worse_or_makes_no_difference_is_dropped_however_well_guarded(outcome):
    assert advise(outcome=outcome).action is Action.DROP


def test_what_is_undecided_is_kept_and_says_how_many_seeds_it_takes():
    found = advise(outcome=Outcome.UNDECIDED)
    assert (found.action, "9 seeds would show your min effect" in found.reason) == (
        Action.KEEP,
        True,
    )


@pytest.mark.parametrize(
    ("fresh", "said"),
    [(Freshness.NONE, "no result yet"), (Freshness.BRANCH_MOVED, "of an older tip")],
)
def test_nothing_is_recommended_on_results_that_do_not_speak_of_the_tip(fresh, said):
    found = advise(fresh=fresh)
    assert (found.action, said in found.reason) == (Action.KEEP, True)
    assert advise(outcome=None).action is Action.KEEP


def test_a_result_held_against_an_older_main_still_counts():
    assert advise(fresh=Freshness.MAIN_MOVED).action is Action.MERGE_NOW


@pytest.mark.parametrize("landed", [Landed.MERGED, Landed.SQUASHED, Landed.REBASED])
def test_what_is_in_main_needs_nothing(landed):
    assert advise(landed=landed).action is Action.NOTHING


@pytest.mark.parametrize("landed", [Landed.REVERTED, Landed.PARTLY])
def test_what_was_taken_back_or_is_there_in_part_still_waits(landed):
    assert advise(landed=landed).action is Action.MERGE_NOW


def test_conflicts_are_named_in_the_reason():
    assert "conflicts in net.py" in advise(conflicts=("net.py",)).reason


def test_actions_that_wait_for_somebody_are_those_of_branches_that_did_well():
    assert [action for action in Action if action.is_waiting] == [
        Action.MERGE_NOW,
        Action.FLIP_DEFAULT,
        Action.GUARD_FIRST,
        Action.PROVE_FIRST,
    ]


def test_what_training_has_shown_speaks_for_a_merge_or_against_it():
    neutral = advise(parity=shown(ParityStatus.NEUTRAL))
    assert neutral.action is Action.MERGE_NOW
    assert "trained beside main it leaves main what it is" in neutral.reason

    first = Divergence(step=0, stage="construction", where="mix (Linear)", reason="it is built")
    differs = advise(parity=shown(ParityStatus.DIFFERS, first))
    assert differs.action is Action.GUARD_FIRST
    assert "it differs: mix (Linear): it is built" in differs.reason


def test_what_has_landed_under_a_flag_needs_nothing_whatever_its_commits():
    assert advise(MergeBack.LANDED).action is Action.NOTHING

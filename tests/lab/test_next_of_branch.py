"""What comes next with a branch, as values."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from branchlab.analysis.recommendation import recommendation
from branchlab.analysis.results import BranchResults
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
    Recommendation,
    Run,
    RunRecord,
    RunState,
    Sample,
    Scale,
    Standing,
    Verdict,
)
from branchlab.lab.next_of_branch import Step, next_step
from branchlab.lab.next_steps import next_steps
from branchlab.lab.status import BranchStatus
from tests.lab.status_cases import overview

NEUTRAL = ParityCheck(status=ParityStatus.NEUTRAL, steps=200)
BRANCH = Branch(
    name="exp/a", tip="1" * 40, tree="2" * 40, last_commit_at=datetime(2026, 1, 1, tzinfo=UTC)
)


def parity(off=NEUTRAL):
    return Parity(branch="exp/a", main="m", tip="1" * 40, off=off, on=NEUTRAL)


def failed(reason):
    run = Run(
        id="a-s0", key="k", branch="exp/a", commit="1" * 40, tree="2" * 40, task="t", seed=0,
        scale=Scale.SAMPLE, sample=Sample(fraction=0.1),
    )  # fmt: skip
    return RunRecord(run=run, state=RunState.FAILED, reason=reason)


def branch(  # noqa: PLR0913  a branch in all its states
    outcome=Outcome.BETTER,
    merge_back=MergeBack.READY,
    *,
    fresh=Freshness.CURRENT,
    proved=None,
    scale=Scale.FULL,
    seeds_needed=None,
    declared=0,
    records=(),
    given_up="",
    **standing,
):
    stands = Standing(
        branch=BRANCH, main=Drift(merge_base="0" * 40, ahead=1, behind=0), reference=None,
        base_branch="main", landed=Landed.NO, landed_commits=0, conflicts=(),
    )  # fmt: skip
    stands = replace(stands, **standing)
    verdict = None
    if outcome is not None:
        verdict = Verdict(
            branch="exp/a", outcome=outcome, difference=0.01, interval=(0.0, 0.02), confidence=0.95,
            seeds=3, p_better=0.9, seeds_needed=seeds_needed, scale=scale, sentence="",
            is_interim=bool(declared), num_declared=declared,
        )  # fmt: skip
    return BranchStatus(
        standing=stands, title="", freshness=fresh, results=BranchResults(records=tuple(records)),
        verdict=verdict, mean=None, num_done=0 if records else 3, num_running=0,
        num_failed=len(records), is_stale=False, merge_back=merge_back, parity=proved,
        given_up=given_up,
        recommendation=recommendation(stands, merge_back, verdict, fresh, parity=proved),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("one", "step", "command"),
    [
        (branch(None, fresh=Freshness.NONE), Step.RUN, "branchlab run exp/a"),
        (branch(fresh=Freshness.BRANCH_MOVED, results_behind=2), Step.RERUN, "branchlab run exp/a"),
        (branch(fresh=Freshness.MAIN_MOVED), Step.RERUN, "branchlab run exp/a"),
        (branch(declared=5), Step.FINISH, "branchlab run exp/a"),
        (branch(Outcome.UNDECIDED, seeds_needed=7), Step.SEEDS, "branchlab run exp/a --seeds 7"),
        (branch(Outcome.UNDECIDED, seeds_needed=400), Step.DECIDE, "branchlab note exp/a 'why' --dropped"),
        (branch(Outcome.WORSE), Step.DROP, "branchlab note exp/a 'why' --dropped"),
        (branch(conflicts=("net.py",)), Step.SYNC, "branchlab sync exp/a"),
        (branch(merge_back=MergeBack.NEEDS_FLAG), Step.GUARD, "branchlab guard exp/a"),
        (branch(merge_back=MergeBack.DEFAULT_ON), Step.FLIP, "branchlab features exp/a"),
        (branch(merge_back=MergeBack.NEEDS_PARITY), Step.PROVE, "branchlab parity exp/a"),
        (branch(), Step.MERGE, "branchlab merge-back exp/a"),
        (branch(proved=parity()), Step.MERGE, "branchlab merge-back exp/a"),
        (branch(merge_back=None), Step.READ, "branchlab features exp/a"),
        (branch(landed=Landed.SQUASHED), Step.RETIRE, "branchlab retire exp/a"),
        (branch(given_up="no gain"), Step.RETIRE, "branchlab retire exp/a"),
        (branch(merge_back=MergeBack.BREAKS_BASE), Step.MEND, "branchlab features exp/a"),
        (branch(None, has_content=False), Step.COMMIT, "git switch exp/a"),
    ],
)  # fmt: skip
def test_each_stage_of_a_branch_has_its_step_and_its_command(one, step, command):
    found = next_step(one)
    assert (found.step, found.command) == (step, command)
    assert found.because


def test_a_proof_that_failed_sends_back_to_the_code_with_the_place():
    first = Divergence(step=3, stage="forward", where="net.py:12", reason="another sum")
    off = ParityCheck(status=ParityStatus.DIFFERS, steps=3, first_difference=first)
    found = next_step(branch(proved=parity(off)))
    assert (found.step, found.command) == (Step.MEND, "branchlab parity exp/a")
    assert "net.py:12: another sum" in found.because


def test_runs_that_go_on_are_waited_for_whatever_the_last_ones_said():
    found = next_step(branch(Outcome.WORSE), num_open=2)
    assert (found.step, found.because) == (Step.WAIT, "2 runs of it go on")


def test_when_all_runs_failed_the_reason_is_said_before_anything_else():
    one = branch(None, fresh=Freshness.NONE, records=[failed("ValueError: NaN at step 3")])
    found = next_step(one)
    assert found.step is Step.MEND
    assert "ValueError: NaN at step 3" in found.because


def test_better_on_the_sample_alone_says_so():
    assert "on the sample alone" in next_step(branch(scale=Scale.SAMPLE)).because
    assert "alone" not in next_step(branch(scale=Scale.FULL)).because


def test_a_revert_on_main_does_not_count_as_landed():
    assert next_step(branch(landed=Landed.REVERTED)).step is not Step.RETIRE


def test_a_branch_that_is_gone_has_nothing_to_do():
    one = branch(branch=replace(BRANCH, is_gone=True))
    one = replace(one, recommendation=Recommendation(action=Action.KEEP, reason=""))
    assert next_step(one).step is Step.NOTHING


def test_every_step_has_its_words_and_what_did_well_is_more_urgent_than_new_runs():
    assert all(step.words and step.meaning for step in Step)
    ranks = [step.rank for step in (Step.MERGE, Step.GUARD, Step.MEND, Step.RUN, Step.DROP)]
    assert ranks == sorted(ranks)
    assert next_step(branch()).verb == "merge-back"
    assert next_step(branch(None, has_content=False)).verb == ""


def test_what_status_suggests_for_a_branch_that_waits_is_its_next_step():
    for one in (
        branch(),
        branch(conflicts=("net.py",)),
        branch(merge_back=MergeBack.NEEDS_FLAG),
        branch(merge_back=MergeBack.NEEDS_PARITY),
        branch(merge_back=MergeBack.BREAKS_BASE),
    ):
        found = next_steps(overview(one))
        assert found[0].command == next_step(one).command

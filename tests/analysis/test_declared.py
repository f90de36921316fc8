from __future__ import annotations

from dataclasses import replace

from branchlab.analysis.declared import Declared, declared
from branchlab.analysis.results import BranchResults
from branchlab.domain import Run, RunRecord, RunState, Sample, Scale


def results(batches: dict[int, str], **states: RunState) -> BranchResults:
    """Return runs by seed, each of the batch that planned it; ``s2=RunState.FAILED`` says how seed 2 stands."""
    records = []
    for seed, batch in batches.items():
        run = Run(
            id=f"r{seed}", key="k", branch="b", commit="c", tree="t", task="t:T", seed=seed,
            scale=Scale.SAMPLE, sample=Sample(fraction=0.1), batch=batch,
        )  # fmt: skip
        records.append(RunRecord(run=run, state=states.get(f"s{seed}", RunState.DONE)))
    return BranchResults(records=tuple(records), is_of_tip=True)


THREE = {0: "a", 1: "a", 2: "a"}
SIX = {**THREE, 3: "b", 4: "b", 5: "b"}


def test_a_batch_that_is_done_is_one_look_and_not_interim() -> None:
    found = declared(results(THREE), results(THREE))
    assert found == Declared(num_seeds=3)
    assert not found.is_interim


def test_runs_that_are_planned_running_failed_or_lost_leave_it_interim_on_either_side() -> None:
    for state in (RunState.PLANNED, RunState.RUNNING, RunState.FAILED, RunState.LOST):
        for pair in (
            (results(THREE, s1=state), results(THREE)),
            (results(THREE), results(THREE, s1=state)),
        ):
            found = declared(*pair)
            assert (found.num_seeds, found.num_open, found.is_interim) == (3, 1, True)


def test_seeds_that_are_added_are_another_look() -> None:
    assert declared(results(SIX), results(SIX)).num_looks == 2
    assert declared(results({**SIX, 6: "c"}), results({**SIX, 6: "c"})).num_looks == 3


def test_a_first_try_with_one_seed_is_no_look() -> None:
    batches = {0: "a", 1: "b", 2: "b"}
    assert declared(results(batches), results(batches)).num_looks == 1
    more = {**batches, 3: "c"}
    assert declared(results(more), results(more)).num_looks == 2


def test_a_new_branch_beside_a_main_that_was_measured_before_has_one_look() -> None:
    new = results(dict.fromkeys(range(6), "c"))
    assert declared(new, results(SIX)).num_looks == 1


def test_a_main_that_gets_the_missing_seeds_later_is_another_look() -> None:
    branch = results(dict.fromkeys(range(6), "a"))
    assert declared(branch, results(SIX)).num_looks == 2


def test_seeds_that_the_other_was_never_asked_for_were_not_declared() -> None:
    found = declared(results(SIX), results(THREE))
    assert (found.num_seeds, found.is_interim) == (3, False)


def test_runs_left_out_because_they_could_change_nothing_are_not_waited_for() -> None:
    whole = results(THREE, s2=RunState.CANCELLED)
    *kept, last = whole.records
    reasons = {"not needed: better than main, and …": False, "stopped at step 3": True}
    for reason, is_interim in reasons.items():
        stopped = BranchResults(records=(*kept, replace(last, reason=reason)))
        assert declared(stopped, results(THREE)).is_interim is is_interim


def test_nothing_on_either_side_is_nothing_declared() -> None:
    assert declared(BranchResults(), results(THREE)) == Declared()
    assert declared(results(THREE), BranchResults()) == Declared()

"""What to type next, from overviews as values."""

from __future__ import annotations

import pytest

from branchlab.domain import Action, Freshness, MergeBack, Outcome
from branchlab.lab.next_steps import next_steps
from tests.lab.status_cases import experiment, overview, verdict


def commands(*branches: object) -> list[str]:
    return [step.command for step in next_steps(overview(*branches))]  # type: ignore[arg-type]


def test_a_lab_without_experiments_is_told_how_to_start_one_and_nothing_twice() -> None:
    found = commands()
    assert found == ["branchlab new-exp NAME", "branchlab run main", "branchlab tui"]


@pytest.mark.parametrize(
    ("action", "merge_back", "command"),
    [
        (Action.MERGE_NOW, MergeBack.READY, "branchlab merge-back exp/a"),
        (Action.PROVE_FIRST, MergeBack.NEEDS_PARITY, "branchlab parity exp/a"),
        (Action.GUARD_FIRST, MergeBack.NEEDS_FLAG, "branchlab guard exp/a"),
        (Action.GUARD_FIRST, MergeBack.BREAKS_BASE, "branchlab features exp/a"),
        (Action.FLIP_DEFAULT, MergeBack.DEFAULT_ON, "branchlab features exp/a"),
    ],
)
def test_what_did_well_and_waits_comes_before_new_runs(
    action: Action, merge_back: MergeBack, command: str
) -> None:
    waiting = experiment("exp/a", judged=verdict(), action=action, merge_back=merge_back)
    found = commands(experiment("exp/b"), waiting)
    assert found[:2] == [command, "branchlab run exp/b"]


def test_runs_that_go_on_are_to_be_watched_not_started_again() -> None:
    found = commands(experiment("exp/a", running=2), experiment("exp/b", running=1))
    assert found[0] == "branchlab status --watch"
    assert not any("run exp" in command or "--all-branches" in command for command in found)


@pytest.mark.parametrize("fresh", [Freshness.BRANCH_MOVED, Freshness.MAIN_MOVED])
def test_old_results_and_interim_ones_are_to_be_run_again(fresh: Freshness) -> None:
    old = experiment("exp/a", judged=verdict(), fresh=fresh)
    assert commands(old)[0] == "branchlab run exp/a"
    interim = experiment("exp/a", judged=verdict(is_interim=True))
    assert commands(interim, experiment("exp/b", judged=verdict(is_interim=True)))[0] == (
        "branchlab run --all-branches"
    )


def test_failed_runs_are_to_be_looked_at_not_repeated() -> None:
    found = commands(experiment("exp/a", failed=2))
    assert found[0] == "branchlab runs exp/a"
    assert "branchlab run exp/a" not in found


def test_more_seeds_are_advised_only_where_they_are_affordable() -> None:
    few = verdict(Outcome.UNDECIDED, seeds_needed=9)
    many = verdict(Outcome.UNDECIDED, seeds_needed=90)
    assert "branchlab run exp/a --seeds 9" in commands(experiment("exp/a", judged=few))
    assert not any("--seeds" in c for c in commands(experiment("exp/a", judged=many)))


def test_an_idea_that_was_given_up_or_has_landed_is_left_alone() -> None:
    over = [
        experiment("exp/a", given_up="too slow"),
        experiment("exp/b", merge_back=MergeBack.LANDED),
    ]
    assert not any("exp/" in command for command in commands(*over))


def test_a_hostile_name_is_quoted_for_the_shell() -> None:
    assert commands(experiment("exp/$(reboot);x"))[0] == "branchlab run 'exp/$(reboot);x'"

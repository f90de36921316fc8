"""Branches side by side, on real branches with recorded runs."""

from __future__ import annotations

import pytest

from branchlab.analysis.results import BranchResults
from branchlab.domain import Goal, Outcome, Run, RunRecord, RunState, Sample, Scale
from branchlab.errors import ConfigError, RepositoryError
from branchlab.lab.differing import measured, pairing, planned
from branchlab.lab.judge import compare
from branchlab.lab.line_up import comparison_markdown, line_up
from branchlab.lab.own_changes import own_changes

MAIN = (0.80, 0.81, 0.79)
BETTER = (0.902, 0.911, 0.893)


def test_a_higher_loss_is_not_called_better_where_accuracy_is_the_goal(repo, record):
    record("main", MAIN)
    record("exp/a", BETTER)
    found = compare(repo.open(), ["exp/a"], metric="train/loss")
    assert found.goal is Goal.MIN
    assert found.judged[0].verdict.outcome is Outcome.WORSE
    assert compare(repo.open(), ["exp/a"]).judged[0].verdict.outcome is Outcome.BETTER


def test_a_larger_norm_of_the_weights_is_said_to_be_higher_and_never_better(repo, record):
    record("main", MAIN, slices={"train/weight_norm": 0.0})
    record("exp/a", BETTER, slices={"train/weight_norm": 0.0})
    found = line_up(repo.open(), ["exp/a"], metric="train/weight_norm")
    assert not found.has_better_side
    assert found.members[1].why.startswith("higher than main: ")
    own = line_up(repo.open(), ["exp/a"])
    assert own.has_better_side
    assert own.members[1].why.startswith("better than main: ")


def test_seeds_without_a_partner_are_said_with_the_command_that_runs_them(repo, record):
    record("main", MAIN)
    record("exp/a", BETTER[:2])
    found = line_up(repo.open(), ["exp/a"])
    (remark,) = found.members[1].remarks
    assert "only seeds 0 1 are paired with main" in remark
    assert "branchlab run exp/a --seeds 3" in remark
    assert [one.missing for one in found.unpaired] == [(2,)]


def test_scales_are_never_mixed_and_the_other_one_is_said(repo, record):
    record("main", MAIN)
    record("exp/a", BETTER)
    record("exp/a", BETTER, scale=Scale.FULL)
    found = line_up(repo.open(), ["exp/a"])
    assert any("full scale, which is never mixed in" in said for said in found.members[1].remarks)
    full = line_up(repo.open(), ["exp/a"], scale=Scale.FULL)
    assert full.members[1].verdict.outcome is Outcome.UNDECIDED
    assert full.members[0].mean is None


def test_a_branch_may_stand_in_the_place_of_main(repo, record):
    record("main", MAIN)
    record("exp/a", BETTER)
    record("exp/b", MAIN)
    found = line_up(repo.open(), ["main", "exp/b"], against="exp/a")
    assert [one.branch for one in found.members] == ["exp/a", "main", "exp/b"]
    assert [one.verdict.outcome for one in found.members[1:]] == [Outcome.WORSE] * 2


def test_what_cannot_be_compared_is_said_with_what_can(repo, record):
    record("main", MAIN, slices={"val/accuracy[shirt]": 0.0})
    record("exp/a", BETTER)
    with pytest.raises(ConfigError, match="no run has recorded the metric"):
        line_up(repo.open(), ["exp/a"], metric="val/acuracy")
    with pytest.raises(RepositoryError, match="nothing to compare"):
        line_up(repo.open(), [])
    assert line_up(repo.open(), ["exp/b"]).members[1].why == "it has not run yet"


def test_the_table_in_markdown_formats_nothing_that_a_name_holds(repo, record):
    repo.branch("exp/a_b|c", {"c.py": "C = 1\n"})
    record("main", MAIN)
    record("exp/a_b|c", BETTER)
    text = comparison_markdown(line_up(repo.open(), ["exp/a_b|c"]))
    row = text.splitlines()[3]
    assert row.startswith(r"| exp/a\_b\|c | 0.9020 ± 0.0090 | +10.20pt |")
    assert "| better | 3 |" in row


def record_of(seed: int, **more) -> RunRecord:
    planned_more = more.pop("run", {})
    run = Run(
        id=f"r{seed}", key="k", branch="b", commit="c" * 40, tree="t", task="t:T", seed=seed,
        scale=Scale.SAMPLE, sample=Sample(fraction=0.1), **planned_more,
    )  # fmt: skip
    known = {"state": RunState.DONE, "metrics": {"m": 0.5}, "duration_s": 10.0, **more}
    return RunRecord(run=run, **known)


def results(*records: RunRecord) -> BranchResults:
    return BranchResults(records=records, is_of_tip=True)


def test_only_what_differs_is_in_the_table_and_what_is_not_set_is_a_dash():
    one = results(record_of(0))
    other = results(
        record_of(0, run={"flags": {"gelu": True, "name": "x"}, "arguments": {"lr": 0.1}})
    )
    facts = {fact.name: fact.values for fact in planned([one, other])}
    assert facts == {"gelu": ("-", "true"), "name": ("-", "x"), "lr": ("-", "0.1")}


def test_speed_is_a_mean_over_what_is_done_with_its_change_against_the_first():
    one = results(record_of(0, images_per_s=100.0), record_of(1, images_per_s=100.0))
    other = results(
        record_of(0, images_per_s=50.0), record_of(1, state=RunState.FAILED, images_per_s=1.0)
    )
    facts = {fact.name: fact.values for fact in measured([one, other, results()])}
    assert facts["images/s"] == ("100", "50 -50%", "-")
    assert facts["wall time"] == ("10.0s", "10.0s", "-")


def test_seeds_lack_a_partner_on_either_side():
    one = results(record_of(0), record_of(2))
    other = results(record_of(0), record_of(1), record_of(5))
    apart = pairing("b", one, other, "m")
    assert (apart.common, apart.missing, apart.other_missing) == ((0,), (1, 5), (2,))
    assert (apart.num_seeds, apart.cost_s) == (6, 30.0)
    assert pairing("b", one, one, "m") is None
    assert pairing("b", results(), results(), "m") is None


def test_own_changes_leave_out_what_main_did_meanwhile(repo):
    repo.branch("exp/a", {"a.py": "A = 1\nB = 2\n", "weights.bin": "\0\1\2"})
    repo.commit({"later.py": "L = 1\n"})
    found = own_changes(repo.open(), "a", "main")
    assert [(f.path, f.added, f.removed) for f in found.files] == [
        ("a.py", 2, 0),
        ("weights.bin", None, None),
    ]
    assert [file.path for file in found.missing] == ["later.py"]

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from branchlab.domain import (
    Divergence,
    Drift,
    Hypothesis,
    HypothesisState,
    JudgedClaim,
    JudgedHypothesis,
    Landed,
    Outcome,
    Parity,
    ParityCheck,
    ParityStatus,
    Registration,
    Run,
    RunRecord,
    RunState,
    Sample,
    Scale,
    Script,
    Verdict,
)
from branchlab.lab.columns import Column, fit
from branchlab.lab.runs import RunDetails
from branchlab.lab.sparkline import sparkline, thinned
from branchlab.lab.words import age, drift_text, duration
from branchlab.tui.column_widths import natural_widths
from branchlab.tui.detail import hypothesis_lines, merge_line
from branchlab.tui.footer import footer_line
from branchlab.tui.looks import Look, cut, merge_piece, outcome_piece, plain, state_piece
from branchlab.tui.rows import Row
from branchlab.tui.run_facts import fact_lines
from branchlab.tui.screen_keys import BRANCHES
from branchlab.tui.verbs import VERBS, command_of
from branchlab.tui.views import BranchView, Role

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def verdict(difference, outcome=Outcome.UNDECIDED):
    return Verdict(
        branch="b",
        outcome=outcome,
        difference=difference,
        interval=None,
        confidence=0.95,
        seeds=3,
        p_better=None,
        seeds_needed=None,
        scale=Scale.SAMPLE,
        sentence="",
    )


def view(name, *, days=0, difference=None, mean=None, **more):
    return BranchView(
        name=name,
        role=Role.EXPERIMENT,
        tip="a" * 40,
        last_commit_at=NOW - timedelta(days=days),
        verdict=None if difference is None else verdict(difference),
        mean=mean,
        **more,
    )


def names(views):
    return [found.name for found in views]


def test_every_state_and_outcome_has_a_mark_and_a_word():
    said = [state_piece(state)[0] for state in RunState]
    said += [outcome_piece(outcome)[0] for outcome in Outcome]
    assert all(len(text.split()) >= 2 for text in said)
    assert len(set(said)) == len(said)


def test_merge_states_are_told_apart():
    def words(landed, conflicts, ahead=1):
        return merge_piece(landed, conflicts, num_ahead=ahead)[0]

    assert words(Landed.NO, ()) == "✓ clean"
    assert words(Landed.NO, ("a.py",)) == "✗ conflict"
    assert words(Landed.UNKNOWN, None) == "? unknown"
    assert words(Landed.SQUASHED, ("a.py",)) == "◆ squashed"
    assert words(Landed.NO, (), ahead=0) == ""


def test_drift_never_claims_what_git_does_not_know():
    assert drift_text(Drift(merge_base="a", ahead=None, behind=None)) == "?"
    assert drift_text(Drift(merge_base=None, ahead=None, behind=None)) == "unrelated"
    assert drift_text(Drift(merge_base="a", ahead=0, behind=0)) == "="
    assert drift_text(Drift(merge_base="a", ahead=3, behind=0)) == "↑3"


def test_ages_and_durations_take_few_columns():
    assert age(NOW - timedelta(minutes=5), NOW) == "5m"
    assert age(NOW - timedelta(hours=30), NOW) == "30h"
    assert age(NOW + timedelta(hours=1), NOW) == "0m"
    assert [duration(s) for s in (None, 4.0, 75, 7260)] == ["-", "4.0s", "1m15s", "2h01m"]


def test_a_narrow_table_cuts_names_before_it_drops_columns_by_rank():
    columns = (
        Column(title="NAME", width_min=10),
        Column(title="A", rank=1),
        Column(title="B", rank=2),
    )
    natural = (30, 8, 8)
    assert fit(columns, natural, 60, gap=1) == (30, 8, 8)
    assert fit(columns, natural, 28, gap=1) == (10, 8, 8)
    assert fit(columns, natural, 27, gap=1) == (18, 8, 0)
    assert fit(columns, natural, 12, gap=1) == (12, 0, 0)


def test_a_column_in_which_nothing_stands_takes_no_room():
    columns = (Column(title="NAME"), Column(title="EMPTY"))
    row = Row(key="a", cells=((("exp/a", Look.PLAIN),), (("", Look.PLAIN),)))
    assert natural_widths(columns, [row]) == (5, 0)


def test_wide_characters_are_cut_by_columns():
    assert plain(cut((("実験的な枝", Look.PLAIN),), 6)) == "実験…"
    assert plain(cut((("short", Look.PLAIN),), 5)) == "short"


def test_the_footer_never_hides_the_two_keys_that_help_most():
    for width in range(30, 130):
        line = plain(footer_line(BRANCHES, width))
        assert "? keys" in line
        assert ": do" in line
        assert "q quit" in line
        assert len(line.rstrip()) <= width
        is_complete = "clear" in line
        assert is_complete or "+" in line


def test_a_spike_of_one_step_survives_thinning():
    points = [(step, 0.0) for step in range(100_000)]
    points[54_321] = (54_321, 9.0)
    kept = thinned(points)
    assert len(kept) <= 801
    assert (54_321, 9.0) in kept
    assert kept[0][0] == 0
    assert kept[-1][0] == 99_999


def test_curves_take_the_room_they_are_given():
    points = [(step, step * step) for step in range(50)]
    assert len(sparkline(points, 20)) == 20
    assert sparkline(points, 20)[0] == "▁"
    assert sparkline(points, 20)[-1] == "█"
    assert sparkline([(0, 1.0)], 20) == "▁"


def test_commands_are_shown_as_one_would_type_them():
    def text(verb, *names, **answers):
        return command_of(VERBS[verb], names, answers).text

    assert text("run", "exp/se") == "branchlab run exp/se --detach"
    assert text("run", "exp/a'b") == """branchlab run 'exp/a'"'"'b' --detach"""
    assert text("run", "-x") == "branchlab run --detach -- -x"
    assert text("cancel", "a-s0", "a-s1") == "branchlab cancel a-s0 a-s1"
    assert text("run-all") == "branchlab run --all-branches --detach"


def test_what_a_form_was_told_becomes_arguments():
    def text(verb, *names, **answers):
        return command_of(VERBS[verb], names, answers).text

    assert (
        text("note", "exp/se", text="it's no gain")
        == """branchlab note exp/se 'it'"'"'s no gain'"""
    )
    assert text("new-exp", name="se", flag="on=true") == "branchlab new-exp se --flag on=true"
    assert text("new-exp", name="se", title="-5") == "branchlab new-exp se --title=-5"
    with_more = {
        "seeds": "5",
        "more options": "--device 'cuda:1'",
        "anew": "no",
        "whole training set": "yes",
    }
    assert (
        text("run-with", "exp/se", **with_more)
        == "branchlab run exp/se --seeds 5 --full --device cuda:1 --detach"
    )
    with pytest.raises(ValueError, match="name is needed"):
        text("new-exp", title="x")
    with pytest.raises(ValueError, match="more options: No closing quotation"):
        text("run-with", "exp/se", **{"more options": "'half"})


def test_what_training_has_shown_of_a_merge_stands_beside_the_forecast():
    def line(off, first=None):
        off = ParityCheck(status=off, first_difference=first)
        on = ParityCheck(status=ParityStatus.NEUTRAL)
        shown = Parity(branch="b", main="a", tip="b", off=off, on=on)
        ahead = Drift(merge_base="a", ahead=1, behind=0)
        return "".join(text for text, _ in merge_line(view("b", main=ahead, parity=shown)))

    first = Divergence(step=1, stage="loss", where="loss()", reason="it gives 2")
    assert line(ParityStatus.NEUTRAL).endswith("without conflict; flags off neutral, on neutral")
    assert line(ParityStatus.DIFFERS, first).endswith("it differs: loss(): it gives 2")
    assert line(ParityStatus.NOT_RUN).endswith("flags off not-run, on neutral")


def test_the_facts_of_a_run_name_the_script_that_trains_it():
    run = Run(
        id="r",
        key="k",
        branch="exp/a",
        commit="c" * 40,
        tree="t",
        task="",
        script=Script(command=("python", "train.py", "{flags}")),
        seed=0,
        scale=Scale.FULL,
        sample=Sample(fraction=1.0),
    )
    record = RunRecord(run=run, state=RunState.RUNNING)
    details = RunDetails(record=record, folder=Path("f"), events=(), log_tail=(), pictures=())
    said = ["".join(text for text, _ in line) for line in fact_lines(details, has_branch=True)]
    assert "command    python train.py '{flags}'" in said


def test_hypotheses_of_a_branch_are_a_line_each_and_beyond_a_few_are_counted():
    found = JudgedClaim(
        key="a", text="val/iou > main", state=HypothesisState.SUPPORTED, estimate=0.0123
    )
    judged = tuple(
        JudgedHypothesis(
            hypothesis=Hypothesis(id=f"H{number}"),
            state=HypothesisState.SUPPORTED,
            registration=registration,
            expect=(found,),
            words="supported, but breaks c",
        )
        for number, registration in enumerate(6 * [Registration.BEFORE_RUNS])
    )
    late = replace(judged[0], registration=Registration.POST_HOC)
    view = BranchView(
        name="exp/se", role=Role.EXPERIMENT, tip="", hypotheses=(late, *judged), remark="and so on"
    )
    lines = [plain(line) for line in hypothesis_lines(view)]
    said = "✓ supported, but breaks c  ✓ val/iou > main: +0.0123"
    assert lines[:2] == [f"H0 {said}  post hoc", f"H0 {said}"]
    assert lines[-2:] == ["and 3 more: branchlab hypotheses exp/se", "and so on"]
    assert hypothesis_lines(replace(view, hypotheses=(), remark="")) == []

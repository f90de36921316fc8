from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from branchlab.domain import (
    Drift,
    FeatureVerdict,
    Freshness,
    Goal,
    Hypothesis,
    HypothesisState,
    JudgedHypothesis,
    Landed,
    MergeBack,
    Outcome,
    Registration,
    Run,
    RunRecord,
    RunState,
    Sample,
    Scale,
    Verdict,
)
from branchlab.lab.columns import Column
from branchlab.lab.curves import Curve, Point
from branchlab.lab.next_of_branch import NextStep, Step
from branchlab.tui.branch_chart import Drawn
from branchlab.tui.branch_filter import parse_filter, said_of
from branchlab.tui.branch_groups import step_of_key
from branchlab.tui.branch_list import BranchList
from branchlab.tui.branch_memory import Manner, keep, recalled
from branchlab.tui.branch_rows import Sort, branch_cells, branch_columns, sorted_views
from branchlab.tui.column_widths import fitted
from branchlab.tui.columns_screen import column_rows
from branchlab.tui.detail import detail_lines, merge_lines
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import plain
from branchlab.tui.memory import Memory
from branchlab.tui.views import BranchView, Role

NOW = datetime(2026, 1, 10, 12, 30, tzinfo=UTC)


def record(branch, seed=0, state=RunState.DONE):
    run = Run(
        id=f"{branch}-s{seed}", key="k", branch=branch, commit="c", tree="t", task="a:B",
        seed=seed, scale=Scale.SAMPLE, sample=Sample(fraction=0.1),
    )  # fmt: skip
    return RunRecord(run=run, state=state, attempts=1)


def verdict(difference, outcome=Outcome.UNDECIDED):
    return Verdict(
        branch="b", outcome=outcome, difference=difference, interval=None, confidence=0.95, seeds=3,
        p_better=None, seeds_needed=None, scale=Scale.SAMPLE, sentence="so it is", is_share=True,
    )  # fmt: skip


def view(
    name, *, days=0, difference=None, outcome=Outcome.UNDECIDED, states=(), step=Step.SEEDS, **more
):
    runs = tuple(record(name, seed, state) for seed, state in enumerate(states))
    return BranchView(
        name=name,
        role=Role.EXPERIMENT,
        tip="a" * 40,
        last_commit_at=NOW - timedelta(days=days),
        verdict=None if difference is None else verdict(difference, outcome),
        runs=runs,
        counted=frozenset(run.run.id for run in runs),
        next=step and NextStep(step=step, because="so", command=f"branchlab guard '{name}'"),
        **more,
    )


def names(views):
    return [found.name for found in views]


def kept(views, text):
    wanted = parse_filter(text, NOW)
    return names([one for one in views if wanted.wants(one, said_of(one))])


def test_the_best_difference_stands_first_and_what_has_none_behind_by_age():
    views = [
        view("old", days=9),
        view("worse", difference=-0.1),
        view("young", days=1),
        view("better", difference=0.2),
    ]
    best_first = ["better", "worse", "young", "old"]
    assert names(sorted_views(views, Sort.DIFFERENCE, Goal.MAX)) == best_first
    turned = ["worse", "better", "young", "old"]
    assert names(sorted_views(views, Sort.DIFFERENCE, Goal.MIN)) == turned
    assert names(sorted_views(views, Sort.DIFFERENCE, Goal.MAX, is_reversed=True)) == turned


def test_a_difference_of_zero_counts_as_known():
    views = [view("none"), view("zero", difference=0.0, days=5)]
    assert names(sorted_views(views, Sort.DIFFERENCE, Goal.MAX)) == ["zero", "none"]


@pytest.mark.parametrize("sort", Sort)
def test_every_order_is_one_of_all_branches_and_of_a_column(sort):
    views = [view("b"), view("a", difference=0.1, days=3), view("c", conflicts=None, step=None)]
    for is_reversed in (False, True):
        found = sorted_views(views, sort, Goal.MAX, is_reversed=is_reversed)
        assert sorted(names(found)) == ["a", "b", "c"]
    marks = [column.title[-1] for column in branch_columns("acc", sort) if column.id == sort]
    assert marks == ["▾"]


def test_branches_of_one_value_stand_by_age_then_name_however_it_is_turned():
    views = [
        view("b", difference=0.1),
        view("a", difference=0.1),
        view("c", difference=0.1, days=1),
    ]
    for is_reversed in (False, True):
        found = sorted_views(views, Sort.DIFFERENCE, Goal.MAX, is_reversed=is_reversed)
        assert names(found) == ["a", "b", "c"]


def test_a_filter_wants_every_word_and_no_case():
    found = view("exp/Mixup", title="Blend images", difference=0.1, landed=Landed.SQUASHED)
    for text in ("MIX blend", "squashed", "undecided", "  ", "!focal", "mix !running"):
        assert kept([found], text), text
    for text in ("mix focal", "running", "!mix", "no runs !blend"):
        assert not kept([found], text), text


def test_terms_ask_for_one_thing_each():
    hypothesis = JudgedHypothesis(
        hypothesis=Hypothesis(id="H1"),
        state=HypothesisState.REFUTED,
        registration=Registration.BEFORE_RUNS,
    )
    one = view(
        "one", difference=0.012, outcome=Outcome.BETTER, states=[RunState.DONE, RunState.RUNNING],
        mean=0.85, conflicts=("a.py",), flags={"use_gelu": True}, hypotheses=(hypothesis,),
        main=Drift(merge_base="a", ahead=2, behind=7), merge_back=MergeBack.READY,
        freshness=Freshness.CURRENT, step=Step.MERGE,
    )  # fmt: skip
    two = view("two", days=5, states=[RunState.FAILED], landed=Landed.MERGED)
    views = [one, two]
    for text in (
        "status:running", "status:run", "verdict:better", "merge:conflict", "flag:gelu", "hyp:refuted",
        "landed:no", "best>0.8", "delta>1", "delta<=1.2", "age<3d", "seeds=1", "behind>=7", "back:ready",
        "next:merge", "fresh:current", "!verdict:none", "!merge:landed", "VERDICT:Better", "best>80e-2",
    ):  # fmt: skip
        assert kept(views, text) == ["one"], text
        assert not parse_filter(text, NOW).wrong
    for text in ("status:failed", "landed:yes", "landed:merged", "age>4d", "age>=1h", "hyp:none"):
        assert kept(views, text) == ["two"], text
    assert kept(views, "delta>1.2") == []
    assert kept(views, "verdict:no") == ["two"]  # all that begin so: no-difference and none


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("verdict:", "verdict: better, worse"),
        ("verdict:odd", "verdict is one of better"),
        ("best>high", "best is compared with a number"),
        ("age:3d", "age is compared with a time"),
        ("age<3y", "age is compared with a time"),
        ("age<99999999999999999d", "age is compared with a time"),
        ("age<", "age<3d"),
        ("merge>clean", "merge is compared with a colon"),
        ("flag:", "a flag's name"),
        ("!best>", "a number"),
    ],
)
def test_a_term_that_cannot_be_read_is_said_and_hides_nothing(text, wrong):
    assert wrong in parse_filter(text, NOW).wrong
    assert kept([view("a"), view("b")], text) == ["a", "b"]


def test_an_unknown_term_is_looked_for_as_a_word_and_the_nearest_is_said():
    found = parse_filter("verdit:better", NOW)
    assert "did you mean 'verdict'" in found.wrong
    assert kept([view("a", title="see verdit:better"), view("b")], "verdit:better") == ["a"]
    assert parse_filter("! !! :: a=b <3", NOW).tests == ()


def shown(views, manner, only=None):
    found = BranchList()
    found.update(views, {}, NOW)
    rows = found.arrange(manner, Goal.MAX, NOW, only=only).rows
    return [step_of_key(row.key) or row.key if row.is_heading else row.key for row in rows], found


def test_groups_stand_by_urgency_with_their_counts_and_fold():
    views = [
        view("main", step=None),
        view("late", step=Step.DROP),
        view("go", step=Step.MERGE),
        view("go-too", step=Step.MERGE, days=1),
    ]
    views[0] = replace(views[0], role=Role.MAIN)
    manner = Manner(is_grouped=True, sort=Sort.NAME)
    rows, found = shown(views, manner)
    assert rows == [Step.MERGE, "go", "go-too", Step.DROP, "late"]
    heading = found.arrange(manner, Goal.MAX, NOW).rows[0]
    assert plain(heading.cells[0]).startswith("▾ merge it back  2")
    rows, _ = shown(views, replace(manner, folded=frozenset({Step.MERGE})))
    assert rows == [Step.MERGE, Step.DROP, "late"]
    rows, found = shown(views, replace(manner, filter="late"))
    assert rows == [Step.DROP, "late"]
    rows, _ = shown(views, Manner(sort=Sort.NAME), only=frozenset({"go"}))
    assert rows == ["go"]


def test_a_row_is_made_again_only_where_its_branch_has_changed():
    found, views = BranchList(), [view("a"), view("b")]
    found.update(views, {}, NOW)
    before = found.arrange(Manner(), Goal.MAX, NOW).rows
    measured = found.measured
    found.update(list(views), {}, NOW + timedelta(seconds=5))
    assert found.measured is measured
    found.update(views, {"b": ("▁█", False)}, NOW)
    after = found.arrange(Manner(), Goal.MAX, NOW).rows
    assert after[0] is before[0]
    assert after[1] is not before[1]
    found.update(views, {"b": ("▁█", False)}, NOW + timedelta(days=2))
    ages = [plain(row.cells[13]) for row in found.arrange(Manner(), Goal.MAX, NOW).rows]
    assert ages == ["2d", "2d"]
    found.update(views[:1], {}, NOW)
    assert list(found.views) == ["a"]
    assert len(found.arrange(Manner(), Goal.MAX, NOW).rows) == 1


def test_of_very_many_rows_the_longest_names_are_measured():
    views = [view(f"b{number}") for number in range(3000)] + [view("a-much-longer-name")]
    found = BranchList()
    found.update(views, {}, NOW)
    assert len(found.measured) <= 203
    assert any(row.key == "a-much-longer-name" for row in found.measured)


def test_cells_match_the_columns_and_damage_leaves_dashes():
    columns = branch_columns("val/accuracy", Sort.NAME, hidden=("merge", "name"))
    bare = BranchView(name="x", role=Role.EXPERIMENT, tip="", conflicts=None)
    cells = [plain(cell) for cell in branch_cells(bare, NOW)]
    assert len(cells) == len(columns)
    assert dict(zip([c.id for c in columns], cells, strict=True))["merge"] == "? unknown"
    assert [column.id for column in columns if column.is_hidden] == ["merge"]
    failed = [plain(cell) for cell in branch_cells(view("f", states=[RunState.FAILED]), NOW)]
    assert "✗ failed" in failed


def test_columns_that_were_left_out_for_a_wider_one_come_back_where_there_is_room():
    columns = (Column(title="A"), Column(title="B", rank=2), Column(title="C", rank=3))
    assert fitted(columns, (10, 30, 5), 20, gap=1) == (10, 0, 5)
    assert fitted(columns, (10, 30, 5), 15, gap=1) == (10, 0, 0)


def test_the_dialog_of_columns_says_which_have_no_room():
    columns = branch_columns("acc", Sort.NAME)[1:]
    rows = column_rows(columns, {"main": "ahead"}, {"reference"}, crowded={"note"})
    said = {row.key: plain(row.cells[0]) for row in rows}
    assert (said["main"], said["reference"], said["note"]) == ("● yes", "○ no", "◌ no room")
    assert [row.key for row in column_rows(columns, {"main": "ahead"}, (), "AHEAD")] == ["main"]


def test_how_one_looks_is_kept_and_damage_is_as_if_nothing_were(tmp_path):
    manner = Manner(
        sort=Sort.MERGE, is_reversed=True, is_grouped=True, folded=frozenset({"merge-back"}),
        hidden=frozenset({"note", "age"}), filter="verdict:better", selected="exp/a",
    )  # fmt: skip
    memory = Memory(tmp_path / "state.json")
    keep(memory, manner)
    memory.save()
    again = Memory(tmp_path / "state.json")
    again.load()
    assert recalled(again) == manner
    again.keep("branches.sort", "no such column")
    again.keep("branches.folded", "text")
    assert recalled(again) == replace(manner, sort=Sort.DIFFERENCE, folded=frozenset())


def text_of(lines):
    return "\n".join(plain(line) for line in lines)


def test_the_detail_says_what_is_next_with_its_key_and_fits_its_room():
    points = tuple(Point(epoch=e, mean=e / 10, low=e / 20, high=e / 5) for e in range(1, 9))
    curve = Curve(branch="exp/a b", points=points, num_seeds=3)
    main = replace(curve, branch="main")
    one = view(
        "exp/a b", difference=0.01, outcome=Outcome.BETTER, step=Step.GUARD, mean=0.8,
        states=3 * [RunState.DONE], main=Drift(merge_base="a", ahead=1, behind=0), flags={"g": True},
        features={FeatureVerdict.UNGUARDED: 2, FeatureVerdict.ADDITIVE: 1},
    )  # fmt: skip
    drawn = Drawn(metric="acc", curve=curve, main=main, main_mean=0.7)
    wide = detail_lines(one, drawn, width=60, height=40)
    for words in (
        "next: guard it: so  F branchlab guard 'exp/a b'", "changes: 2 unguarded, 1 additive", "g=true",
        "so it is", "seed 2", "epoch 1", "main",
    ):  # fmt: skip
        assert words in text_of(wide), words
    for width in (30, 60, 76):
        for height in range(1, 45):
            lines = detail_lines(one, drawn, width=width, height=height)
            assert len(lines) <= height
            assert all(len(plain(line)) <= width for line in lines)
    assert "main 0.7000" in text_of(detail_lines(one, drawn, width=76, height=7))
    alone = detail_lines(one, replace(drawn, main=None), width=60, height=40)
    assert "╌╌ main" not in text_of(alone)


def test_a_merge_is_told_file_by_file_and_what_has_no_room_is_counted():
    one = view("exp/a", conflicts=tuple(f"file{n}.py" for n in range(9)), features=None)
    said = text_of(merge_lines(one, width=60, height=30))
    assert "✗ file8.py" in said
    lines = merge_lines(one, width=60, height=6)
    assert len(lines) <= 6
    assert "more" in plain(lines[-1])
    main = replace(one, role=Role.MAIN)
    assert "not merged back" in text_of(merge_lines(main, width=60, height=6))


def test_a_table_without_rows_has_nothing_selected_and_no_crowd():
    table = LineTable()
    assert table.selected is None
    assert table.crowded == ()

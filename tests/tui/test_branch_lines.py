"""What the screen of a branch says, as values."""

from dataclasses import replace
from datetime import UTC, datetime

from branchlab.domain import (
    Divergence,
    Fate,
    Feature,
    FeatureVerdict,
    Hypothesis,
    HypothesisState,
    JudgedClaim,
    JudgedHypothesis,
    Parity,
    ParityCheck,
    ParityStatus,
    Registration,
    Relation,
    WrittenNote,
)
from branchlab.git.hunks import ChangedFile, DiffLine, FilePatch, Hunk, Mark
from branchlab.lab.branch_curves import Axis, Beside
from branchlab.lab.curves import Curve, Point
from branchlab.lab.diff import BranchDiff, Side
from branchlab.lab.next_of_branch import NextStep, Step
from branchlab.tui.branch_drawing import chart_lines, diff_line
from branchlab.tui.branch_lines import hypotheses_text, notes_text, parity_lines
from branchlab.tui.branch_panes import (
    LETTERS,
    Pane,
    command_of_pane,
    pane_at,
    pane_line,
)
from branchlab.tui.branch_reads import Drawn, series_of
from branchlab.tui.diff_lines import annotated, drawn_patch, file_rows
from branchlab.tui.inks import inked
from branchlab.tui.looks import Look, plain
from branchlab.tui.next_lines import next_lines
from branchlab.tui.screen_keys import BRANCH, BRANCHES
from branchlab.tui.wrapping import wrapped


def changed(path="net.py", **kinds):
    facts = {"letter": "M", "added": 1, "removed": 1, "modes": ("100644", "100644"),
             "blobs": ("1" * 40, "2" * 40), "old_path": path}  # fmt: skip
    return ChangedFile(path=path, **{**facts, **kinds})


def patch(*rows, path="net.py"):
    """A patch of (mark, text) rows that begins at line 10 of both versions."""
    old = new = 10
    lines = []
    for sign, text in rows:
        mark = Mark(sign)
        lines.append(
            DiffLine(
                mark=mark,
                text=text,
                old=None if mark is Mark.ADDED else old,
                new=None if mark is Mark.REMOVED else new,
            )
        )
        old += mark is not Mark.ADDED
        new += mark is not Mark.REMOVED
    hunk = Hunk(old_start=10, new_start=10, scope="class Net:", lines=tuple(lines))
    return FilePatch(file=changed(path), hunks=(hunk,))


def feature(verdict=FeatureVerdict.UNGUARDED, line=11, path="net.py"):
    return Feature(
        id="x", verdict=verdict, kind="body", symbol="Net.f", path=path, line=line, flag=None,
        default=None, reason="no new flag reaches it",
    )  # fmt: skip


def texts(lines):
    return [plain(line) for line in lines]


def test_a_patch_has_numbers_marks_and_the_place_of_every_change():
    drawn = drawn_patch(
        patch((" ", "a = 1"), ("-", "b = 2"), ("+", "b = 3"), (" ", "c"), ("+", "d"))
    )
    assert texts(drawn.lines) == [
        "  …   line 10  class Net:",
        " 10   a = 1",
        " 11 - b = 2",
        " 11 + b = 3",
        " 12   c",
        " 13 + d",
    ]
    assert drawn.changes == (2, 5)
    assert drawn.tints == {2: Look.REMOVED, 3: Look.ADDED, 5: Look.ADDED}
    assert drawn.row_of(12) == 4
    assert drawn.row_of(99) == 5


def test_code_is_coloured_by_what_the_file_is():
    line = inked("net.py", ["def f(x):", "    return 'a'  # why"])[1]
    assert {text.strip(): look for text, look in line if text.strip()} == {
        "return": Look.KEYWORD, "'": Look.STRING, "a": Look.STRING, "# why": Look.COMMENT,
    }  # fmt: skip
    assert inked("odd.unknown", ["def f"]) == [(("def f", Look.PLAIN),)]


def test_lines_that_no_lexer_expects_keep_their_number_and_their_text():
    rows = ['"""open', "\r", "", "x\ty\r", "\x1b[31m", "'''"]
    found = inked("net.py", rows)
    assert len(found) == len(rows)
    assert plain(found[0]) == '"""open'


def test_what_was_found_in_the_code_stands_below_its_line_and_moves_the_rest():
    drawn = drawn_patch(patch((" ", "a = 1"), ("+", "b = 3"), (" ", "c")))
    noted = annotated(drawn, [feature(line=11), feature(line=400)], 60)
    assert texts(noted.lines)[2:5] == [
        " 11 + b = 3",
        "      ▲ unguarded: no new flag reaches it",
        " 12   c",
    ]
    assert noted.changes == (2,)
    assert noted.row_of(12) == 4
    assert annotated(drawn, [feature(path="other.py")], 60) is drawn


def test_files_say_what_their_most_demanding_change_needs():
    found = BranchDiff(
        head=Side(name="exp/a", commit="1" * 40), base=Side(name="main", commit="0" * 40),
        files=(changed(), changed("data.bin", added=None, removed=None)),
    )  # fmt: skip
    features = [feature(FeatureVerdict.ADDITIVE), feature(FeatureVerdict.UNGUARDED)]
    rows = [[plain(cell) for cell in row.cells] for row in file_rows(found, features)]
    assert rows == [["M", "net.py", "+1", "-1", "▲ unguarded"], ["M", "data.bin", "", "", "binary"]]
    assert "vs main at 0000000000: 2 files +1 -1" in plain(diff_line(found, None, 80))
    lost = BranchDiff(head=found.head, problem="there is no reference to hold it against")
    assert plain(diff_line(lost, None, 80)) == "there is no reference to hold it against"


def test_every_pane_is_found_where_its_name_stands():
    counts = {Pane.DIFF: 4, Pane.RUNS: None}
    line = plain(pane_line(Pane.DIFF, counts, 120))
    assert "[diff 4]" in line
    for pane in Pane:
        assert pane_at(Pane.DIFF, counts, line.index(str(pane)) + 1) is pane
        assert LETTERS[pane] in pane
    assert pane_at(Pane.DIFF, counts, 119) is None
    assert len(set(LETTERS.values())) == len(LETTERS)


def test_the_next_step_says_why_and_its_command_whole():
    step = NextStep(
        step=Step.GUARD, because="better than main, +1.93pt, " * 6, command="branchlab guard exp/a"
    )
    lines = texts(next_lines(step, BRANCH, 60))
    assert lines[0].startswith("next: guard it: better than main")
    assert lines[-1] == "  F branchlab guard exp/a"
    assert len(lines) == 3
    assert max(len(line.rstrip()) for line in lines) <= 60
    assert texts(next_lines(step, BRANCH, 60, num_max=1)) == [
        "next: guard it  F branchlab guard exp/a"
    ]
    two = texts(next_lines(step, BRANCHES, 60, num_max=2))
    assert len(two) == 2
    assert two[0].endswith("…")
    read = replace(step, step=Step.READ, because="so", command="branchlab features exp/a")
    assert texts(next_lines(read, BRANCH, 90)) == [
        "next: have its code read: so  f branchlab features exp/a"
    ]
    assert texts(next_lines(read, BRANCHES, 90)) == [
        "next: have its code read: so  branchlab features exp/a"
    ]
    assert texts(next_lines(replace(read, command=""), BRANCH, 90)) == [
        "next: have its code read: so"
    ]


def test_the_command_of_a_pane_quotes_what_a_shell_would_read():
    said = command_of_pane(Pane.DIFF, "exp/a b", base="0" * 10, path="x;y.py", metric="")
    assert said == "git diff 0000000000 'exp/a b' -- 'x;y.py'"
    of_slice = command_of_pane(Pane.CURVES, "exp/a", base="", path=None, metric="val/acc[shirt]")
    assert of_slice == "branchlab compare exp/a --metric 'val/acc[shirt]'"


def test_hypotheses_say_what_was_predicted_seen_and_when_it_was_registered():
    claim = JudgedClaim(
        key="a", text="val/accuracy > main + 1pt", state=HypothesisState.REFUTED, estimate=-0.02,
        interval=(-0.03, -0.01), sentence="all of it below +0.0100",
    )  # fmt: skip
    one = JudgedHypothesis(
        hypothesis=Hypothesis(id="H1", claim="It is too small."),
        state=HypothesisState.REFUTED, registration=Registration.POST_HOC, expect=(claim,),
        guard=(claim,), words="refuted",
    )  # fmt: skip
    wide = "\n".join(texts(hypotheses_text([one], "the verdict disagrees", "exp/a", 120)))
    for said in ("H1  It is too small.", "✗ refuted; post hoc, 3 seeds", "not there before the first run",
                 "val/accuracy > main + 1pt", "-0.0200  [-0.0300, -0.0100]", "✗ broke", "! the verdict"):  # fmt: skip
        assert said in wide
    narrow = texts(hypotheses_text([one], "", "exp/a", 76))
    assert max(map(len, narrow)) <= 78
    assert "no hypothesis" in texts(hypotheses_text([], "", "exp/a", 76))[0]


def test_parity_says_where_it_differs_first_and_what_no_step_ran():
    first = Divergence(
        step=3, stage="forward", where="net.py:12", reason="another sum", remedy="guard it"
    )
    off = ParityCheck(
        status=ParityStatus.DIFFERS,
        steps=3,
        first_difference=first,
        not_exercised=("Net.eval_only",),
    )
    on = ParityCheck(status=ParityStatus.NOT_RUN, is_asked=False)
    found = Parity(branch="exp/a", main="m", tip="t", off=off, on=on)
    said = "\n".join(texts(parity_lines(found, "exp/a", 200)))
    assert "✗ parity, flags off: differs over 3 steps" in said
    assert "first at step 3, forward, net.py:12: another sum; guard it" in said
    assert "no step ran Net.eval_only" in said
    assert "flags on" not in said
    assert "parity not asked" in plain(parity_lines(None, "exp/a", 200)[0])


def test_notes_come_latest_first_with_what_they_relate_to():
    from branchlab.lab.known_experiments import KnownExperiment

    def at(day):
        return datetime(2026, 1, day, 12, tzinfo=UTC)

    notes = (
        WrittenNote(at=at(2), text="first"),
        WrittenNote(at=at(3), text="no gain", drops=True, relations=((Relation.RELATES, "gelu"),)),
    )
    known = KnownExperiment(
        name="a", branch="exp/a", tip="t", is_live=True, is_on_main=False, notes=notes
    )
    other = WrittenNote(at=None, text="the same classes gain")
    said = texts(notes_text(known, [("focal", other)], "exp/a", 70))
    assert known.fate is Fate.DROPPED
    assert said[0].startswith("03 Jan 2026")
    assert said[0].endswith("dropped: no gain")
    assert said[1].strip() == "relates to gelu"
    assert said[2].endswith("first")
    assert said[-1].startswith("undated")
    assert "focal: the same classes gain" in said[-1]
    assert "nothing was written down yet" in texts(notes_text(None, (), "exp/a", 70))[0]


def curve(name, *values):
    points = tuple(
        Point(epoch=n, mean=v, low=v - 0.1, high=v + 0.1) for n, v in enumerate(values, 1)
    )
    return Curve(branch=name, points=points, num_seeds=3)


def test_curves_say_what_is_drawn_and_where_it_ended():
    ours, main = curve("exp/a", 0.5, 0.7), curve("main", 0.4, 0.6)
    beside = Beside(
        metric="val/loss", axis=Axis.EPOCH, metrics=("val/loss", "x"), curve=ours, main=main
    )
    drawn = Drawn(
        beside=beside,
        series=(
            series_of(ours, Look.CURVE_1, is_smooth=False),
            series_of(main, Look.CURVE_3, is_smooth=True),
        ),
    )
    lines = texts(chart_lines(drawn, width=60, height=12, window=(0.0, 1.0), is_smooth=False))
    assert lines[0] == "val/loss  1 of 2 over epochs"
    assert "exp/a (3 seeds)" in lines[1]
    assert "main (3 seeds)" in lines[1]
    assert lines[-1] == "last: 0.7000 [0.6000, 0.8000]   main 0.6000"
    assert len(lines) <= 12
    assert drawn.series[0].band
    assert not drawn.series[1].band


def test_a_long_curve_keeps_its_extremes_in_the_band():
    values = [0.5] * 5000
    values[1234] = 9.0
    band = series_of(curve("exp/a", *values), Look.CURVE_1, is_smooth=False).band
    assert len(band) <= 400
    assert max(high for _, _, high in band) == 9.1


def test_without_a_run_the_curves_say_so():
    nothing = Drawn(beside=Beside(metric="m", axis=Axis.STEP), series=())
    said = texts(chart_lines(nothing, width=60, height=12, window=(0.0, 1.0), is_smooth=False))
    assert said == ["no run that counts has logged anything yet"]


def test_a_line_is_broken_between_words_and_keeps_its_looks():
    line = (("one two ", Look.GOOD), ("three  four", Look.PLAIN))
    assert wrapped(line, 9, indent=2) == [
        (("one ", Look.GOOD), ("two", Look.GOOD)),
        (("  ", Look.PLAIN), ("three", Look.PLAIN)),
        (("  ", Look.PLAIN), ("four", Look.PLAIN)),
    ]
    assert texts(wrapped((("unbreakable", Look.PLAIN),), 4)) == ["unbr", "eaka", "ble"]
    assert texts(wrapped(line, 9, num_max=2)) == ["one two", "three  f…"]

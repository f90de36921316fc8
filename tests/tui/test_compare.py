"""Branches side by side: rows and lines as values, and one session that presses every key."""

from __future__ import annotations

import json

import pytest

from branchlab.lab.curves import Curve, Point
from branchlab.tui.chart_view import ChartView, chart_height, chart_lines, curve_points
from branchlab.tui.chooser import narrowed
from branchlab.tui.compare_choice import Choice, SideBySide, is_needed, next_against
from branchlab.tui.looks import Look, plain
from branchlab.tui.rows import Row
from branchlab.tui.views import BranchView, Role
from branchlab.tui.wrapping import beside, in_columns, wrapped


def curve(*means: float) -> Curve:
    points = tuple(
        Point(epoch=i, mean=m, low=m - 0.1, high=m + 0.1) for i, m in enumerate(means, 1)
    )
    return Curve(branch="exp/a", points=points, num_seeds=3)


def test_a_band_is_smoothed_with_its_curve():
    means, band = curve_points(curve(0.0, 1.0, 0.0, 1.0), 0.6)
    assert len(means) == len(band) == 4
    assert all(low < mean < high for (_, mean), (_, low, high) in zip(means, band, strict=True))


def test_a_branch_without_a_curve_leaves_the_dashes_of_the_others_as_they_are():
    lines = chart_lines(
        "val/x", [curve(0.1, 0.9)], ["main", "exp/a"], ChartView(), width=60, height=8
    )
    assert "╌╌ a" in plain(lines[0])
    assert "main" not in plain(lines[0])
    assert len(lines) == 8


def test_a_chart_without_curves_says_that_nothing_was_recorded():
    lines = chart_lines("val/x", [], ["main"], ChartView(), width=60, height=8)
    assert "no run here has recorded val/x" in plain(lines[1])


def test_zooming_in_and_out_again_shows_the_whole_and_never_leaves_it():
    view = ChartView()
    for _ in range(9):
        view = view.closer(1).panned(-1)
        assert 0.0 <= view.window[0] < view.window[1] <= 1.0
    for _ in range(9):
        view = view.closer(-1)
    assert view.window == (0.0, 1.0)


@pytest.mark.parametrize(("height", "rows"), [(15, 4), (24, 6), (24, 4), (45, 6)])
def test_charts_leave_room_for_the_table_and_some_text(height, rows):
    found = chart_height(height, rows, is_alone=False)
    assert found == 0 or height - 4 - found - rows - 2 >= 6


VIEWS = {
    name: BranchView(name=name, role=role, tip="1")
    for name, role in {
        "main": Role.MAIN,
        "original": Role.REFERENCE,
        "exp/a": Role.EXPERIMENT,
        "exp/b": Role.EXPERIMENT,
    }.items()
}


def test_what_is_held_against_goes_round_main_the_reference_and_every_branch():
    seen, now = [], SideBySide(base="main", names=("exp/a", "exp/b"), is_full=False)
    for _ in range(5):
        seen.append(now.base)
        base = next_against(now, VIEWS)
        names = tuple(n for n in ("exp/a", "exp/b") if n != base)
        now = SideBySide(base=base, names=names, is_full=False)
    assert seen[0] == "main"
    assert seen[1] == "original"
    assert set(seen) <= set(VIEWS)


def test_the_last_experiment_is_not_taken_away():
    now = SideBySide(base="original", names=("main", "exp/a"), is_full=False)
    assert is_needed("exp/a", now, VIEWS)
    assert not is_needed("main", now, VIEWS)


def test_a_metric_that_is_gone_is_followed_by_the_projects_own():
    choice = Choice(metric="val/forgotten").next_metric(["val/loss"], "val/accuracy", 1)
    assert choice.metric == "val/loss"
    assert choice.next_metric(["val/loss"], "val/accuracy", 1).metric == "val/accuracy"


def test_a_choice_is_narrowed_by_every_word():
    rows = [
        Row(key=n, cells=(((n, Look.PLAIN),), (("Double", Look.DIM),))) for n in ("wide", "gelu")
    ]
    assert [row.key for row in narrowed(rows, "double GE")] == ["gelu"]
    assert narrowed(rows, "x") == []


def test_cells_beside_each_other_keep_their_columns_whatever_stands_in_them():
    left = [(("日本", Look.PLAIN),), (("a", Look.DIM), ("b" * 20, Look.PLAIN))]
    lines = beside(left, [(("R", Look.PLAIN),)], 8)
    assert plain(lines[0]) == "日本    R"
    assert plain(lines[1]) == "abbbbbb…"
    assert plain(in_columns([left[0], left[0]], [5, 4])) == "日本  日本"


def test_text_is_wrapped_by_cells_not_by_characters():
    lines = wrapped((("日本 日本 日本", Look.PLAIN),), 9, num_max=5)
    assert [plain(line) for line in lines] == ["日本 日本", "日本"]


def unpaired(lab):
    """Give new-idea two of main's three seeds, and slices to it and to main."""
    lab.done("exp/new-idea", 0.865, 0.867)
    for folder in sorted((lab.root / ".branchlab/runs").glob("*")):
        if folder.name.startswith(("main", "new-idea", "gelu")):
            path = folder / "attempts/1/result.json"
            result = json.loads(path.read_text())
            value = result["metrics"]["val/accuracy"]
            parts = {"shirt": 0.02, "bag": -0.001} if folder.name.startswith("gelu") else {}
            result["slices"] = {
                f"val/accuracy[{part}]": value + parts.get(part, 0.0) for part in ("bag", "shirt")
            }
            path.write_text(json.dumps(result))
    return lab


async def choose(eyes):
    """Press what says which branches stand there."""
    await eyes.press("3")
    row = await eyes.see("▲ better")
    assert "exp/gelu" in row
    assert "●" in row
    await eyes.see("held against")
    # The seeds that have no partner are said, and R offers exactly these.
    await eyes.press("down", "j")
    await eyes.see("only seeds 0 1 are paired with main")
    await eyes.press("R")
    await eyes.see("branchlab run exp/new-idea --seeds 3")
    await eyes.press("escape")
    await eyes.press("a", *"wid")
    await eyes.see("[wid]")
    await eyes.press("escape", "escape", "a", *"original", "enter")
    await eyes.see("original  ")
    await eyes.press("G", "d")
    await eyes.see("Y copies: branchlab compare exp/gelu exp/new-idea exp/wider")
    await eyes.press("b")
    await eyes.see("against original")
    await eyes.press("m")
    await eyes.see("against original · sample")
    await eyes.press("m", "m", "b")
    await eyes.see("against exp/gelu")
    assert "main" in eyes.text()


async def look_closer(eyes):
    """Press what says how they are looked at."""
    await eyes.press("x", "o", "plus", "h", "l", "minus", "w", "W")
    await eyes.see("o smooth 0.6")
    await eyes.press("t")
    await eyes.see("step 10")
    assert "VERDICT" not in eyes.text()
    await eyes.press("t")
    await eyes.see("VERDICT")
    assert "step 10" not in eyes.text()
    await eyes.press("t", "tab", "z")
    await eyes.see("── slices of")
    assert "VERDICT" not in eyes.text()
    await eyes.press("G", "escape", "y")
    await eyes.see("copied the table as Markdown")
    assert "| exp/new-idea |" in eyes.app.clipboard
    await eyes.press("shift+tab", "enter")
    await eyes.see("RUN")
    await eyes.press("escape")


def test_every_key_of_the_comparison(full_lab, tui):
    lab = unpaired(full_lab)

    async def look(eyes):
        await choose(eyes)
        await look_closer(eyes)

        # What is marked elsewhere stands here, also where it has failed.
        eyes.app.marked = ["exp/focal"]
        await eyes.press("1", "3")
        await eyes.see("- no result")
        await eyes.press("G")
        await eyes.see("1 failed: ValueError: logits are NaN at step 12")

    tui.watch(lab.app(), look)
    kept = json.loads((lab.root / ".branchlab/tui/state.json").read_text())
    assert kept["compare.against"] == "exp/gelu"
    assert kept["compare.axis"] == "step"
    assert kept["compare.smooth"] == "0.6"


def test_a_lab_without_experiments_says_how_to_start_one(lab, tui):
    async def look(eyes):
        await eyes.press("3")
        await eyes.see("no experiment branch yet")
        await eyes.press("d", "b", "w", "R", "y", "a")
        await eyes.press("escape", "4")
        await eyes.see("no experiment yet; start one")
        await eyes.press("5")
        await eyes.see("nothing has happened yet")
        await eyes.press("enter", "E", "t", "y")

    tui.watch(lab.app(), look, size=(60, 15))

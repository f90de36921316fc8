"""The overview and verdicts as lines: at every width, with hostile names, without colour."""

from __future__ import annotations

import re

import click
import pytest

from branchlab.analysis.results import BranchResults, Subject
from branchlab.cli.compare_text import comparison_lines
from branchlab.cli.status_text import status_lines
from branchlab.cli.terminal import width
from branchlab.domain import Freshness, Goal, Landed, Outcome
from branchlab.lab.curves import Curve, Point
from branchlab.lab.judge import Comparison, Judged
from tests.lab.status_cases import experiment, overview, verdict

WIDTHS = [40, 60, 80, 100, 120, 160, 200]
HOSTILE = "exp/[red]\x1b[31m\x1b]0;x\x07\u202e名前" + "x" * 300
BRANCHES = (
    experiment("exp/better", judged=verdict(), notes=("on exp/wide +2",)),
    experiment("exp/old", judged=verdict(Outcome.WORSE), fresh=Freshness.BRANCH_MOVED),
    experiment("exp/early", judged=verdict(Outcome.UNDECIDED, is_interim=True), failed=1),
    experiment("exp/clash", conflicts=("models/a-long-name-of-a-file.py",), failed=2),
    experiment(HOSTILE, running=1),
)
CURVES = {
    "exp/better": Curve(
        branch="exp/better",
        points=tuple(Point(epoch=i, mean=0.1 * i, low=0.0, high=1.0) for i in range(8)),
        num_seeds=3,
    )
}


def plain(lines: list[str]) -> list[str]:
    return [click.unstyle(line) for line in lines]


def header(lines: list[str]) -> str:
    return next(line for line in plain(lines) if line.startswith("BRANCH"))


def comparison(*, names: tuple[str, ...] = ("exp/better", "exp/worse", HOSTILE)) -> Comparison:
    verdicts = (
        verdict(),
        verdict(Outcome.WORSE, difference=-0.04, interval=(-0.06, -0.02)),
        None,
    )
    judged = tuple(
        Judged(
            subject=Subject(branch=name, tree="t"),
            results=BranchResults(),
            against=BranchResults(),
            verdict=one,
        )
        for name, one in zip(names, verdicts, strict=False)
    )
    return Comparison(metric="val/accuracy", goal=Goal.MAX, against="main", judged=judged)


@pytest.mark.parametrize("room", WIDTHS)
def test_no_line_is_wider_than_the_terminal_and_every_branch_is_there(room: int) -> None:
    shown = status_lines(overview(*BRANCHES), room=room, curves=CURVES)
    shown += comparison_lines(comparison(), room=room, min_effect=0.005, curves=CURVES)
    assert max(map(width, shown)) <= room
    text = "\n".join(plain(shown))
    for name in ("exp/better", "exp/old", "exp/early", "exp/clash", "exp/worse", "exp/[red]"):
        assert name in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_what_says_how_far_a_result_can_be_trusted_stays_longest() -> None:
    kept = [header(status_lines(overview(*BRANCHES), room=room)).split() for room in (60, 80, 120)]
    assert kept[0] == ["BRANCH", "Δ", "MAIN", "VERDICT", "FRESH"]
    assert {"MAIN", "accuracy"} <= set(kept[1])
    assert {"MERGE", "BACK", "RUNS"} <= set(kept[2])
    text = "\n".join(plain(status_lines(overview(*BRANCHES), room=60)))
    assert "interim" in text
    assert "old tip" in text


def test_a_state_is_never_said_by_colour_alone() -> None:
    shown = status_lines(overview(*BRANCHES), room=120, curves=CURVES)
    text = "\n".join(plain(shown))
    for said in ("▲ better", "▽ worse", "~ undecided", "✗ failed", "conflict", "✗2", "●1"):
        assert said in text
    assert "\x1b" not in text
    assert "\x1b[32m▲ better" in "\n".join(shown)


def test_a_column_in_which_nothing_stands_takes_no_room() -> None:
    quiet = overview(experiment("exp/new"), experiment("exp/newer"))
    found = header(status_lines(quiet, room=200))
    assert not {"FRESH", "CURVE", "NOTE", "INTERVAL"} & set(found.split())


def test_curves_and_intervals_are_drawn_where_there_is_room() -> None:
    wide = plain(status_lines(overview(*BRANCHES), room=200, curves=CURVES))
    assert any("▁▂▃▄▅▆▇█" in line for line in wide)
    assert not any(
        "▁" in line for line in status_lines(overview(*BRANCHES), room=80, curves=CURVES)
    )
    drawn = plain(comparison_lines(comparison(), room=120, min_effect=0.005))
    rows = [line for line in drawn if "●" in line]
    assert len(rows) == 2
    places = [line.index("│") for line in rows]
    assert places[0] == places[1] == header(drawn).index(" 0 ") + 1
    assert any("±0.50 points, your min effect" in line for line in drawn)
    assert not any("●" in line for line in comparison_lines(comparison(), room=100))


def test_sentences_stand_below_their_branch_where_the_terminal_is_narrow() -> None:
    narrow = plain(comparison_lines(comparison(names=("exp/better",)), room=50))
    assert "exp/better" in narrow
    assert narrow[narrow.index("exp/better") + 1].startswith("  +2.00 points")
    wide = plain(comparison_lines(comparison(names=("exp/better",)), room=100))
    assert any(line.startswith("exp/better  +2.00 points") for line in wide)


def test_what_is_piped_is_whole_however_long_and_has_no_curves() -> None:
    text = click.unstyle("\n".join(status_lines(overview(*BRANCHES), curves=CURVES)))
    assert "x" * 300 in text
    assert "conflict: models/a-long-name-of-a-file.py" in text
    assert "better" in text
    assert "▁" not in text
    text = click.unstyle("\n".join(comparison_lines(comparison(), min_effect=0.005)))
    assert "x" * 300 in text
    assert "●" not in text


@pytest.mark.parametrize("room", [None, 40, 160])
def test_a_lab_without_experiments_says_how_to_start_one(room: int | None) -> None:
    assert "branchlab new-exp NAME" in " ".join(status_lines(overview(), room=room)).replace(
        "  ", " "
    )
    empty = comparison(names=())
    assert comparison_lines(empty, room=room)[-1].startswith("nothing to compare")


def test_a_landed_branch_says_by_which_road() -> None:
    from dataclasses import replace

    landed = experiment("exp/done")
    standing = replace(landed.standing, landed=Landed.SQUASHED)
    assert any(
        "squashed" in line
        for line in status_lines(overview(replace(landed, standing=standing)), room=80)
    )

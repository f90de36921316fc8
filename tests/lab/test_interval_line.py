"""Intervals as lines of text."""

from __future__ import annotations

import math

from branchlab.domain import Outcome
from branchlab.lab.interval_line import Axis, axis_of, axis_title, interval_line
from tests.lab.status_cases import verdict

AXIS = Axis(low=-10.0, high=10.0, margin=2.0, width=21)


def drawn(difference: float | None, interval: tuple[float, float] | None, **more: int) -> str:
    return interval_line(verdict(difference=difference, interval=interval, **more), AXIS)


def test_an_interval_stands_where_its_values_are() -> None:
    assert drawn(6.0, (4.0, 8.0)) == "        ┊ │ ┊ ──●──  "
    assert drawn(-6.0, (-8.0, -4.0)) == "  ──●── ┊ │ ┊        "


def test_zero_and_the_margin_are_seen_through_an_interval_that_crosses_them() -> None:
    assert drawn(1.0, (-4.0, 6.0)) == "      ──┼─┼●┼────    "


def test_one_seed_is_a_hollow_point_and_no_interval_is_none() -> None:
    assert drawn(6.0, (4.0, 8.0), seeds=1)[16] == "○"
    empty = "        ┊ │ ┊        "
    assert drawn(6.0, None) == drawn(None, None) == interval_line(None, AXIS) == empty
    assert drawn(math.nan, (math.nan, math.inf)) == empty


def test_what_is_beyond_the_axis_ends_in_an_arrow() -> None:
    assert drawn(5.0, (-30.0, 40.0)) == "◂───────┼─┼─┼──●────▸"
    assert drawn(60.0, (50.0, 70.0)) == "        ┊ │ ┊       ▸"


def test_one_branch_that_ran_away_does_not_flatten_the_others() -> None:
    calm = [verdict(difference=0.01, interval=(-0.01, 0.03)) for _ in range(4)]
    wild = verdict(difference=-60.0, interval=(-90.0, -30.0))
    axis = axis_of([*calm, wild], margin=0.005, width=41)
    assert axis is not None
    assert axis.low > -1
    assert interval_line(wild, axis).startswith("◂")
    assert interval_line(calm[0], axis).count("─") > 3


def test_an_axis_holds_zero_and_the_margin_and_needs_something_to_draw() -> None:
    axis = axis_of([verdict(difference=0.05, interval=(0.04, 0.06))], margin=0.005, width=30)
    assert axis is not None
    assert axis.low < -0.005
    assert axis.high > 0.06
    assert axis_of([verdict(interval=None)], margin=0.005, width=30) is None
    assert axis_of([], margin=0.005, width=30) is None


def test_equal_branches_and_no_margin_still_have_an_axis() -> None:
    same = verdict(Outcome.NO_DIFFERENCE, difference=0.0, interval=(0.0, 0.0))
    axis = axis_of([same], margin=0.0, width=11)
    assert axis is not None
    assert interval_line(same, axis) == "     ●     "


def test_the_title_names_the_ends_and_zero_or_as_much_as_there_is_room_for() -> None:
    assert axis_title(AXIS, low="-10", high="+10") == "-10       0       +10"
    narrow = Axis(low=-1.0, high=1.0, margin=0.0, width=7)
    assert axis_title(narrow, low="-10", high="+10") == "-10 +10"
    assert axis_title(narrow, low="-100", high="+100") == ""

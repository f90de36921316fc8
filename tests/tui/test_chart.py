"""Curves over one another, as lines of text."""

import math

import pytest

from branchlab.tui.chart import Series, legend, plot, smoothed
from branchlab.tui.looks import Look, plain

RAMP = Series(name="ramp", points=[(step, float(step)) for step in range(1, 101)])


def drawn(*series, width=60, height=10, **how):
    return [plain(line) for line in plot(series, width=width, height=height, **how)]


def dots(lines):
    return sum(
        (ord(c) - 0x2800).bit_count() for line in lines for c in line if "\u2800" <= c <= "\u28ff"
    )


def test_a_chart_fills_its_room_and_names_its_ends():
    lines = drawn(RAMP)
    assert len(lines) == 10
    assert {len(line) for line in lines} == {60}
    assert lines[0].split("┤")[0].strip() == "100.0000"
    assert lines[-2].split("┤")[0].strip() == "1.0000"
    assert "epoch 1─" in lines[-1]
    assert lines[-1].endswith("─100")


def test_a_spike_of_one_step_among_many_is_seen_whatever_its_dashes():
    flat = Series(name="flat", points=[(step, 0.0) for step in range(10_000)])
    points = [(step, 9.0 if step == 4321 else 0.0) for step in range(10_000)]
    for number in range(4):
        others = [flat] * number
        lines = drawn(*others, Series(name="spike", points=points))
        assert any("\u2800" < c <= "\u28ff" for c in lines[0]), number


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_leaves_a_gap_and_bends_nothing(value):
    broken = Series(name="x", points=[(1, 1.0), (2, value), (3, 3.0)])
    assert drawn(broken)[0].split("┤")[0].strip() == "3.0000"
    assert drawn(Series(name="x", points=[(1, value)])) == []


def test_no_points_too_little_room_one_point_and_a_constant():
    assert drawn() == drawn(Series(name="x", points=[])) == []
    assert drawn(RAMP, width=10) == drawn(RAMP, height=2) == []
    assert dots(drawn(Series(name="x", points=[(5, 1.0)]))) == 1
    assert dots(drawn(Series(name="x", points=[(1, 2.0), (9, 2.0)]))) > 20


def test_curves_keep_their_looks_and_the_first_lies_on_top():
    main = Series(name="main", points=RAMP.points, look=Look.PLAIN)
    other = Series(name="exp/a", points=[(s, 100.0 - v) for s, v in RAMP.points], look=Look.CURVE_1)
    looks = {look for line in plot([main, other], width=60, height=10) for _, look in line}
    assert {Look.PLAIN, Look.CURVE_1} <= looks
    same = plot(
        [main, Series(name="b", points=RAMP.points, look=Look.CURVE_1)], width=60, height=10
    )
    assert not any(look is Look.CURVE_1 for line in same for _, look in line)
    marks = plain(legend([main, other])).split()
    assert marks[1::2] == ["main", "exp/a"]
    assert marks[0] != marks[2]


def test_a_band_is_drawn_and_widens_the_axis():
    band = [(step, value - 50, value + 50) for step, value in RAMP.points]
    with_band = drawn(Series(name="x", points=RAMP.points, band=band))
    assert with_band[0].split("┤")[0].strip() == "150.0000"
    assert dots(with_band) > dots(drawn(RAMP)) * 3


def test_a_window_zooms():
    half = drawn(RAMP, window=(0.5, 1.0))
    assert half[-2].split("┤")[0].strip() == "51.0000"
    assert drawn(RAMP, window=(0.4, 0.4001)) == []


def test_smoothing_does_not_begin_at_nought_and_keeps_a_constant():
    assert smoothed([(1, 5.0), (2, 5.0), (3, 5.0)], 0.9) == [
        (1, pytest.approx(5.0)), (2, pytest.approx(5.0)), (3, pytest.approx(5.0)),
    ]  # fmt: skip
    assert smoothed(RAMP.points, 0.0) is RAMP.points
    assert [step for step, _ in smoothed([(1, 1.0), (2, math.nan), (3, 2.0)], 0.5)] == [1, 3]

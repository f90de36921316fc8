"""Curves in one line of blocks."""

from __future__ import annotations

from branchlab.lab.curves import Curve, Point, sparklines
from branchlab.lab.sparkline import shared_span, sparkline


def curve(*values: float) -> list[tuple[int, float]]:
    return list(enumerate(values))


def test_a_curve_in_a_span_of_its_own_uses_all_blocks() -> None:
    assert sparkline(curve(0, 1, 2, 3, 4, 5, 6, 7), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(curve(0, 0, 0, 7), 2) == "▁█"
    assert sparkline([], 8) == sparkline(curve(1, 2), 0) == ""


def test_in_a_shared_span_a_flat_curve_stays_flat() -> None:
    span = shared_span([curve(0.1, 0.5, 0.9), curve(0.88, 0.9, 0.89)])
    assert sparkline(curve(0.88, 0.9, 0.89), 3, span=span) == "███"
    assert len(set(sparkline(curve(0.88, 0.9, 0.89), 3))) > 1


def test_a_curve_that_runs_away_flattens_no_other() -> None:
    calm = [curve(0.9, 0.6, 0.4, 0.3, 0.25) for _ in range(4)]
    span = shared_span([*calm, curve(1, 10, 1e6)])
    assert sparkline(calm[0], 5, span=span)[-1] < sparkline(calm[0], 5, span=span)[0]
    assert sparkline(curve(1, 10, 1e6), 3, span=span)[-1] == "█"


def test_without_a_curve_there_is_no_span() -> None:
    assert shared_span([]) is None
    assert shared_span([curve(2.0)]) == (2.0, 2.0)


def test_branches_are_drawn_in_one_span() -> None:
    def means(*values: float) -> Curve:
        points = tuple(Point(epoch=i, mean=v, low=v, high=v) for i, v in enumerate(values))
        return Curve(branch="b", points=points, num_seeds=2)

    found = sparklines({"exp/a": means(0.0, 0.0), "exp/b": means(0.0, 1.0)}, 10)
    assert found == {"exp/a": "▁▁", "exp/b": "▁█"}
    assert sparklines({}, 10) == {}

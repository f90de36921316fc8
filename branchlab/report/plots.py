"""Pictures of figures as SVG: pure functions from values to text. Colours are classes that the page's style gives them.

Everything that a pointer shows stands in ``<title>`` elements, so that a browser without script shows it too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Verdict
from branchlab.lab.curves import Chart, Curve, Point
from branchlab.lab.words import OUTCOME_MARKS, figure
from branchlab.report.markup import Markup, text

NUM_COLOURS = 8
_Scale = Callable[[float], float]
CURVES_MAX = 60
"""More on one chart cannot be told apart, nor be found in its legend."""
_WIDTH = 900
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 380, 70, 16, 14, 46
_POINTS_MAX, _DOTS_MAX = 400, 40
_ROW, _NAMES, _SAID = 28, 220, 300
_NAME_LENGTH_MAX = 30
_DECIDES = 2
"""Seeds below which an interval is provisional, and may be so wide that it would hide the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A line of a forest plot: what it is about, and the verdict that it draws."""

    label: str
    verdict: Verdict


def forest(effects: Sequence[Effect], *, against: str, min_effect: float, label: str) -> Markup:
    """Return verdicts as intervals around zero, with the margin within which nothing matters as a band.

    All in the unit in which differences are said: points of a share, else the metric's own.
    """
    shown = [one for one in effects if one.verdict.difference is not None]
    scale = 100.0 if any(one.verdict.is_share for one in shown) else 1.0
    low, high = _reach(shown, min_effect)
    left, right = float(_NAMES), float(_WIDTH - _SAID)
    height = _TOP + _ROW * len(shown) + _BOTTOM

    def x(value: float) -> float:
        at = left + (right - left) * (value - low) / (high - low)
        return min(max(at, left), right)

    bottom = _TOP + _ROW * len(shown)
    margin = f'x="{x(-min_effect):.1f}" width="{x(min_effect) - x(-min_effect):.1f}"'
    words = text(_margin_words(min_effect, scale))
    parts = [
        f'<rect class="margin" {margin} y="{_TOP}" height="{bottom - _TOP}"><title>{words}</title></rect>'
    ]
    for tick in _ticks(low * scale, high * scale):
        at = x(tick / scale)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:+g}</text>'
        )
    parts.append(f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{_TOP}" y2="{bottom}"/>')
    unit = " in points" if scale > 1 else ""
    parts.append(
        f'<text class="tick" x="{(left + right) / 2:.1f}" y="{bottom + 36}" text-anchor="middle">'
        f"{text(f'difference to {against}{unit}')}</text>"
    )
    for number, one in enumerate(shown):
        parts.append(_effect(one, _TOP + _ROW * number + _ROW // 2, x, (low, high)))
    return _picture(_WIDTH, height, label, parts, "forest")


def _effect(one: Effect, y: int, x: _Scale, reach: tuple[float, float]) -> str:
    verdict = one.verdict
    assert verdict.difference is not None
    said = f"{difference_text(verdict)} {interval_text(verdict)}".rstrip()
    mark = OUTCOME_MARKS[verdict.outcome]
    word = str(verdict.outcome).replace("-", " ")
    interim = ", interim" if verdict.is_interim else ""
    line = ""
    if verdict.interval is not None:
        low, high = verdict.interval
        line = f'<line class="interval" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>'
        for end, sign in ((low, -1), (high, 1)):
            is_cut = not reach[0] <= end <= reach[1]
            shape = (
                f"M{x(end) - 5 * sign:.1f},{y - 5} l{5 * sign},5 l{-5 * sign},5"
                if is_cut
                else f"M{x(end):.1f},{y - 4} v8"
            )
            line += f'<path class="interval" d="{shape}"/>'
    return (
        f'<g class="effect {verdict.outcome}"><title>{text(f"{one.label}: {verdict.sentence}")}</title>'
        f'<text x="{_NAMES - 12}" y="{y + 5}" text-anchor="end">{text(_cut(one.label))}</text>{line}'
        f'<circle cx="{x(verdict.difference):.1f}" cy="{y}" r="5"/>'
        f'<text class="said" x="{_WIDTH - _SAID + 14}" y="{y + 5}">{text(f"{mark} {said}")}</text>'
        f'<text class="word" x="{_WIDTH - 4}" y="{y + 5}" text-anchor="end">{text(word + interim)}</text></g>'
    )


def _reach(effects: Sequence[Effect], min_effect: float) -> tuple[float, float]:
    decided = [one for one in effects if one.verdict.seeds >= _DECIDES] or list(effects)
    ends = [-min_effect, min_effect, 0.0]
    for one in decided:
        ends += [one.verdict.difference or 0.0, *(one.verdict.interval or ())]
    ends += [one.verdict.difference or 0.0 for one in effects]
    ends = [end for end in ends if math.isfinite(end)]
    low, high = min(ends), max(ends)
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def _margin_words(min_effect: float, scale: float) -> str:
    unit = " points" if scale > 1 else ""
    return f"within ±{scale * min_effect:g}{unit} nothing matters"


def curves(chart: Chart, *, metric: str, number: int) -> Markup:
    """Return the curves of a chart over the epochs, main's on top; ``number`` tells charts of one page apart."""
    branches = chart.curves[:CURVES_MAX]
    drawn = [*branches, *([chart.main] if chart.main is not None else [])]
    epochs = [point.epoch for curve in drawn for point in curve.points]
    first, last = min(epochs), max(epochs)
    low = min(point.low for curve in drawn for point in curve.points)
    high = max(point.high for curve in drawn for point in curve.points)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room

    def x(epoch: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (epoch - first) / ((last - first) or 1)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in _ticks(low, high)
    ]
    parts += [
        f'<text class="tick" x="{x(epoch):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{epoch}</text>'
        for epoch in sorted({round(tick) for tick in _ticks(first, last)} & set(epochs))
    ]
    parts.append(
        f'<text class="tick" x="{(_LEFT + _WIDTH) / 2:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">epoch</text>'
        f'<text class="tick" x="{_LEFT}" y="10">{text(metric)}</text>'
    )
    parts += [
        _curve(curve, x, y, f"{colour(place)} n{number}-{place}")
        for place, curve in enumerate(branches)
    ]
    if chart.main is not None:
        parts.append(_curve(chart.main, x, y, f"main n{number}-main"))
    parts.append(f'<line class="cross" x1="0" x2="0" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
    label = f"{metric} by epoch on the {chart.scale} set, {len(drawn)} branches"
    return _picture(_WIDTH, _HEIGHT, label, parts, "curves")


def colour(place: int) -> str:
    """Return the classes that give a curve its colour, and its dashes once all colours are used."""
    return f"k{place % NUM_COLOURS} d{place // NUM_COLOURS % 4}"


def _curve(curve: Curve, x: _Scale, y: _Scale, classes: str) -> str:
    points = _thinned(curve.points, _POINTS_MAX)
    line = "M" + " L".join(f"{x(p.epoch):.1f},{y(p.mean):.1f}" for p in points)
    there = " L".join(f"{x(p.epoch):.1f},{y(p.high):.1f}" for p in points)
    back = " L".join(f"{x(p.epoch):.1f},{y(p.low):.1f}" for p in reversed(points))
    dots = "".join(
        f'<circle data-epoch="{p.epoch}" cx="{x(p.epoch):.1f}" cy="{y(p.mean):.1f}" r="3">'
        f"<title>{text(_point_words(curve, p))}</title></circle>"
        for p in _thinned(curve.points, _DOTS_MAX)
    )
    band = f'<path class="band" d="M{there} L{back} Z"/>' if curve.num_seeds > 1 else ""
    return f'<g class="curve {classes}">{band}<path class="line" d="{line}"/>{dots}</g>'


def _point_words(curve: Curve, point: Point) -> str:
    seeds = f"{curve.num_seeds} seed{'' if curve.num_seeds == 1 else 's'}"
    between = f", {figure(point.low)} to {figure(point.high)}" if curve.num_seeds > 1 else ""
    return f"{curve.branch}, epoch {point.epoch}: {figure(point.mean)}{between}, {seeds}"


def _thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most so many points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(step * place)] for place in range(most)]


def _ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Return round numbers between two ends."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(step * number, 12) + 0.0 for number in range(first, last + 1)]


def _picture(width: int, height: int, label: str, parts: Sequence[str], kind: str) -> Markup:
    body = "\n".join(parts)
    return Markup(
        f'<svg class="plot {kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{text(label)}">\n{body}\n</svg>'
    )


def _cut(label: str) -> str:
    return label if len(label) <= _NAME_LENGTH_MAX else f"{label[: _NAME_LENGTH_MAX - 1]}…"

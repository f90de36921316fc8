"""The parts of a page that draw: verdicts, curves and slices, each with a table of what it shows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Outcome, Verdict
from branchlab.lab.judge_slices import SlicedBranch
from branchlab.lab.report import Report
from branchlab.lab.status import BranchStatus
from branchlab.lab.words import OUTCOME_MARKS, few, figure
from branchlab.report import wording
from branchlab.report.markup import (
    EMPTY,
    Markup,
    details,
    element,
    joined,
    table,
    text,
    wide,
)
from branchlab.report.plots import CURVES_MAX, Effect, colour, curves, forest

SHOWN_AT_FIRST = 6
"""Curves that are switched on when the page opens."""
SLICES_MAX = 30
_SWATCH = '<svg class="swatch {classes}" viewBox="0 0 26 10" aria-hidden="true"><path class="line" d="M0,5 H26"/></svg>'


def verdicts(found: Report) -> Markup:
    """Return the verdicts as a forest plot, and in sentences."""
    if found.comparison is None:
        return EMPTY
    effects = [
        Effect(label=wording.name_of(one), verdict=one.verdict)
        for one in found.branches
        if one.verdict is not None and one.verdict.difference is not None
    ]
    parts = []
    for is_share, ones in groupby(sorted(effects, key=_unit), key=_unit):
        label = f"Differences to {found.comparison.against} with their intervals"
        plot = forest(
            list(ones),
            against=found.comparison.against,
            min_effect=found.min_effect,
            label=f"{label}, {'in points' if is_share else 'in the unit of the metric'}",
        )
        parts.append(wide(plot, label))
    rows = [
        [
            text(wording.name_of(one)),
            _verdict_cell(one),
            text(_scale(one)),
            text(wording.why(found, one)),
        ]
        for one in found.branches
    ]
    parts.append(
        table(["Branch", "Verdict", "Scale", "Why"], rows, caption="Verdicts in sentences")
    )
    parts += [element("p", text(said)) for said in _about_pairs(found)]
    return joined(parts, "\n")


def _unit(effect: Effect) -> bool:
    return effect.verdict.is_share


def _scale(one: BranchStatus) -> str:
    return str(one.verdict.scale) if one.verdict is not None else ""


def _verdict_cell(one: BranchStatus) -> Markup:
    kind = str(one.verdict.outcome) if one.verdict is not None else "failed"
    return element("span", text(wording.verdict_words(one)), class_=f"tight {kind}")


def _about_pairs(found: Report) -> list[str]:
    compared = found.comparison
    assert compared is not None
    said = [
        f"! {name} {what}: its verdict is about the data too"
        for name, what in compared.samples.items()
    ]
    said += [
        f"! {name} trained in another environment: {what}"
        for name, what in compared.environments.items()
    ]
    if compared.other_scales:
        said.append(
            f"{few(list(compared.other_scales))}: also run at another scale, which is never mixed in"
        )
    return said


def charts(found: Report) -> Markup:
    """Return the curves of the metric, a chart a protocol."""
    parts = []
    for number, chart in enumerate(found.charts):
        plot = curves(chart, metric=found.status.metric, number=number)
        drawn = chart.curves[:CURVES_MAX]
        boxes = [
            _box(f"n{number}-{place}", curve.branch, colour(place), is_on=place < SHOWN_AT_FIRST)
            for place, curve in enumerate(drawn)
        ]
        if chart.main is not None:
            boxes.append(_box(f"n{number}-main", chart.main.branch, "main", is_on=True))
        legend = element(
            "fieldset", Markup(f"<legend>Branches shown</legend>{joined(boxes)}"), class_="legend"
        )
        rules = "".join(_rule(number, name) for name in (*map(str, range(len(drawn))), "main"))
        rows = [
            [
                text(curve.branch + (", running" if curve.is_running else "")),
                text(str(curve.num_seeds)),
                text(str(curve.points[-1].epoch)),
                *(
                    text(figure(value))
                    for value in (
                        curve.points[-1].mean,
                        curve.points[-1].low,
                        curve.points[-1].high,
                    )
                ),
            ]
            for curve in (*([chart.main] if chart.main is not None else []), *chart.curves)
        ]
        header = ["Branch", "Seeds", "Epoch", "Mean", "Lowest", "Highest"]
        ends = table(
            header, rows, caption=f"{found.status.metric} at the last epoch", right=(1, 2, 3, 4, 5)
        )
        left = len(chart.curves) - len(drawn)
        more = f" {left} more are in the table alone." if left else ""
        title = f"{found.status.metric} on the {chart.scale} set"
        words = f"Line: mean over seeds. Band: lowest to highest seed. The best {SHOWN_AT_FIRST} are switched on.{more}"
        content = joined(
            (
                Markup(f"<style>{rules}</style>"),
                element("h3", text(title)),
                wide(plot, title),
                Markup('<output class="readout" aria-live="off"></output>'),
                legend,
                element("p", text(words), class_="soft"),
                details(text("The ends of the curves as a table"), ends),
            ),
            "\n",
        )
        parts.append(element("div", content, class_=f"chart chart-{number}"))
    return joined(parts)


def _box(name: str, branch: str, classes: str, *, is_on: bool) -> Markup:
    checked = " checked" if is_on else ""
    swatch = _SWATCH.format(classes=classes)
    return Markup(
        f'<label><input type="checkbox" id="s-{name}"{checked}>{swatch}{text(branch)}</label>'
    )


def _rule(number: int, name: str) -> str:
    """Return the style that hides a curve whose box is not checked: a legend that needs no script."""
    return f".chart-{number}:has(#s-n{number}-{name}:not(:checked)) .n{number}-{name} {{ display: none; }}\n"


def slices(found: Report) -> Markup:
    """Return the verdicts by slice, a branch a fold."""
    return joined(_sliced(found, one) for one in found.slices if one.verdicts)


def _sliced(found: Report, one: SlicedBranch) -> Markup:
    metric = found.status.metric
    against = found.comparison.against if found.comparison is not None else ""
    shown = list(one.verdicts.items())[:SLICES_MAX]
    names = {part: part.removeprefix(metric).strip("[]") or part for part, _ in shown}
    effects = [Effect(label=names[part], verdict=verdict) for part, verdict in shown]
    label = f"{one.branch}: differences by slice of {metric}"
    plot = forest(effects, against=against, min_effect=found.min_effect, label=label)
    rows = [
        [
            text(names[part]),
            text(figure(one.means[part])),
            text(difference_text(verdict)),
            text(interval_text(verdict)),
            element(
                "span",
                text(f"{OUTCOME_MARKS[verdict.outcome]} {wording.OUTCOME_WORDS[verdict.outcome]}"),
                class_=str(verdict.outcome),
            ),
        ]
        for part, verdict in shown
    ]
    header = ["Slice", "Mean", f"Δ {against}", "Interval", "Verdict"]
    left = len(one.verdicts) - len(shown)
    more = f"; {left} with smaller differences are left out" if left else ""
    caption = (
        f"Verdicts are adjusted for their number ({len(one.verdicts)}), intervals are not{more}"
    )
    content = wide(plot, label) + table(header, rows, caption=caption, right=(1, 2))
    return details(text(f"{one.branch}: {_decided(one.verdicts.values())}"), Markup(content))


def _decided(found: Iterable[Verdict]) -> str:
    outcomes = [one.outcome for one in found]
    better, worse = outcomes.count(Outcome.BETTER), outcomes.count(Outcome.WORSE)
    return f"of {len(outcomes)} slices {better} better, {worse} worse"

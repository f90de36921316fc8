"""The parts of a page: each a pure function from a report to markup, empty where there is nothing to show."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Outcome, Verdict
from branchlab.lab.judge_slices import SlicedBranch
from branchlab.lab.pictures import Picture
from branchlab.lab.report import Report
from branchlab.lab.status import BranchStatus
from branchlab.lab.words import OUTCOME_MARKS, RELATION_WORDS, few, figure
from branchlab.report import wording
from branchlab.report.map_svg import map_element
from branchlab.report.markup import (
    EMPTY,
    Markup,
    details,
    element,
    joined,
    listed,
    table,
    text,
    wide,
)
from branchlab.report.plots import CURVES_MAX, Effect, colour, curves, forest

SHOWN_AT_FIRST = 6
"""Curves that are switched on when the page opens."""
SLICES_MAX = 30
ENTRIES_MAX = 200
_OPEN_MAX = 30
"""A journal with more entries is folded."""
_SMALL = 128
"""Pictures with fewer pixels a side are enlarged without being smoothed."""
_SWATCH = '<svg class="swatch {classes}" viewBox="0 0 26 10" aria-hidden="true"><path class="line" d="M0,5 H26"/></svg>'


def warnings(found: Report) -> Markup:
    """Return what the reader should know before reading on."""
    return joined(element("p", text(f"! {said}"), class_="warning") for said in found.warnings)


def summary(found: Report) -> Markup:
    """Return the report in words."""
    return element("div", listed(map(text, wording.summary(found))), class_="summary")


def overview(found: Report) -> Markup:
    """Return the table of branches."""
    if not found.branches:
        return element("p", text("No experiment branch yet; start one: branchlab new-exp NAME."))
    rows = []
    for one in found.branches:
        cells = [text(cell) for cell in wording.overview_row(one, found.at)]
        for place in (1, 2, 5, 6):
            cells[place] = element("span", cells[place], class_="tight")
        if one.verdict is not None:
            cells[7] = element("span", cells[7], class_=str(one.verdict.outcome))
        elif one.num_failed:
            cells[7] = element("span", cells[7], class_="failed")
        rows.append(cells)
    caption = "Branches, the best first; Main and Ref count commits ahead ↑ and behind ↓"
    header = wording.overview_header(found)
    waiting = [
        text(
            f"★ {wording.name_of(one)}: {str(one.recommendation.action).replace('-', ' ')}: {one.recommendation.reason}"
        )
        for one in found.branches
        if one.recommendation.action.is_waiting
    ]
    shown = table(header, rows, caption=caption, right=(4, 5))
    return joined((shown, listed(waiting) if waiting else EMPTY))


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


def hypotheses(found: Report) -> Markup:
    """Return what experiments claim, each claim with its evidence."""
    parts = []
    for branch in found.branches:
        if not branch.hypotheses:
            continue
        name = wording.name_of(branch)
        parts.append(element("h3", text(name)))
        for one in branch.hypotheses:
            line = text(wording.hypothesis_line(one))
            parts.append(element("p", line, class_=str(one.state)))
            if one.hypothesis.damage:
                parts.append(element("p", text(one.hypothesis.damage)))
            rows = [
                [text(what), text(claim), element("span", text(state), class_="tight"), text(said)]
                for what, claim, state, said in wording.hypothesis_rows(one)
            ]
            if rows:
                caption = f"{name}, {one.hypothesis.id}: claims and evidence"
                parts.append(table(["What", "Claim", "State", "Evidence"], rows, caption=caption))
        if branch.remark:
            parts.append(element("p", text(branch.remark)))
    return joined(parts, "\n")


def features(found: Report) -> Markup:
    """Return what branches change, with what each change needs, and what training has shown of merging them."""
    parts = []
    for branch in found.branches:
        name = wording.name_of(branch)
        known = found.features.get(name)
        parity = wording.parity_lines(branch.parity)
        if known is None or not (known.features or parity):
            continue
        rows = [
            [
                text(one.symbol or one.path),
                text(str(one.verdict)),
                text(wording.feature_place(one)),
                text(one.flag or ""),
                text(one.reason),
            ]
            for one in wording.features_that_count(known.features)
        ]
        header = ["Feature", "Verdict", "Place", "Flag", "Why"]
        content = [table(header, rows, caption=f"Features of {name}")] if rows else []
        content += [listed(map(text, parity))] if parity else []
        number = f"{len(rows)} feature{'' if len(rows) == 1 else 's'}"
        shown = "; parity shown" if branch.parity is not None and branch.parity.holds else ""
        shown = (
            "; parity broken" if branch.parity is not None and not branch.parity.holds else shown
        )
        line = text(f"{name}: {known.merge_back}, {number}{shown}")
        parts.append(details(line, joined(content)))
    return joined(parts)


def experiment_map(found: Report) -> Markup:
    """Return the map, and the relations in words."""
    if found.map is None or not found.map.nodes:
        return EMPTY
    said = [
        text(
            f"{edge.source} {RELATION_WORDS[edge.relation]} {edge.target}"
            + (f": {edge.text}" if edge.text else "")
        )
        for edge in found.map.edges
    ]
    drawn = wide(Markup(map_element(found.map)), "Map of experiments")
    return joined((drawn, listed(said) if said else EMPTY))


def pictures(found: Report) -> Markup:
    """Return what models saw, a figure a picture, by branch."""
    parts = [
        element("div", joined((element("h3", text(branch)), *map(_figure, ones)), "\n"))
        for branch, ones in groupby(found.pictures.taken, key=lambda one: one.branch)
    ]
    parts = [element("div", joined(parts), class_="pictures")] if parts else []
    left = found.pictures.num_left_out
    if left:
        said = (
            f"{left} more are left out, for their number, their bytes, or because they are no PNG."
        )
        parts.append(element("p", text(said), class_="soft"))
    return joined(parts)


def _figure(one: Picture) -> Markup:
    content = base64.b64encode(one.content).decode()
    alt = text(f"{one.what} of {one.branch}, {one.source}")
    is_small = max(one.width, one.height) < _SMALL
    factor = max(1, _SMALL * 2 // max(one.width, one.height)) if is_small else 1
    image = (
        f'<img src="data:image/png;base64,{content}" alt="{alt}" width="{one.width * factor}" '
        f'height="{one.height * factor}" loading="lazy" decoding="async">'
    )
    small = ' class="small"' if is_small else ""
    return Markup(
        f"<figure{small}>{image}<figcaption>{text(f'{one.what}, {one.source}')}</figcaption></figure>"
    )


def notes(found: Report) -> Markup:
    """Return what people wrote down, the latest first."""
    return listed(
        Markup(f"{_moment(entry.at)} <b>{text(entry.experiment)}</b> {text(wording.told(entry))}")
        for entry in wording.notes_of(found.journal.entries)
    )


def journal(found: Report) -> Markup:
    """Return what has happened, the latest first."""
    entries = found.journal.entries
    shown = list(reversed(entries))[:ENTRIES_MAX]
    rows = [
        [
            _moment(entry.at),
            text(entry.experiment),
            text(str(entry.what)),
            text(wording.told(entry)),
        ]
        for entry in shown
    ]
    left = len(entries) - len(shown)
    caption = "What has happened, the latest first" + (
        f"; {left} earlier entries: branchlab log" if left else ""
    )
    whole = table(["When", "Experiment", "What", "Told"], rows, caption=caption)
    return details(text(f"{len(entries)} entries"), whole, is_open=len(entries) <= _OPEN_MAX)


def _moment(at: datetime) -> Markup:
    utc = at.astimezone(UTC)
    return Markup(
        f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}" class="tight">{utc:%Y-%m-%d %H:%M}</time>'
    )


def trust(found: Report) -> Markup:
    """Return what all of it rests on."""
    return listed(map(text, wording.trust_lines(found)))

"""The parts of a page: each a pure function from a report to markup, empty where there is nothing to show."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from itertools import groupby

from branchlab.lab.pictures import Picture
from branchlab.lab.report import Report
from branchlab.lab.words import RELATION_WORDS
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

ENTRIES_MAX = 200
_OPEN_MAX = 30
"""A journal with more entries is folded."""
_SMALL = 128
"""Pictures with fewer pixels a side are enlarged without being smoothed."""


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
    beside = listed(map(text, wording.ends(found)))
    return joined((beside, shown, listed(waiting) if waiting else EMPTY))


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
        if known is None or not (wording.features_that_count(known.features) or parity):
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

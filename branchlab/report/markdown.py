"""The report in Markdown, for a pull request: the same words, no pictures.

What people wrote is escaped so that it formats nothing, links nowhere, and mentions nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC
from html import escape

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Outcome
from branchlab.lab.markdown_text import CALLING, escaped, markdown_table
from branchlab.lab.report import Report
from branchlab.lab.words import OUTCOME_MARKS, figure
from branchlab.report import wording
from branchlab.terminal_text import safe_text

ENTRIES_MAX = 30
_BEGINNING = re.compile(r"^(\d*)([-+=#.)])(?=\s)")


def markdown(found: Report) -> str:
    """Return the report as a Markdown document."""
    about = f": {', '.join(found.asked_for)}" if found.asked_for else ""
    parts = [f"## {escaped(found.name + about)}"]
    parts += [f"> **!** {escaped(said)}" for said in found.warnings]
    parts.append(_list(wording.summary(found)))
    parts += _branches(found)
    parts += _slices(found)
    parts += _hypotheses(found)
    parts += _features(found)
    parts += _written(found)
    parts += _section("Trust", _list(wording.trust_lines(found)))
    moment = found.at.astimezone(UTC)
    return "\n\n".join(parts) + f"\n\n<sub>branchlab report, {moment:%Y-%m-%d %H:%M} UTC</sub>\n"


def _section(title: str, content: str) -> list[str]:
    return [f"### {title}", content] if content else []


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {_line(item)}" for item in items)


def _line(value: str) -> str:
    """Return text that begins neither a heading nor another list."""
    return _BEGINNING.sub(r"\1\\\2", escaped(value))


def _fold(summary: str, content: str) -> str:
    # What stands in an element of HTML is read as HTML: a backslash would be seen there.
    said = CALLING.sub(r"\1<!-- -->", escape(safe_text(" ".join(summary.split()))))
    return f"<details><summary>{said}</summary>\n\n{content}\n\n</details>"


def _branches(found: Report) -> list[str]:
    if not found.branches:
        return []
    rows = [wording.overview_row(one, found.at) for one in found.branches]
    whole = markdown_table(wording.overview_header(found), rows, right=(4, 5))
    sentences = [[wording.name_of(one), wording.why(found, one)] for one in found.branches]
    said = _fold("Verdicts in sentences", markdown_table(["Branch", "Why"], sentences))
    return [*_section("Branches", _list(wording.ends(found))), whole, said]


def _slices(found: Report) -> list[str]:
    rows = [
        [
            one.branch,
            part.removeprefix(found.status.metric),
            figure(one.means[part]),
            difference_text(verdict),
            interval_text(verdict),
            f"{OUTCOME_MARKS[verdict.outcome]} {wording.OUTCOME_WORDS[verdict.outcome]}",
        ]
        for one in found.slices
        for part, verdict in one.verdicts.items()
        if verdict.outcome in {Outcome.BETTER, Outcome.WORSE}
    ]
    num_all = sum(len(one.verdicts) for one in found.slices)
    if not num_all:
        return []
    header = ["Branch", "Slice", "Mean", "Δ", "Interval", "Verdict"]
    content = markdown_table(header, rows, right=(2, 3)) if rows else "No slice is better or worse."
    return _section(f"Slices: {len(rows)} of {num_all} are decided", content)


def _hypotheses(found: Report) -> list[str]:
    parts = []
    for branch in found.branches:
        for one in branch.hypotheses:
            parts.append(
                f"**{escaped(wording.name_of(branch))}** {escaped(wording.hypothesis_line(one))}"
            )
            rows = wording.hypothesis_rows(one)
            if rows:
                parts.append(markdown_table(["What", "Claim", "State", "Evidence"], rows))
        if branch.remark:
            parts.append(escaped(branch.remark))
    return _section("Hypotheses", "\n\n".join(parts))


def _features(found: Report) -> list[str]:
    parts = []
    for branch in found.branches:
        name = wording.name_of(branch)
        known = found.features.get(name)
        parity = _list(wording.parity_lines(branch.parity))
        if known is None or not (wording.features_that_count(known.features) or parity):
            continue
        rows = [
            [
                one.symbol or one.path,
                str(one.verdict),
                wording.feature_place(one),
                one.flag or "",
                one.reason,
            ]
            for one in wording.features_that_count(known.features)
        ]
        shown = markdown_table(["Feature", "Verdict", "Place", "Flag", "Why"], rows) if rows else ""
        parts.append(
            _fold(f"{name}: {known.merge_back}", "\n\n".join(filter(None, (shown, parity))))
        )
    return _section("Features and parity", "\n\n".join(parts))


def _written(found: Report) -> list[str]:
    entries = found.journal.entries
    notes = [f"{entry.experiment}: {wording.told(entry)}" for entry in wording.notes_of(entries)]
    rows = [
        [
            f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M}",
            entry.experiment,
            str(entry.what),
            wording.told(entry),
        ]
        for entry in reversed(entries[-ENTRIES_MAX:])
    ]
    told = (
        _fold(
            f"The latest {len(rows)} of {len(entries)} entries",
            markdown_table(["When", "Experiment", "What", "Told"], rows),
        )
        if rows
        else ""
    )
    return [*_section("Notes", _list(notes)), *_section("Journal", told)]

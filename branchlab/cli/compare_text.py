"""Verdicts for people: a sentence each, and on a terminal with room the intervals on one axis and the curves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from branchlab.analysis.wording import amount, difference_text, interval_text
from branchlab.cli import terminal
from branchlab.cli.table import (
    OUTCOME_COLOURS,
    aligned,
    cut,
    natural_widths,
    outcome_text,
    say,
    table,
    wrapped,
)
from branchlab.cli.terminal import width
from branchlab.cli.trust_line import trust_line
from branchlab.domain import Verdict
from branchlab.lab.columns import Column
from branchlab.lab.curves import Curve, curves_of, sparklines
from branchlab.lab.interval_line import MARGIN, ZERO, Axis, axis_of, axis_title, interval_line
from branchlab.lab.judge import Comparison, Judged, why_none
from branchlab.lab.project import Project
from branchlab.lab.words import few, figure
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.analysis.by_example import ByExample
    from branchlab.lab.judge_slices import SlicedBranch

_CURVES_FROM, _INTERVALS_FROM = 80, 110
_CURVE_WIDTH = 10
_INTERVAL_WIDTHS = range(21, 50)
_NAMES_MIN, _NAMES_MAX = 24, 30
_TEXT_MIN = 44
_GUIDES = re.compile(f"[{ZERO}{MARGIN}]+")
_DRAWN = re.compile(f"[^ {ZERO}{MARGIN}]+")


def print_comparison(project: Project, found: Comparison) -> None:
    """Print verdicts for people, the best branch first."""
    room = terminal.columns()
    curves = {}
    if room is not None and room >= _CURVES_FROM:
        results = {one.subject.branch: one.results for one in found.judged}
        curves = curves_of(project, results, found.metric)
    margin = project.config.run.min_effect
    click.echo("\n".join(comparison_lines(found, room=room, min_effect=margin, curves=curves)))


def comparison_lines(
    found: Comparison,
    *,
    room: int | None = None,
    min_effect: float = 0.0,
    curves: Mapping[str, Curve] | None = None,
) -> list[str]:
    """Return verdicts for people, the best branch first.

    Args:
        found: The verdicts.
        room: The columns of a terminal; None for what is piped.
        min_effect: The difference that matters.
        curves: Of the branches, drawn where there is room for them.
    """
    lines = [f"{safe_text(found.metric)} ({found.goal}), against {safe_text(found.against)}", ""]
    if not found.judged:
        return [*lines, "nothing to compare; train some branches: branchlab run --all-branches"]
    remarks = list(_remarks(found))
    if room is None:
        return [*lines, *_piped_table(found), *remarks]
    lines += _table(found, room, min_effect, curves or {})
    lines += ["", *_sentences(found, room)]
    return lines + [part for line in remarks for part in wrapped(line, room, indent="  ")]


def _piped_table(found: Comparison) -> list[str]:
    rows = [
        [
            safe_text(one.subject.branch),
            figure(_mean(one, found.metric)),
            _verdict_text(one.verdict),
            _why(one, found),
        ]
        for one in _best_first(found)
    ]
    columns = [
        Column(title="BRANCH"),
        Column(title="MEAN", is_right=True),
        Column(title="VERDICT"),
        Column(title="WHY"),
    ]
    return aligned(rows, columns, room=None)


def _table(
    found: Comparison, room: int, min_effect: float, curves: Mapping[str, Curve]
) -> list[str]:
    """Return the figures of each branch, and what they look like where there is room."""
    judged = _best_first(found)
    columns = [
        Column(title="BRANCH", width_min=_NAMES_MIN),
        Column(title="MEAN", rank=3, is_right=True),
        Column(title="CURVE", rank=5),
        Column(title=f"Δ {safe_text(found.against, length_max=12)}", rank=1, is_right=True),
        Column(title="INTERVAL", rank=4),
        Column(title="VERDICT"),
        Column(title="SEEDS", rank=2, is_right=True),
    ]
    drawn = sparklines(curves, _CURVE_WIDTH)
    rows = []
    for one in judged:
        verdict = one.verdict
        rows.append(
            [
                safe_text(one.subject.branch),
                figure(_mean(one, found.metric)),
                drawn.get(one.subject.branch, ""),
                difference_text(verdict) if verdict else "",
                interval_text(verdict) if verdict else "",
                _verdict_text(verdict, is_short=True),
                _seeds(verdict),
            ]
        )
    legend: list[str] = []
    names, *others = natural_widths(rows, columns)
    left = room - sum(size + 2 for size in (min(names, _NAMES_MAX), *others) if size)
    verdicts = [one.verdict for one in judged if one.verdict is not None]
    axis = axis_of(verdicts, margin=min_effect, width=min(left, _INTERVAL_WIDTHS[-1]))
    if room >= _INTERVALS_FROM and left >= _INTERVAL_WIDTHS[0] and axis is not None:
        in_points = any(verdict.is_share for verdict in verdicts)
        columns.insert(5, _axis_column(axis, in_points=in_points))
        for row, one in zip(rows, judged, strict=True):
            row.insert(5, _coloured(interval_line(one.verdict, axis), one.verdict))
        legend = list(_legend(axis, found.against, in_points=in_points))
    return [*aligned(rows, columns, room=room), *legend]


def _axis_column(axis: Axis, *, in_points: bool) -> Column:
    unit = "pt" if in_points else ""
    low, high = (
        f"{amount(end, in_points=in_points, sign=True)}{unit}" for end in (axis.low, axis.high)
    )
    return Column(title=axis_title(axis, low=low, high=high))


def _legend(axis: Axis, against: str, *, in_points: bool) -> Iterator[str]:
    margin = f"±{amount(axis.margin, in_points=in_points)}{' points' if in_points else ''}"
    said = f"{ZERO} {safe_text(against)}"
    said += f", {MARGIN} {margin}, your min effect" if axis.margin else ""
    yield click.style(said, fg="bright_black")


def _coloured(line: str, verdict: Verdict | None) -> str:
    """Return a line with the interval in the colour of its verdict."""
    text = _GUIDES.sub(lambda found: click.style(found.group(), fg="bright_black"), line)
    if verdict is None:
        return text
    colour = OUTCOME_COLOURS[verdict.outcome]
    parts = re.split(r"(\x1b\[[0-9;]*m)", text)
    return "".join(
        part
        if part.startswith("\x1b")
        else _DRAWN.sub(lambda found: click.style(found.group(), fg=colour), part)
        for part in parts
    )


def _sentences(found: Comparison, room: int) -> Iterator[str]:
    """Yield what makes each verdict, beside the branch where there is room, else below it."""
    known = [(one, why) for one in _best_first(found) if (why := _why(one, found))]
    names = max((width(safe_text(one.subject.branch)) for one, _ in known), default=0)
    names = min(names, _NAMES_MAX)
    is_beside = room - names - 2 >= _TEXT_MIN
    for one, why in known:
        name = safe_text(one.subject.branch)
        if not is_beside:
            yield click.style(cut(name, room), bold=True)
            yield from (f"  {line}" for line in wrapped(why, room - 2))
            continue
        shown = cut(name, names)
        first, *more = wrapped(why, room - names - 2)
        yield f"{click.style(shown, bold=True)}{' ' * (names - width(shown))}  {first}"
        yield from (f"{' ' * names}  {line}" for line in more)


def _remarks(found: Comparison) -> Iterator[str]:
    for name, said in found.samples.items():
        yield f"! {safe_text(name)} {safe_text(said)}: its verdict is about the data too"
    for name, said in found.environments.items():
        yield f"! {safe_text(name)} trained in another environment: {safe_text(said)}"
    for scale in sorted(set(found.other_scales.values())):
        names = [safe_text(name) for name, other in found.other_scales.items() if other is scale]
        yield f"{few(names)}: also run at the {scale} scale, which is never mixed in: --scale {scale}"
    if found.trust is not None:
        yield ""
        yield trust_line(found.trust)


def _mean(judged: Judged, metric: str) -> float | None:
    values = list(judged.results.seeds(metric).values())
    return sum(values) / len(values) if values else None


def _why(judged: Judged, found: Comparison) -> str:
    """Return why a branch has no verdict, or what its verdict rests on."""
    verdict = judged.verdict
    return safe_text(
        why_none(judged, found) or (verdict.sentence.partition(": ")[2] if verdict else "")
    )


def _verdict_text(verdict: Verdict | None, *, is_short: bool = False) -> str:
    return "- no result" if verdict is None else outcome_text(verdict.outcome, is_short=is_short)


def _seeds(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return (
        f"{verdict.seeds} of {verdict.num_declared}" if verdict.is_interim else f"{verdict.seeds}"
    )


def _best_first(found: Comparison) -> list[Judged]:
    sign = 1 if found.goal == "max" else -1
    return sorted(
        found.judged,
        key=lambda j: (
            j.verdict is None or j.verdict.difference is None,
            -sign * ((j.verdict.difference or 0.0) if j.verdict else 0.0),
        ),
    )


def print_slices(found: Comparison, sliced: Sequence[SlicedBranch]) -> None:
    """Print the verdict on each slice of the metric, a table a branch."""
    by_branch = {one.branch: one for one in sliced}
    for judged in _best_first(found):
        one = by_branch[judged.subject.branch]
        if not one.verdicts:
            continue
        rows = [
            [
                safe_text(part.removeprefix(found.metric)),
                figure(one.means[part]),
                difference_text(verdict),
                interval_text(verdict),
                outcome_text(verdict.outcome),
            ]
            for part, verdict in one.verdicts.items()
        ]
        click.echo()
        say(
            f"{click.style(safe_text(one.branch), bold=True)}, by slice of {safe_text(found.metric)}: "
            f"verdicts are adjusted for their number ({len(rows)}), intervals are not"
        )
        header = ["SLICE", "MEAN", f"Δ {safe_text(found.against)}", "INTERVAL", "VERDICT"]
        click.echo(table(rows, header=header, right=(1, 2), giving_way=(3, 1)))
    if not any(one.verdicts for one in sliced):
        click.echo()
        say(
            f"no run has slices of {safe_text(found.metric)}: the shared trainer keeps them by class and by "
            "branchlab.Splits(val_groups=…), for runs from now on"
        )


def print_examples(found: Comparison, by_example: Mapping[str, ByExample]) -> None:
    """Print what a paired test over the examples of the validation set says."""
    click.echo()
    say("by example: luck of the test set, not of training; it never decides")
    rows = []
    for judged in _best_first(found):
        name = judged.subject.branch
        test = by_example.get(name)
        if test is None:
            rows.append([safe_text(name), "", "", "", "no results by example of both"])
            continue
        rows.append(
            [
                safe_text(name),
                f"{test.gained:.1f}",
                f"{test.lost:.1f}",
                f"{test.p_value:.2g}",
                f"{_TESTS[test.test]}, {test.num_examples:,} examples, {test.num_seeds} seeds",
            ]
        )
    header = ["BRANCH", "HIGHER", "LOWER", "P", "TEST"]
    click.echo(table(rows, header=header, right=(1, 2, 3), giving_way=(4, 2, 1)))


_TESTS = {"mcnemar": "McNemar mid-p", "paired-t": "paired t"}

"""Branches side by side, as lines and rows: the verdict table, the charts, and what differs. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.cells import cell_len

from branchlab.analysis.wording import amount, difference_text, interval_text
from branchlab.domain import Outcome, Verdict
from branchlab.lab.columns import Column
from branchlab.lab.interval_line import MARGIN, ZERO, Axis, axis_of, axis_title, interval_line
from branchlab.lab.line_up import LineUp, Member, p_text
from branchlab.lab.own_changes import OwnChanges
from branchlab.lab.words import figure
from branchlab.tui.chart import key_of
from branchlab.tui.chart_view import look_of, short
from branchlab.tui.looks import Line, Look, outcome_look, outcome_piece
from branchlab.tui.rows import Row
from branchlab.tui.wrapping import in_columns, wrapped

_SIDELESS = {Outcome.BETTER: "▲ higher", Outcome.WORSE: "▽ lower"}
"""Of a metric like the learning rate, of which neither is better."""
_GUIDES = f" {ZERO}{MARGIN}"
_SLICES_MAX = 300
_FILES_MAX = 12
_NAME_WIDTH = 16
_CELL_MIN = 9


def verdict_columns(found: LineUp, forest_title: str) -> tuple[Column, ...]:
    """Return the columns of the verdict table, which ``verdict_rows`` fills."""
    comparison = found.comparison
    name = comparison.metric.rsplit("/", 1)[-1]
    return (
        Column(title=""),
        Column(title="BRANCH", width_min=16),
        Column(title=name[:14], rank=1, is_right=True),
        Column(title="SPREAD", rank=4),
        Column(title=f"Δ {short(comparison.against)}"[:12], is_right=True),
        Column(title=forest_title),
        Column(title="INTERVAL", rank=6),
        Column(title="VERDICT"),
        Column(title="SEEDS", rank=2, is_right=True),
        Column(title="HOLM P", rank=5, is_right=True),
        Column(title="", rank=7),
    )


def goal_text(found: LineUp, *, with_metric: bool) -> str:
    """Return which values of the metric are better."""
    about = f" {found.comparison.metric}" if with_metric else ""
    if not found.has_better_side:
        return f"higher or lower{about}: neither is better"
    return f"{'higher' if found.comparison.goal == 'max' else 'lower'}{about} is better"


def verdict_rows(found: LineUp, *, forest_width: int) -> tuple[str, list[Row]]:
    """Return the title of the forest plot, and a row a branch, the one that the others are held against first."""
    verdicts = [one.verdict for one in found.members if one.verdict is not None]
    axis = axis_of(verdicts, margin=found.min_effect, width=forest_width)
    rows = []
    for number, one in enumerate(found.members):
        verdict = one.verdict
        look = _look(verdict, is_sided=found.has_better_side)
        spread = f"±{one.spread:.4f}" if one.spread is not None else ""
        cells: tuple[Line, ...] = (
            ((key_of(number), look_of(number)),),
            ((one.branch, Look.STRONG if not number else Look.PLAIN),),
            ((figure(one.mean), Look.PLAIN if one.mean is not None else Look.DIM),),
            ((spread, Look.DIM),),
            ((difference_text(verdict) if verdict else "", look),),
            _interval(verdict, axis, look),
            ((interval_text(verdict) if verdict else "", Look.DIM),),
            (_outcome(one, is_base=not number, is_sided=found.has_better_side),),
            ((str(verdict.seeds if verdict else one.num_seeds), Look.PLAIN),),
            ((p_text(verdict) if verdict else "", Look.DIM),),
            (("!" if one.remarks else "", Look.WARN),),
        )
        rows.append(Row(key=one.branch, cells=cells))
    return _axis_text(axis, in_points=any(one.is_share for one in verdicts)), rows


def _look(verdict: Verdict | None, *, is_sided: bool) -> Look:
    if verdict is None:
        return Look.DIM
    is_plain = not is_sided and verdict.outcome in _SIDELESS
    return Look.PLAIN if is_plain else outcome_look(verdict.outcome)


def _axis_text(axis: Axis | None, *, in_points: bool) -> str:
    if axis is None:
        return ""
    unit = "pt" if in_points else ""
    low, high = (f"{amount(end, in_points=in_points, sign=True)}" for end in (axis.low, axis.high))
    return axis_title(axis, low=low, high=f"{high}{unit}")


def _interval(verdict: Verdict | None, axis: Axis | None, look: Look) -> Line:
    """Return an interval in the look of its verdict; the upright lines behind it stay dim."""
    text = interval_line(verdict, axis) if axis is not None else ""
    parts = groupby(text, key=lambda cell: cell in _GUIDES)
    return tuple(("".join(cells), Look.DIM if is_guide else look) for is_guide, cells in parts)


def _outcome(one: Member, *, is_base: bool, is_sided: bool) -> tuple[str, Look]:
    if is_base:
        return "held against", Look.DIM
    if one.verdict is None:
        return "- no result", Look.DIM
    if not is_sided and one.verdict.outcome in _SIDELESS:
        return _SIDELESS[one.verdict.outcome], Look.PLAIN
    return outcome_piece(one.verdict.outcome, is_interim=one.verdict.is_interim)


def said_lines(found: LineUp, branch: str, width: int) -> list[Line]:
    """Return the verdict of a branch in words, what is to be known of it, then of the others."""
    chosen = next((one for one in found.members if one.branch == branch), None)
    lines: list[Line] = []
    if chosen is not None and chosen is found.members[0]:
        spread = f" ±{chosen.spread:.4f}" if chosen.spread is not None else ""
        text = f"{figure(chosen.mean)}{spread}, {chosen.num_seeds} seeds; the others are held against it"
        lines += wrapped(((branch, Look.STRONG), (f": {text}", Look.PLAIN)), width, num_max=3)
    elif chosen is not None:
        lines += wrapped(((branch, Look.STRONG), (f": {chosen.why}", Look.PLAIN)), width, num_max=6)
    rest = [one for one in found.members if one is not chosen]
    said = [(r, Look.WARN) for r in (chosen.remarks if chosen else ())]
    said += [(r, Look.DIM) for one in rest for r in one.remarks]
    said += [
        (f"{name}: its curve is of another protocol, and so in no chart with these", Look.DIM)
        for name in found.left_out
    ]
    for text, look in said:
        lines += wrapped(((f"! {text}", look),), width, num_max=4)
    return lines


def fact_lines(found: LineUp, branch: str, width: int) -> list[Line]:
    """Return in what the runs differ, a column a branch."""
    if not found.facts:
        return []
    widths = _widths(len(found.members), width)
    names = [one.branch for one in found.members]
    lines = [_section("what differs", width), in_columns(_heads(names, branch), widths)]
    for fact in found.facts:
        values: list[Line] = [((value, Look.PLAIN),) for value in fact.values]
        lines.append(in_columns([((fact.name, Look.DIM),), *values], widths))
    return lines


def slice_lines(found: LineUp, branch: str, width: int) -> list[Line]:
    """Return the differences by slice, in the order of the chosen branch: the largest first."""
    by_branch = {one.branch: one.verdicts for one in found.slices}
    chosen = by_branch.get(branch) or next((v for v in by_branch.values() if v), {})
    names = [one.branch for one in found.members[1:]]
    if not chosen:
        return []
    metric = found.comparison.metric
    lines = [
        _section(f"slices of {metric}: verdicts adjusted for {len(chosen)}", width),
        in_columns(_heads(names, branch), _widths(len(names), width)),
    ]
    for part in list(chosen)[:_SLICES_MAX]:
        cells = [_slice_cell(by_branch.get(name, {}), part) for name in names]
        title: Line = ((part.removeprefix(metric).strip("[]"), Look.DIM),)
        lines.append(in_columns([title, *cells], _widths(len(names), width)))
    more = len(chosen) - _SLICES_MAX
    if more > 0:
        lines.append(
            ((f"and {more} more: branchlab compare {shlex.quote(branch)} --slices", Look.DIM),)
        )
    return lines


def _slice_cell(verdicts: Mapping[str, Verdict], part: str) -> Line:
    verdict = verdicts.get(part)
    if verdict is None:
        return (("-", Look.DIM),)
    mark = outcome_piece(verdict.outcome)[0].partition(" ")[0]
    return ((f"{difference_text(verdict):>8} {mark}", outcome_look(verdict.outcome)),)


def code_lines(changes: OwnChanges | None, width: int) -> list[Line]:
    """Return the files that a branch changes, with what it trains without."""
    if changes is None:
        return []
    num, other = len(changes.files), changes.against
    since = f"since it left {other}" if changes.base else f"against {other}, no history in common"
    lines = [_section(f"code of {changes.branch}: {_files(num)} {since}", width)]
    for file in changes.files[:_FILES_MAX]:
        counts: Line = (("binary", Look.DIM),)
        if file.added is not None:
            counts = (
                (f"+{file.added}".rjust(6), Look.ADDED),
                (f" -{file.removed}".ljust(7), Look.REMOVED),
            )
        lines.append((*in_columns([counts], [13]), (f" {file.path}", Look.PLAIN)))
    if num > _FILES_MAX:
        lines.append(((f"and {num - _FILES_MAX} more", Look.DIM),))
    if changes.missing:
        said = f"{other} has changed {_files(len(changes.missing))} since, which it trains without"
        lines += wrapped(((said, Look.DIM),), width, num_max=2)
    return lines


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"


def _section(title: str, width: int) -> Line:
    rule = "─" * max(0, width - cell_len(title) - 4)
    return (("── ", Look.DIM), (title, Look.STRONG), (f" {rule}", Look.DIM))


def _heads(names: Sequence[str], branch: str) -> list[Line]:
    heads: list[Line] = [
        ((short(name), Look.LIVE if name == branch else Look.STRONG),) for name in names
    ]
    return [(("", Look.PLAIN),), *heads]


def _widths(number: int, width: int) -> list[int]:
    room = (width - _NAME_WIDTH - number) // max(1, number)
    return [_NAME_WIDTH, *([max(_CELL_MIN, min(24, room))] * number)]

"""What the screen of a branch draws from a snapshot and from what was read: facts, the head of a file, curves; pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from textual.strip import Strip

from branchlab.analysis.wording import difference_text
from branchlab.domain import FeatureVerdict, RunRecord
from branchlab.lab.diff import BranchDiff
from branchlab.lab.feature_reading import BranchFeatures
from branchlab.lab.sparkline import Points, sparkline
from branchlab.lab.words import drift_text, figure
from branchlab.tui.branch_lines import (
    hypotheses_text,
    notes_text,
    parity_lines,
    probe_lines,
    stage_lines,
)
from branchlab.tui.branch_panes import Pane
from branchlab.tui.branch_reads import Drawn, Looked, Written
from branchlab.tui.branch_rows import runs_cell
from branchlab.tui.chart import legend, plot
from branchlab.tui.detail import head_lines, hypothesis_lines, merge_line, verdict_line
from branchlab.tui.diff_lines import DrawnPatch
from branchlab.tui.looks import (
    Line,
    Look,
    Piece,
    cut,
    freshness_piece,
    merge_piece,
    outcome_piece,
    state_piece,
)
from branchlab.tui.readings import Readings
from branchlab.tui.verdicts import feature_piece
from branchlab.tui.views import BranchView, Role, Snapshot
from branchlab.tui.wrapping import wrapped

READING: Line = (("reading…", Look.DIM),)
_CHART_HEIGHT_MAX = 40


def facts_line(view: BranchView, width: int) -> Line:
    """Return where a branch stands, in one line: what it measures, drift, merge, what it needs, runs."""
    pieces: list[Piece] = []
    if view.verdict is not None:
        piece = outcome_piece(view.verdict.outcome, is_interim=view.verdict.is_interim)
        pieces += [piece, (f" {difference_text(view.verdict)}   ", piece[1])]
    elif view.mean is not None:
        pieces.append((f"{figure(view.mean)}   ", Look.PLAIN))
    fresh = freshness_piece(view.freshness, view.results_behind)
    if fresh[0]:
        pieces += [fresh, ("   ", Look.PLAIN)]
    if view.role is not Role.MAIN:
        pieces.append((f"{drift_text(view.main)} main   ", Look.PLAIN))
    if view.role is Role.EXPERIMENT:
        ahead = view.main.ahead if view.main else None
        merge = merge_piece(view.landed, view.conflicts, num_ahead=ahead)
        if merge[0]:
            pieces += [merge, ("   ", Look.PLAIN)]
    if view.merge_back is not None:
        pieces.append((f"{view.merge_back}   ", Look.PLAIN))
    return cut((*pieces, *runs_cell(view)), width)


def text_lines(pane: Pane, view: BranchView, read: Readings, width: int) -> Sequence[Line | Strip]:
    """Return what a pane says in lines, or that it is being read."""
    match pane:
        case Pane.HYPOTHESES:
            return hypotheses_text(view.hypotheses, view.remark, view.name, width)
        case Pane.NOTES:
            written = read.of("notes", Written)
            if written is None:
                return [READING]
            return notes_text(written.known, written.others, view.name, width)
        case Pane.PROBE:
            looked = read.of("probe", Looked)
            return looked_lines(looked, view, width) if looked is not None else [READING]
        case _:
            return summary_lines(view, read.of("features", BranchFeatures), width)


def summary_lines(view: BranchView, found: BranchFeatures | None, width: int) -> list[Line]:
    """Return what is said of a branch in sentences, the verdict first."""
    lines: list[Line] = []
    for line in (
        *head_lines(view)[1:],
        verdict_line(view),
        *hypothesis_lines(view),
        merge_line(view),
    ):
        if line:
            lines += wrapped(line, width, indent=2)
    if view.role is Role.EXPERIMENT:
        lines += _features_line(found, width)
        if not view.landed.is_settled:
            lines += parity_lines(view.parity, view.name, width)
    return lines


def _features_line(found: BranchFeatures | None, width: int) -> list[Line]:
    """Return how many changes need what."""
    if found is None:
        return [(("its code is being read…", Look.DIM),)]
    if found.problem:
        return wrapped(((found.problem, Look.WARN),), width)
    counts = Counter(one.verdict for one in found.features)
    pieces: list[Piece] = [("changes: ", Look.DIM)]
    for verdict in FeatureVerdict:
        if counts[verdict]:
            text, look = feature_piece(verdict)
            pieces.append((f"{text} {counts[verdict]}   ", look))
    if not counts:
        pieces.append(("none that main's code would notice", Look.DIM))
    return wrapped(tuple(pieces), width, indent=2)


def diff_line(found: BranchDiff | None, patch: DrawnPatch | None, width: int) -> Line:
    """Return what is compared with what, and the file that is shown."""
    if found is None:
        return READING
    if found.base is None:
        return ((found.problem, Look.WARN),)
    base = found.base
    since = f"vs {base.name} at {base.commit[:10]}"
    if not found.files:
        return cut(((f"nothing differs {since}; b chooses another base", Look.DIM),), width)
    added, removed = found.counts
    left = f", {found.num_left_out} more are not listed" if found.num_left_out else ""
    counts = f"{len(found.files)} file{'s' if len(found.files) > 1 else ''}"
    file: tuple[Piece, ...] = ()
    if patch is not None:
        file = ((f"{patch.path}  ", Look.STRONG),)
    return cut(
        (
            *file,
            (f"{since}: {counts} ", Look.DIM),
            (f"+{added} ", Look.ADDED),
            (f"-{removed}", Look.REMOVED),
            (left, Look.WARN),
        ),
        width,
    )


def chart_lines(
    drawn: Drawn | None,
    *,
    width: int,
    height: int,
    window: tuple[float, float],
    is_smooth: bool,
) -> list[Line]:
    """Return the curves of a branch and of main, with what is drawn above them."""
    if drawn is None:
        return [READING]
    beside = drawn.beside
    if not beside.metrics or beside.curve is None:
        return [(("no run that counts has logged anything yet", Look.DIM),)]
    at = beside.metrics.index(beside.metric) + 1
    smooth = ", smoothed" if is_smooth else ""
    part = f", {window[0]:.0%} to {window[1]:.0%} of it" if window != (0.0, 1.0) else ""
    head: Line = (
        (beside.metric, Look.STRONG),
        (f"  {at} of {len(beside.metrics)} over {beside.axis}s{part}{smooth}", Look.DIM),
    )
    lines = [cut(head, width), cut(legend(drawn.series), width)]
    if beside.said:
        lines.append(cut(((beside.said, Look.WARN),), width))
    last = beside.curve.points[-1]
    main = beside.main.points[-1] if beside.main and beside.main.points else None
    against = f"   main {figure(main.mean)}" if main else ""
    seeds = f" [{figure(last.low)}, {figure(last.high)}]" if beside.curve.num_seeds > 1 else ""
    ends: Line = ((f"last: {figure(last.mean)}{seeds}{against}", Look.PLAIN),)
    room = min(_CHART_HEIGHT_MAX, height - len(lines) - 1)
    drawing = plot(drawn.series, width=width, height=room, unit=str(beside.axis), window=window)
    return [*lines, *drawing, cut(ends, width)]


def looked_lines(looked: Looked, view: BranchView, width: int) -> list[Line | Strip]:
    """Return what the last probe found, pictures of what entered the model, and what flowed through it."""
    command: Line = (
        ("O probes it: ", Look.DIM),
        (f"branchlab probe {shlex.quote(view.name)}", Look.LIVE),
    )
    if looked.seen is None:
        none: Line = (("no probe is kept of it yet; ", Look.DIM), *command)
        return [none, *looked.pictures]
    found = probe_lines(looked.seen, view.tip, width)
    return [*found, *looked.pictures, (), *stage_lines(looked.seen, width)]


def spark_line(record: RunRecord | None, metric: str, points: Points, width: int) -> list[Line]:
    """Return why a run ended, and its curve in a line."""
    lines: list[Line] = []
    if record is not None and record.reason:
        lines.append((state_piece(record.state), (f"  {record.reason}", Look.PLAIN)))
    if points:
        room = min(100, width - len(metric) - 14)
        last = f" {figure(points[-1][1])}"
        lines.append(
            ((f"{metric} ", Look.DIM), (sparkline(points, room), Look.LIVE), (last, Look.PLAIN))
        )
    return [cut(line, width) for line in lines]


def counts_of(
    view: BranchView | None,
    diff: BranchDiff | None,
    features: BranchFeatures | None,
    written: Written | None,
) -> dict[Pane, int | None]:
    """Return how many things the panes hold; None where that is not known yet."""
    known = written.known if written is not None else None
    return {
        Pane.DIFF: len(diff.files) + diff.num_left_out if diff is not None else None,
        Pane.FEATURES: len(features.features) if features is not None else None,
        Pane.RUNS: len(view.runs) if view is not None else None,
        Pane.HYPOTHESES: len(view.hypotheses) if view is not None else None,
        Pane.NOTES: len(known.notes) if known is not None else None,
    }


def role_lines(view: BranchView) -> list[Line]:
    """Return what a branch is that has no next step."""
    role = {Role.MAIN: "the integration branch", Role.REFERENCE: "the frozen reference"}
    return [((view.name, Look.STRONG), (f"  {role.get(view.role, view.title)}", Look.DIM))]


def gone_view(name: str, snapshot: Snapshot, before: BranchView | None) -> BranchView:
    """Return a branch that was deleted: it keeps its runs, and its last tip while the screen is open."""
    runs = tuple(record for record in snapshot.records if record.run.branch == name)
    title = "the branch is gone; its runs stay"
    tip = runs[0].run.commit if runs else ""
    if before is not None:
        return replace(before, title=title, runs=runs, next=None)
    return BranchView(name=name, role=Role.EXPERIMENT, tip=tip, title=title, runs=runs)

"""What is said of one branch beside or below the table, as lines; pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from branchlab.domain import (
    FeatureVerdict,
    Freshness,
    JudgedHypothesis,
    Parity,
    Registration,
    RunRecord,
    RunState,
)
from branchlab.lab.next_of_branch import Step
from branchlab.lab.words import REGISTRATION_WORDS, drift_text, figure
from branchlab.tui.branch_chart import Drawn, chart_lines, spark_line
from branchlab.tui.looks import (
    Line,
    Look,
    Piece,
    cut,
    freshness_piece,
    hypothesis_piece,
    state_mark,
    state_piece,
)
from branchlab.tui.next_lines import next_lines
from branchlab.tui.rows import progress_text
from branchlab.tui.screen_keys import BRANCHES
from branchlab.tui.views import BranchView, Role
from branchlab.tui.wrapping import wrapped

_CHART_HEIGHT_MAX = 18
_FILES_MAX = 6
_HYPOTHESES_MAX = 4
_ROOMY, _LOW = 12, 3
_RUNS_MAX = 6
_GAP: Line = ((" ", Look.PLAIN),)
_ATTENTION = {
    FeatureVerdict.BROKEN,
    FeatureVerdict.UNPARSED,
    FeatureVerdict.BREAKING,
    FeatureVerdict.UNGUARDED,
    FeatureVerdict.DEFAULT_CHANGED,
    FeatureVerdict.DEFAULT_ON,
}


def detail_lines(view: BranchView, drawn: Drawn, *, width: int, height: int) -> list[Line]:
    """Return all that is known of a branch, fitted to ``height`` lines; where there is little room, what decides."""
    if height < _ROOMY:
        return _strip(view, drawn, width, height)
    said = (
        *head_lines(view),
        _GAP,
        *_next_lines(view, width),
        verdict_line(view),
        *hypothesis_lines(view),
        merge_line(view),
        features_line(view),
        flags_line(view),
    )
    top = [part for line in said if line for part in wrapped(line, width, num_max=4)]
    chart = chart_lines(
        view, drawn, width=width, height=min(_CHART_HEIGHT_MAX, height - len(top) - 4)
    )
    num_runs = min(_RUNS_MAX, height - len(top) - len(chart) - 2)
    runs = [((), *_run_lines(view, drawn.metric, num_runs))] if num_runs > 0 else []
    lines = [*top, *(line for part in runs for line in part), *chart]
    return [cut(line, width) for line in lines[:height]]


def merge_lines(view: BranchView, *, width: int, height: int) -> list[Line]:
    """Return what a merge into main would do, file by file, and what the branch needs before it."""
    head: Line = ((view.name, Look.STRONG), ("  into main", Look.PLAIN), ("   m: back", Look.DIM))
    if view.role is not Role.EXPERIMENT:
        return [head, (("main and the reference are not merged back", Look.DIM),)]
    said = [merge_line(view), features_line(view), *_next_lines(view, width)]
    lines = [part for line in said if line for part in wrapped(line, width, num_max=4)]
    files: list[Line] = [(("  ✗ ", Look.BAD), (path, Look.PLAIN)) for path in view.conflicts or ()]
    room = max(0, height - 1 - len(lines))
    if len(files) > room:
        files = [*files[: max(0, room - 1)], ((f"    and {len(files) - room + 1} more", Look.DIM),)]
    return [cut(line, width) for line in (head, *lines, *files)[:height]]


def heading_lines(step: Step, views: Sequence[BranchView], *, width: int) -> list[Line]:
    """Return what a group of branches is, for a heading that is selected."""
    names = ", ".join(view.name for view in views)
    lines: list[Line] = [
        (
            (step.words, Look.STRONG),
            (f"  {len(views)} branch{'es' if len(views) != 1 else ''}", Look.DIM),
        ),
        ((step.meaning, Look.PLAIN),),
        ((names, Look.DIM),),
        (("⏎ folds it or opens it; capitals are about all of them", Look.DIM),),
    ]
    return [part for line in lines for part in wrapped(line, width, num_max=3)]


def _strip(view: BranchView, drawn: Drawn, width: int, height: int) -> list[Line]:
    """Return a few lines: who it is, what is next, how it did, what a merge would do, its curve, its runs."""
    head = ((view.name, Look.STRONG), (f"  {view.title or view.subject}", Look.PLAIN))
    facts = _joined(merge_line(view), features_line(view))
    claims = hypothesis_lines(view)[:1]
    spark = spark_line(view, drawn, width)
    said = [
        [cut(head, width)],
        _next_lines(view, width, num_max=2 if height > _LOW else 1),
        wrapped(verdict_line(view), width, num_max=1),
        *([cut(line, width)] for line in (*claims, facts, spark) if line),
    ]
    lines = [line for part in said for line in part]
    runs = _run_lines(view, drawn.metric, height - len(lines))
    return [cut(line, width) for line in (*lines, *runs)[:height]]


def _next_lines(view: BranchView, width: int, *, num_max: int = 5) -> list[Line]:
    return next_lines(view.next, BRANCHES, width, num_max=num_max) if view.next else []


def features_line(view: BranchView) -> Line:
    """Return what the branch changes, by what that needs, the most demanding first."""
    if view.role is not Role.EXPERIMENT or view.landed.is_settled:
        return ()
    if view.features is None:
        if view.has_content is False or not (view.main and view.main.ahead):
            return ()
        return (("its code has not been read yet: ", Look.DIM), ("branchlab features", Look.LIVE))
    if not view.features:
        return ()
    pieces: list[Piece] = [("changes: ", Look.DIM)]
    for number, verdict in enumerate(sorted(view.features, key=lambda one: one.rank)):
        comma = ", " if number else ""
        look = Look.WARN if verdict in _ATTENTION else Look.PLAIN
        pieces += [(comma, Look.DIM), (f"{view.features[verdict]} {verdict}", look)]
    return tuple(pieces)


def flags_line(view: BranchView) -> Line:
    """Return what the experiment switches on."""
    if not view.flags:
        return ()
    said = ", ".join(f"{name}={str(value).lower()}" for name, value in view.flags.items())
    return (("switches on: ", Look.DIM), (said, Look.PLAIN))


def _joined(one: Line, other: Line) -> Line:
    return (*one, ("   ", Look.PLAIN), *other) if one and other else one or other


def head_lines(view: BranchView) -> list[Line]:
    """Return name, place and what the branch is about."""
    place = []
    if view.role is not Role.MAIN:
        place.append(f"{drift_text(view.main)} main")
    if view.reference is not None:
        place.append(f"{drift_text(view.reference)} reference")
    role = {Role.MAIN: "integration branch", Role.REFERENCE: "frozen reference"}.get(view.role, "")
    words = "  ".join(part for part in (role, *place, view.tip[:10]) if part)
    lines: list[Line] = [((view.name, Look.STRONG), (f"  {words}", Look.DIM))]
    if view.notes:
        lines.append(((", ".join(view.notes), Look.WARN),))
    if view.title:
        lines.append(((view.title, Look.PLAIN),))
    if view.subject:
        lines.append((("last commit: ", Look.DIM), (view.subject, Look.PLAIN)))
    return lines


def verdict_line(view: BranchView) -> Line:
    """Return the verdict in words, or what is missing for one."""
    _, fresh_look = freshness_piece(view.freshness)
    behind = view.results_behind
    since = f"of the commit {behind} before: " if behind else "of an older commit: "
    of_what = {
        Freshness.BRANCH_MOVED: since,
        Freshness.MAIN_MOVED: "main has no result yet: ",
    }.get(view.freshness, "")
    prefix: tuple[Piece, ...] = ((of_what, fresh_look),) if of_what else ()
    if view.verdict is not None:
        return (*prefix, (view.verdict.sentence, Look.PLAIN))
    if view.mean is not None:
        spread = f" ±{view.spread:.4f}" if view.spread is not None else ""
        seeds = f"{view.count(RunState.DONE)} seeds"
        return (*prefix, (f"mean {figure(view.mean)}{spread}, {seeds}", Look.PLAIN))
    if view.open_runs:
        return (("no result yet; runs go on", Look.DIM),)
    num_failed = view.count(RunState.FAILED, RunState.LOST)
    if num_failed:
        return ((f"no result: {num_failed} failed; ⏎ shows why, R runs it again", Look.BAD),)
    return (
        ("no result yet; R runs it: ", Look.DIM),
        (f"branchlab run {shlex.quote(view.name)}", Look.LIVE),
    )


def hypothesis_lines(view: BranchView) -> list[Line]:
    """Return a line a hypothesis: its state, what its expectations came to, and whether it stood before the runs."""
    lines = [_hypothesis_line(one) for one in view.hypotheses[:_HYPOTHESES_MAX]]
    more = len(view.hypotheses) - _HYPOTHESES_MAX
    if more > 0:
        lines.append(
            ((f"and {more} more: branchlab hypotheses {shlex.quote(view.name)}", Look.DIM),)
        )
    if view.remark:
        lines.append(((view.remark, Look.WARN),))
    return lines


def _hypothesis_line(one: JudgedHypothesis) -> Line:
    pieces: list[Piece] = [
        (f"{one.hypothesis.id} ", Look.STRONG),
        hypothesis_piece(one.state, one.words),
    ]
    for found in one.expect:
        mark, look = hypothesis_piece(found.state)
        estimate = f": {figure(found.estimate, sign=True)}" if found.estimate is not None else ""
        pieces += [(f"  {mark}", look), (f" {found.text}{estimate}", Look.PLAIN)]
    if one.registration is not Registration.BEFORE_RUNS:
        pieces.append((f"  {REGISTRATION_WORDS[one.registration]}", Look.DIM))
    return tuple(pieces)


def merge_line(view: BranchView) -> Line:
    """Return whether it merges into main, and which files stand against it."""
    if view.role is not Role.EXPERIMENT:
        return ()
    return _merge_line(view)


def _merge_line(view: BranchView) -> Line:
    if view.landed.is_settled:
        return (("◆ in main: ", Look.DIM), (str(view.landed), Look.PLAIN))
    if view.conflicts is None:
        return (("? a merge into main cannot be foretold here", Look.WARN),)
    if view.conflicts:
        files = ", ".join(view.conflicts[:_FILES_MAX])
        more = len(view.conflicts) - _FILES_MAX
        return (
            ("✗ conflicts with main in ", Look.BAD),
            (files + (f" and {more} more" if more > 0 else ""), Look.PLAIN),
        )
    if not view.main or not view.main.ahead:
        return (("no commit of its own yet", Look.DIM),)
    if view.has_content is False:
        return (("its commits leave nothing changed", Look.DIM),)
    return ("✓ merges into main without conflict", Look.GOOD), *_parity_pieces(view.parity)


def _parity_pieces(parity: Parity | None) -> tuple[Piece, ...]:
    """Return what training has shown of the merge: nothing where that was not asked."""
    if parity is None:
        return ()
    first = parity.off.first_difference or parity.on.first_difference
    if first is not None:
        return (
            ("; trained beside it, it differs: ", Look.BAD),
            (f"{first.where}: {first.reason}", Look.PLAIN),
        )
    look = Look.GOOD if parity.holds else Look.WARN
    return ((f"; flags off {parity.off.status}, on {parity.on.status}", look),)


def _run_lines(view: BranchView, metric: str, num_max: int) -> list[Line]:
    runs = [*view.running, *(run for run in view.runs if run.state is not RunState.RUNNING)]
    lines = [_run_line(run, metric) for run in runs]
    if len(lines) <= num_max:
        return lines
    if num_max < 2:  # noqa: PLR2004  one line: the counts say more than one run would
        return [_counts_line(runs)][: max(0, num_max)]
    return [*lines[: num_max - 1], ((f"  +{len(lines) - num_max + 1} more: ⏎", Look.DIM),)]


def _run_line(record: RunRecord, metric: str) -> Line:
    epochs = f" {record.epoch}/{record.epochs}" if record.epochs else ""
    value = record.metrics.get(metric)
    said = f"  {figure(value)}" if value is not None else ""
    reason: tuple[Piece, ...] = ((f"  {record.reason}", Look.BAD),) if record.reason else ()
    state, look = state_piece(record.state)
    return (
        (f"{state:11}", look),
        (f" seed {record.run.seed}", Look.PLAIN),
        (f"{epochs}{said}", Look.PLAIN),
        *reason,
    )


def _counts_line(runs: Sequence[RunRecord]) -> Line:
    pieces: list[Piece] = []
    for state in RunState:
        found = [run for run in runs if run.state is state]
        if found:
            mark, look = state_mark(state)
            how_far = f" ({progress_text(found)})" if state is RunState.RUNNING else ""
            pieces.append((f"{mark} {len(found)} {state}{how_far}   ", look))
    return tuple(pieces)

"""What is said of one branch beside or below the table, as lines; pure."""

from __future__ import annotations

from collections.abc import Sequence

from branchlab.domain import Freshness, JudgedHypothesis, Parity, Registration, RunRecord, RunState
from branchlab.lab.sparkline import Points, sparkline
from branchlab.lab.words import REGISTRATION_WORDS, drift_text, figure
from branchlab.tui.chart import braille
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
from branchlab.tui.rows import progress_text
from branchlab.tui.views import BranchView, Role

_CHART_HEIGHT_MAX = 12
_FILES_MAX = 6
_HYPOTHESES_MAX = 4
_ROOMY = 12


def detail_lines(
    view: BranchView, metric: str, curve: Points, *, width: int, height: int
) -> list[Line]:
    """Return title, verdict, merge, runs and the curve of the run shown, fitted to ``height`` lines."""
    is_roomy = height >= _ROOMY
    advice = advice_line(view)
    head = (
        head_lines(view)
        if is_roomy
        else [cut((*_head_line(view), ("  ", Look.PLAIN), *advice[:1]), width)]
    )
    advised = [advice] if is_roomy else []
    said = (*head, *advised, verdict_line(view), *hypothesis_lines(view), merge_line(view))
    sentences = [line for line in said if line]
    num_max = 4 if is_roomy else 2
    top = [part for line in sentences for part in _wrapped(line, width, num_max=num_max)]
    if is_roomy:
        top.append(())
    shown = chart_run(view)
    chart = _chart_lines(shown, metric, curve, width=width, height=height - len(top))
    lines = [*top, *_run_lines(view, metric, height - len(top) - len(chart)), *chart]
    return [cut(line, width) for line in lines[:height]]


def _head_line(view: BranchView) -> Line:
    about = view.title or view.subject
    return (view.name, Look.STRONG), (f"  {about}", Look.PLAIN)


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
    return (("no result yet; R runs it: ", Look.DIM), (f"branchlab run {view.name}", Look.LIVE))


def hypothesis_lines(view: BranchView) -> list[Line]:
    """Return a line a hypothesis: its state, what its expectations came to, and whether it stood before the runs."""
    lines = [_hypothesis_line(one) for one in view.hypotheses[:_HYPOTHESES_MAX]]
    more = len(view.hypotheses) - _HYPOTHESES_MAX
    if more > 0:
        lines.append(((f"and {more} more: branchlab hypotheses {view.name}", Look.DIM),))
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


def advice_line(view: BranchView) -> Line:
    """Return what to do with a branch that did well, and why."""
    advice = view.recommendation
    if advice is None or not advice.action.is_waiting:
        return ()
    action = str(advice.action).replace("-", " ")
    return ((f"★ {action}", Look.GOOD), (f": {advice.reason}", Look.PLAIN))


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


def chart_run(view: BranchView) -> RunRecord | None:
    """Return the run whose curve is shown: one that goes on, else the last that has begun."""
    begun = [run for run in view.runs if run.attempts]
    return next(iter((*view.running, *begun)), None)


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


def _chart_lines(
    record: RunRecord | None, metric: str, curve: Points, *, width: int, height: int
) -> list[Line]:
    if record is None or not curve:
        return []
    last = f" {figure(curve[-1][1])}"
    name = f"{metric} seed {record.run.seed} "
    chart_height = min(_CHART_HEIGHT_MAX, height // 2)
    if height < _ROOMY or len(curve) < 2:  # noqa: PLR2004
        room = width - len(name) - len(last)
        return [
            ((name, Look.DIM), (sparkline(curve, min(room, 60)), Look.LIVE), (last, Look.PLAIN))
        ]
    values = [value for _, value in curve]
    drawn = braille(curve, width, chart_height)
    return [
        (),
        (
            (name, Look.DIM),
            (figure(curve[-1][1]), Look.PLAIN),
            (f"  of {figure(min(values))} to {figure(max(values))}", Look.DIM),
        ),
        *(((line, Look.LIVE),) for line in drawn),
        ((f"step {curve[0][0]} to {curve[-1][0]}", Look.DIM),),
    ]


def _wrapped(line: Line, width: int, *, num_max: int) -> list[Line]:
    """Return a line wrapped to a width, cut with an ellipsis after ``num_max`` lines; looks are kept by word."""
    words = [(word, look) for text, look in line for word in _words(text)]
    lines: list[list[Piece]] = [[]]
    used = 0
    for word, look in words:
        if used and used + len(word.rstrip()) > width:
            if len(lines) == num_max:
                lines[-1].append(("…", Look.DIM))
                break
            lines.append([])
            used = 0
        lines[-1].append((word, look))
        used += len(word)
    return [(*part[:-1], (part[-1][0].rstrip(), part[-1][1])) for part in lines if part]


def _words(text: str) -> list[str]:
    """Return words with the blanks behind them, so that joined they are the text."""
    found = [f"{part} " for part in text.split(" ")]
    found[-1] = found[-1][:-1]
    return [word for word in found if word]

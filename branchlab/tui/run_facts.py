"""What the screen of one run says, view by view: facts, metrics, environment, pictures, events."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from branchlab.domain import RunRecord, RunState, Scale
from branchlab.lab.progress import fraction_of, left_s
from branchlab.lab.run_environments import environment_rows
from branchlab.lab.run_pairs import apart_text
from branchlab.lab.runs import RunDetails
from branchlab.lab.words import duration, figure, progress_text, usage_text
from branchlab.run_folder import JSON, from_text
from branchlab.tui.looks import Line, Look, Piece, state_piece
from branchlab.tui.run_list import bar

FACT_INDENT = 11
"""Behind the name of a fact."""
_EVENTS_MAX = 300
_MUTE = frozenset({"metric", "told", "epoch"})
"""Events that the curves show."""
_ENVELOPE = frozenset({"seq", "at", "kind", "crc32"})


def head_line(record: RunRecord, now: datetime, *, is_gone: bool = False) -> Line:
    """Return which run it is and how it stands."""
    line: Line = ((record.run.id, Look.STRONG), ("  ", Look.PLAIN), state_piece(record.state))
    if is_gone:
        return (*line, ("  its folder is gone; this is what was last seen of it", Look.BAD))
    share = fraction_of(record)
    if record.state is RunState.RUNNING and share is not None:
        left = left_s(record, now)
        line = (*line, (f"  {bar(share, 10)} {int(share * 100)}%", Look.LIVE))
        line = (*line, (f"  {duration(left)} left", Look.PLAIN)) if left is not None else line
    if record.reason:
        look = Look.WARN if record.state is RunState.CANCELLED else Look.BAD
        line = (*line, (f"  {record.reason}", look))
    return line


def fact_lines(details: RunDetails, *, has_branch: bool) -> list[Line]:
    """Return the facts of a run.

    Args:
        details: The run with what its folder holds.
        has_branch: Whether its branch is still there.
    """
    record, run = details.record, details.record.run
    part = f" ({run.sample.fraction:g} of the training set)" if run.scale is Scale.SAMPLE else ""
    speed = f", {record.images_per_s:,.0f} images/s" if record.images_per_s else ""
    gone = "" if has_branch else " (deleted since)"
    threads = f", {run.threads} threads" if run.device == "cpu" else ""
    facts = {
        "why": record.reason,
        "branch": f"{run.branch}{gone} at {run.commit[:10]}, seed {run.seed}, {run.scale}{part}",
        "flags": " ".join(f"{name}={json.dumps(one)}" for name, one in run.flags.items()) or "none",
        "command": run.script.line if run.script is not None else "",
        "recipe": _recipe(record),
        "progress": f"{progress_text(record)}, attempt {record.attempts}, "
        f"{duration(record.duration_s)}{speed}",
        "on": f"{run.device}{threads}",
        "job": f"{details.job.job} of {details.job.executor}" if details.job else "",
        "usage": usage_text(record.usage) or "not sampled yet",
        "differs": details.environment_differs,
        "folder": str(details.folder),
    }
    return [_fact(name, value) for name, value in facts.items() if value]


def metric_lines(record: RunRecord, beside: RunRecord | None, metric: str) -> list[Line]:
    """Return every metric beside main's, the one that verdicts are about first, then those of parts of the data."""
    names = sorted(record.metrics, key=lambda name: (name != metric, name))
    if not names:
        return [(("no metric yet", Look.DIM),)]
    width = min(44, max(len(name) for name in (*names, *record.slices)) + 2)
    there = f"main: {beside.run.id}, {beside.state}" if beside is not None else ""
    lines: list[Line] = [((f"{'METRIC':{width}}{'VALUE':>10}  {there}", Look.STRONG),)]
    lines += [_metric(name, record.metrics[name], beside, width, is_slice=False) for name in names]
    if record.slices:
        lines += [(), (("BY CLASS AND GROUP", Look.STRONG),)]
        lines += [
            _metric(name, value, beside, width, is_slice=True)
            for name, value in record.slices.items()
        ]
    return lines


def environment_lines(details: RunDetails) -> list[Line]:
    """Return what a run trained in, and in what that differs from main's."""
    run = details.record.run
    rows = environment_rows(details.environment) if details.environment else {}
    if not rows:
        return [(("not recorded: the run has not begun", Look.DIM),)]
    differs = details.environment_differs
    packages = ((details.environment or {}).get("packages") or {}).get("installed") or ()
    lines = [
        _fact(
            "differs",
            differs or "in nothing from main's run of the same seed, as far as both are recorded",
            Look.WARN if differs else Look.GOOD,
        ),
        *(_fact(name, value) for name, value in rows.items()),
        _fact("arguments", json.dumps(dict(run.arguments)) if run.arguments else "none"),
        _fact("key of", ", ".join(f"{k} {v}" for k, v in sorted(run.environment.items()))),
    ]
    if packages:
        lines += [(), ((f"{len(packages)} PACKAGES", Look.STRONG),)]
        lines += [((_package(one), Look.DIM),) for one in packages]
    return lines


def picture_lines(pictures: Sequence[Path]) -> list[Line]:
    """Return the pictures that a run has drawn."""
    if not pictures:
        return [(("the run has drawn no picture", Look.DIM),)]
    folder = pictures[0].parent
    lines: list[Line] = [((f"{len(pictures)} pictures in ", Look.DIM), (str(folder), Look.PLAIN))]
    return [*lines, *(((f"  {path.name}", Look.PLAIN),) for path in pictures)]


def event_lines(events: Sequence[JSON]) -> list[Line]:
    """Return what happened, the latest first: warnings stand out, what the curves show is left out."""
    told = [event for event in events if event.get("kind") not in _MUTE]
    warnings = sum(event.get("kind") == "warning" for event in told)
    if not told:
        return [(("nothing has happened yet", Look.DIM),)]
    lines: list[Line] = []
    if warnings:
        lines.append(((f"{warnings} warning{'s' if warnings > 1 else ''}", Look.WARN),))
    lines += [_event(event) for event in reversed(told[-_EVENTS_MAX:])]
    if len(told) > _EVENTS_MAX:
        lines.append(((f"{len(told) - _EVENTS_MAX} earlier ones are not shown", Look.DIM),))
    return lines


def _recipe(record: RunRecord) -> str:
    run = record.run
    if run.budget_s is not None:
        return f"{run.budget_s:g} s of training"
    return f"{run.epochs} epochs" if run.epochs is not None else "as the branch says"


def _metric(
    name: str, value: float, beside: RunRecord | None, width: int, *, is_slice: bool
) -> Line:
    shown = figure(value) if math.isfinite(value) else str(value)
    line: Line = (
        (f"{name:{width}}", Look.PLAIN),
        (f"{shown:>10}", Look.PLAIN if math.isfinite(value) else Look.BAD),
    )
    values = (beside.slices if is_slice else beside.metrics) if beside is not None else {}
    there = values.get(name)
    if there is None:
        return line
    return (*line, (f"  {figure(there):>10}  {apart_text(name, value, there):>10}", Look.DIM))


def _event(event: JSON) -> Line:
    at = from_text(event.get("at")) if isinstance(event.get("at"), str) else None
    kind = str(event.get("kind"))
    moment: Piece = (f"{at.astimezone():%H:%M:%S} " if at is not None else "", Look.DIM)
    if kind == "warning":
        return moment, ("! ", Look.WARN), (str(event.get("text", "")), Look.WARN)
    said = ", ".join(
        f"{name} {_short(value)}" for name, value in event.items() if name not in _ENVELOPE
    )
    return moment, (f"{kind} ", Look.STRONG), (said, Look.PLAIN)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_short(one)}" for name, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _package(one: object) -> str:
    return " ".join(str(part) for part in one) if isinstance(one, list | tuple) else str(one)


def _fact(name: str, value: str, look: Look = Look.PLAIN) -> Line:
    return (f"{name:10} ", Look.DIM), (value, look)

"""The overview in lines: on a terminal the columns that there is room for, with curves; piped all of it, and always the same.

A state is a mark and a word, colour only repeats it. What says how far a result can be trusted (FRESH) is left out last.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import click

from branchlab.analysis.results import BranchResults
from branchlab.analysis.wording import difference_text, interval_text
from branchlab.cli.baseline import baseline_line
from branchlab.cli.table import aligned, outcome_text, state_text, wrapped
from branchlab.cli.trust_line import trust_line
from branchlab.domain import BaselineState, Landed, MergeBack, ReferenceState, RunState
from branchlab.lab.columns import Column
from branchlab.lab.curves import Curve, sparklines
from branchlab.lab.status import BranchStatus, Status
from branchlab.lab.words import (
    STATE_MARKS,
    age,
    drift_text,
    figure,
    hypotheses_text,
    merge_words,
    old_text,
)
from branchlab.terminal_text import safe_text

_WAITING_MAX = 3
_CURVE_WIDTH = 10
_ROOMY, _WORDY = 140, 180
"""From so many columns on it is said where a merge conflicts, and runs are counted in words."""


def status_lines(
    found: Status, *, room: int | None = None, curves: Mapping[str, Curve] | None = None
) -> list[str]:
    """Return the overview for people.

    Args:
        found: The overview.
        room: The columns of a terminal; None for what is piped, of which nothing may be left out.
        curves: Of the branches, drawn where there is room for them.
    """
    lines = [*_head(found)]
    if found.branches:
        lines.append("")
        wide = wrapped_all(lines, room)
        wide += _piped_table(found) if room is None else _table(found, room, curves or {})
        tail = [*_waiting(found.branches)]
        if found.trust is not None:
            tail += ["", trust_line(found.trust)]
        return wide + wrapped_all(tail, room)
    return wrapped_all(
        [*lines, "", "no experiment branch yet; start one: branchlab new-exp NAME"], room
    )


def wrapped_all(lines: Sequence[str], room: int | None) -> list[str]:
    """Return paragraphs in lines that fit; all of them as they are where there is no bound."""
    if room is None:
        return list(lines)
    return [part for line in lines for part in wrapped(line, room, indent="  ")]


def _head(found: Status) -> Iterator[str]:
    """Yield what is to be known before the table: warnings, main, the reference, the baseline."""
    for warning in found.warnings:
        yield click.style(f"! {safe_text(warning)}", fg="red", bold=True)
    seen = found.overview
    name = click.style(safe_text(seen.main.name), bold=True)
    yield f"{name}  {seen.main.tip[:10]}  {_result(found, found.main_results)}"
    if seen.reference is not None:
        name = click.style(safe_text(seen.reference.name), bold=True)
        result = _result(found, found.reference_results)
        yield f"{name}  {seen.reference.tip[:10]}  {result}  {_frozen(found, seen.reference)}"
    if line := _baseline_line(found):
        yield line


def _piped_table(found: Status) -> list[str]:
    metric = safe_text(found.metric)
    header = [
        *("BRANCH", "MAIN", "REF", "MERGE", metric, "Δ MAIN", "95% INTERVAL", "VERDICT"),
        *("MERGE BACK", "RUNS", "AGE", "NOTE"),
    ]
    columns = [Column(title=title, is_right=title in {metric, "Δ MAIN"}) for title in header]
    return aligned([_piped_row(branch) for branch in found.branches], columns, room=None)


def _piped_row(branch: BranchStatus) -> list[str]:
    return [
        safe_text(branch.standing.branch.name),
        drift_text(branch.standing.main),
        drift_text(branch.standing.reference),
        merge_text(branch),
        figure(branch.mean),
        *_difference(branch),
        verdict_text(branch),
        merge_back_text(branch),
        runs_text(branch),
        age(branch.standing.branch.last_commit_at, datetime.now(UTC)),
        _note(branch),
    ]


def _table(found: Status, room: int, curves: Mapping[str, Curve]) -> list[str]:
    metric = safe_text(found.metric.rsplit("/", 1)[-1], length_max=12)
    columns = (
        Column(title="BRANCH", width_min=24),
        Column(title="MAIN", rank=4),
        Column(title="REF", rank=10),
        Column(title="MERGE", rank=5),
        Column(title=metric, rank=3, is_right=True),
        Column(title="CURVE", rank=8),
        Column(title="Δ MAIN", rank=2, is_right=True),
        Column(title="95% INTERVAL", rank=9),
        Column(title="VERDICT"),
        Column(title="FRESH", rank=1),
        Column(title="MERGE BACK", rank=7),
        Column(title="RUNS", rank=6),
        Column(title="AGE", rank=12, is_right=True),
        Column(title="NOTE", rank=11, width_min=10),
    )
    drawn = sparklines(curves, _CURVE_WIDTH)
    now = datetime.now(UTC)
    rows = []
    for branch in found.branches:
        name = branch.standing.branch.name
        verdict = branch.verdict
        judged = outcome_text(verdict.outcome, is_short=True) if verdict else verdict_text(branch)
        rows.append(
            [
                safe_text(name),
                drift_text(branch.standing.main),
                drift_text(branch.standing.reference),
                merge_text(branch, is_short=room < _ROOMY),
                figure(branch.mean),
                drawn.get(name, ""),
                *_difference(branch),
                judged,
                _fresh_text(branch),
                merge_back_text(branch),
                runs_text(branch) if room >= _WORDY else _run_marks(branch),
                age(branch.standing.branch.last_commit_at, now),
                _note(branch),
            ]
        )
    return aligned(rows, columns, room=room)


def _difference(branch: BranchStatus) -> tuple[str, str]:
    verdict = branch.verdict
    return (difference_text(verdict), interval_text(verdict)) if verdict else ("-", "")


def _note(branch: BranchStatus) -> str:
    said = (hypotheses_text(branch.hypotheses), *branch.notes)
    return safe_text(", ".join(filter(None, said)))


def _fresh_text(branch: BranchStatus) -> str:
    """Return whether a result is final and speaks of the present; empty where it does."""
    if branch.verdict is None:
        return ""
    old = old_text(branch.freshness, branch.standing.results_behind)
    said = ["interim"] if branch.verdict.is_interim else []
    text = ", ".join([*said, old] if old else said)
    return click.style(text, fg="yellow") if text else ""


def _run_marks(branch: BranchStatus) -> str:
    """Return how many runs are done, running (a single one with its epoch) and failed, a mark each."""
    running = [r for r in branch.results.records if r.state is RunState.RUNNING and r.epochs]
    is_single = len(running) == branch.num_running == 1
    how_far = f" {running[0].epoch}/{running[0].epochs}" if is_single else ""
    parts = [
        click.style(f"{STATE_MARKS[state]}{number}{more}", fg=colour)
        for state, number, more, colour in (
            (RunState.DONE, branch.num_done, "", "green"),
            (RunState.RUNNING, branch.num_running, how_far, "cyan"),
            (RunState.FAILED, branch.num_failed, "", "red"),
        )
        if number
    ]
    return " ".join(parts) or "none"


def _baseline_line(found: Status) -> str:
    """Return whether the reference is anchored to a published figure; empty where the config names none."""
    known = found.baseline
    if known is None or known.verdict.state is BaselineState.NONE:
        return ""
    if known.verdict.state is BaselineState.NOT_RUN:
        return click.style(
            "! the baseline has not been reproduced yet: branchlab baseline", fg="yellow"
        )
    return f"baseline  {baseline_line(known)}"


def _frozen(found: Status, reference: ReferenceState) -> str:
    """Return how far main has departed from the reference."""
    ahead = "?" if reference.main_ahead is None else reference.main_ahead
    behind = f" and {reference.main_behind} behind" if reference.main_behind else ""
    text = f"frozen, main is {ahead} ahead{behind}"
    changed = reference.departure
    if changed is not None and changed.num_files:
        files = "1 file" if changed.num_files == 1 else f"{changed.num_files} files"
        text += f" ({files}, +{changed.num_insertions} -{changed.num_deletions} lines)"
    if found.repin_reason:
        text += f"; pinned anew: {safe_text(found.repin_reason)}"
    return text


def verdict_text(branch: BranchStatus) -> str:
    """Return the verdict, whether it is interim, and what its results no longer speak of; without one, that runs have failed."""
    if branch.verdict is not None:
        old = old_text(branch.freshness, branch.standing.results_behind)
        interim = "interim" if branch.verdict.is_interim else ""
        return " ".join(filter(None, (outcome_text(branch.verdict.outcome), interim, old)))
    return state_text(RunState.FAILED) if branch.num_failed else ""


def merge_text(branch: BranchStatus, *, is_short: bool = False) -> str:
    """Return what a merge into main would do, or by which road the branch is in main; coloured."""
    standing, words = branch.standing, safe_text(merge_words(branch.standing))
    if standing.landed.is_settled:
        colour = "yellow" if standing.landed is Landed.REVERTED else "bright_black"
        return click.style(words, fg=colour)
    if standing.conflicts:
        return click.style("conflict" if is_short else words, fg="red")
    return words


def merge_back_text(branch: BranchStatus) -> str:
    """Return what a branch needs before it goes back to main; that it did well and waits stands out."""
    if branch.merge_back is None:
        return "?" if branch.standing.landed is not Landed.UNKNOWN else ""
    if branch.merge_back in {MergeBack.LANDED, MergeBack.NOTHING}:
        return click.style(str(branch.merge_back), fg="bright_black")
    word = str(branch.merge_back)
    return click.style(f"★ {word}", bold=True) if branch.recommendation.action.is_waiting else word


def _waiting(branches: Sequence[BranchStatus]) -> Iterator[str]:
    """Name the branches that did well and wait to be brought back, with what to do."""
    waiting = [one for one in branches if one.recommendation.action.is_waiting]
    if waiting:
        yield ""
    for branch in waiting[:_WAITING_MAX]:
        action = str(branch.recommendation.action).replace("-", " ")
        name = safe_text(branch.standing.branch.name)
        yield f"★ {name}: {action}: {safe_text(branch.recommendation.reason)}"


def runs_text(branch: BranchStatus) -> str:
    """Return how many runs are done, running and failed."""
    parts = []
    if branch.num_done:
        parts.append(f"{branch.num_done} done")
    if branch.num_running:
        parts.append(click.style(f"{branch.num_running} running", fg="cyan"))
    if branch.num_failed:
        parts.append(click.style(f"{branch.num_failed} failed", fg="red"))
    return ", ".join(parts) or "none"


def _result(found: Status, results: BranchResults) -> str:
    values = list(results.seeds(found.metric).values())
    if not values:
        return "no result yet"
    spread = f" ±{statistics.stdev(values):.4f}" if len(values) > 1 else ""
    note = "" if results.is_of_tip else ", of an older commit"
    scale = f", {results.scale} set" if results.scale else ""
    return f"{safe_text(found.metric)} {statistics.fmean(values):.4f}{spread} ({len(values)} seeds{scale}{note})"

"""``status``: the overview as text or JSON."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime

import click

from branchlab.analysis.results import BranchResults
from branchlab.cli.documents import print_document, status_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.table import outcome_text, state_text, table
from branchlab.domain import Landed, RunState
from branchlab.lab.status import BranchStatus, Status
from branchlab.lab.status import status as overview
from branchlab.lab.words import FRESHNESS_WORDS, age, drift_text, figure
from branchlab.terminal_text import safe_text


@click.command(epilog="\b\nExamples:\n  branchlab status\n  branchlab status squeeze-excite --json")
@branches_argument
@json_option
def status(branches: tuple[str, ...], as_json: bool) -> None:
    """Show where every branch stands against main and the frozen reference, and how it did.

    MAIN and REF count commits ahead and behind; MERGE says whether a merge into main would conflict, or that the
    branch's content is in main already. Result and difference are those of the reduced set unless all runs were full.
    """
    found = overview(project_here(), branches)
    if as_json:
        print_document(status_document(found))
    else:
        print_status(found)


def print_status(found: Status) -> None:
    """Print the overview for people."""
    for warning in found.warnings:
        click.echo(click.style(f"! {safe_text(warning)}", fg="red", bold=True))
    seen = found.overview
    click.echo(
        f"{click.style(safe_text(seen.main.name), bold=True)}  {seen.main.tip[:10]}  {_result(found, found.main_results)}"
    )
    if seen.reference is not None:
        name = click.style(safe_text(seen.reference.name), bold=True)
        ahead = "?" if seen.reference.main_ahead is None else seen.reference.main_ahead
        click.echo(
            f"{name}  {seen.reference.tip[:10]}  {_result(found, found.reference_results)}  frozen, main is {ahead} ahead"
        )
    if not found.branches:
        click.echo("\nno experiment branch yet; start one: branchlab new-exp NAME")
        return
    click.echo()
    metric = safe_text(found.metric)
    header = [
        "BRANCH",
        "MAIN",
        "REF",
        "MERGE",
        metric,
        "Δ MAIN",
        "95% INTERVAL",
        "VERDICT",
        "RUNS",
        "AGE",
    ]
    rows = [_row(branch) for branch in found.branches]
    click.echo(table(rows, header=header, right=(4, 5), giving_way=(6, 9, 2, 8, 4)))


def _row(branch: BranchStatus) -> list[str]:
    verdict = branch.verdict
    interval = (
        f"[{verdict.interval[0]:+.4f}, {verdict.interval[1]:+.4f}]"
        if verdict and verdict.interval
        else ""
    )
    return [
        safe_text(branch.standing.branch.name),
        drift_text(branch.standing.main),
        drift_text(branch.standing.reference),
        merge_text(branch),
        figure(branch.mean),
        figure(verdict.difference, sign=True) if verdict else "-",
        interval,
        verdict_text(branch),
        runs_text(branch),
        age(branch.standing.branch.last_commit_at, datetime.now(UTC)),
    ]


def verdict_text(branch: BranchStatus) -> str:
    """Return the verdict and what its results no longer speak of; without one, that runs have failed."""
    if branch.verdict is not None:
        old = FRESHNESS_WORDS[branch.freshness]
        return f"{outcome_text(branch.verdict.outcome)} {old}".rstrip()
    return state_text(RunState.FAILED) if branch.num_failed else ""


def merge_text(branch: BranchStatus) -> str:
    """Return what a merge into main would do, coloured."""
    standing = branch.standing
    if standing.landed not in {Landed.NO, Landed.UNKNOWN}:
        return click.style(str(standing.landed), fg="bright_black")
    if standing.conflicts is None:
        return "?"
    if not standing.conflicts:
        return "clean" if standing.main.ahead else "-"
    files = (
        safe_text(standing.conflicts[0])
        if len(standing.conflicts) == 1
        else f"{len(standing.conflicts)} files"
    )
    return click.style(f"conflict: {files}", fg="red")


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

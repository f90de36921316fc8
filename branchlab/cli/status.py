"""``status``: the overview as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from branchlab.analysis.results import BranchResults
from branchlab.analysis.wording import difference_text, interval_text
from branchlab.cli.baseline import baseline_line
from branchlab.cli.documents import print_document, status_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.table import outcome_text, state_text, table
from branchlab.cli.telling import telling
from branchlab.cli.trust_line import trust_line
from branchlab.domain import BaselineState, Landed, MergeBack, ReferenceState, RunState
from branchlab.lab.status import BranchStatus, Status
from branchlab.lab.status import status as overview
from branchlab.lab.words import age, drift_text, figure, hypotheses_text, merge_words, old_text
from branchlab.terminal_text import safe_text

_WAITING_MAX = 3


@click.command(
    epilog="\b\nExamples:\n  branchlab status\n  branchlab status squeeze-excite --json\n"
    "  branchlab status --all        what ran on branches that are gone, too"
)
@branches_argument
@click.option("--all", "with_deleted", is_flag=True, help="Deleted branches that have run, too.")
@json_option
def status(branches: tuple[str, ...], with_deleted: bool, as_json: bool) -> None:
    """Show where every branch stands against main and the frozen reference, and how it did.

    MAIN and REF count commits ahead and behind; MERGE says whether a merge into main would conflict, or by which road
    the branch's content got into main. Experiments that live only on a remote are shown as of the last fetch. Result
    and difference are those of the reduced set unless all runs were full; "interim" says that declared runs are still to come.
    """
    project = project_here(warns=False)
    with telling() as tell:
        found = overview(project, branches, with_deleted=with_deleted, tell=tell)
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
        click.echo(
            f"{name}  {seen.reference.tip[:10]}  {_result(found, found.reference_results)}  {_frozen(found, seen.reference)}"
        )
    if line := _baseline_line(found):
        click.echo(line)
    if not found.branches:
        click.echo("\nno experiment branch yet; start one: branchlab new-exp NAME")
        return
    click.echo()
    metric = safe_text(found.metric)
    header = [
        *("BRANCH", "MAIN", "REF", "MERGE", metric, "Δ MAIN", "95% INTERVAL", "VERDICT"),
        *("MERGE BACK", "RUNS", "AGE", "NOTE"),
    ]
    rows = [_row(branch) for branch in found.branches]
    click.echo(table(rows, header=header, right=(4, 5), giving_way=(6, 10, 11, 2, 9, 8, 4)))
    _print_waiting(found.branches)
    if found.trust is not None:
        click.echo(f"\n{trust_line(found.trust)}")


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


def _row(branch: BranchStatus) -> list[str]:
    verdict = branch.verdict
    return [
        safe_text(branch.standing.branch.name),
        drift_text(branch.standing.main),
        drift_text(branch.standing.reference),
        merge_text(branch),
        figure(branch.mean),
        difference_text(verdict) if verdict else "-",
        interval_text(verdict) if verdict else "",
        verdict_text(branch),
        merge_back_text(branch),
        runs_text(branch),
        age(branch.standing.branch.last_commit_at, datetime.now(UTC)),
        safe_text(", ".join(filter(None, (hypotheses_text(branch.hypotheses), *branch.notes)))),
    ]


def verdict_text(branch: BranchStatus) -> str:
    """Return the verdict, whether it is interim, and what its results no longer speak of; without one, that runs have failed."""
    if branch.verdict is not None:
        old = old_text(branch.freshness, branch.standing.results_behind)
        interim = "interim" if branch.verdict.is_interim else ""
        return " ".join(filter(None, (outcome_text(branch.verdict.outcome), interim, old)))
    return state_text(RunState.FAILED) if branch.num_failed else ""


def merge_text(branch: BranchStatus) -> str:
    """Return what a merge into main would do, or by which road the branch is in main; coloured."""
    standing, words = branch.standing, safe_text(merge_words(branch.standing))
    if standing.landed.is_settled:
        colour = "yellow" if standing.landed is Landed.REVERTED else "bright_black"
        return click.style(words, fg=colour)
    return click.style(words, fg="red") if standing.conflicts else words


def merge_back_text(branch: BranchStatus) -> str:
    """Return what a branch needs before it goes back to main; that it did well and waits stands out."""
    if branch.merge_back is None:
        return "?" if branch.standing.landed is not Landed.UNKNOWN else ""
    if branch.merge_back in {MergeBack.LANDED, MergeBack.NOTHING}:
        return click.style(str(branch.merge_back), fg="bright_black")
    word = str(branch.merge_back)
    return click.style(f"★ {word}", bold=True) if branch.recommendation.action.is_waiting else word


def _print_waiting(branches: Sequence[BranchStatus]) -> None:
    """Name the branches that did well and wait to be brought back, with what to do."""
    waiting = [one for one in branches if one.recommendation.action.is_waiting]
    click.echo("\n" if waiting else "", nl=False)
    for branch in waiting[:_WAITING_MAX]:
        action = str(branch.recommendation.action).replace("-", " ")
        name = safe_text(branch.standing.branch.name)
        click.echo(f"★ {name}: {action}: {safe_text(branch.recommendation.reason)}")


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
    import statistics

    spread = f" ±{statistics.stdev(values):.4f}" if len(values) > 1 else ""
    note = "" if results.is_of_tip else ", of an older commit"
    scale = f", {results.scale} set" if results.scale else ""
    return f"{safe_text(found.metric)} {statistics.fmean(values):.4f}{spread} ({len(values)} seeds{scale}{note})"

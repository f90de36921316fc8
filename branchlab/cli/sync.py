"""``sync``: what came into which branch, what did not and why, and how to undo it."""

from __future__ import annotations

import click

from branchlab.cli.documents import Document, print_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.table import table
from branchlab.cli.telling import telling
from branchlab.errors import ConfigError
from branchlab.lab.sync import UNDO, SyncedBranch, SyncReport, SyncRequest, SyncState
from branchlab.lab.sync import sync as bring
from branchlab.lab.sync import undo as put_back
from branchlab.terminal_text import safe_text

_COLOURS = {
    SyncState.SYNCED: "green",
    SyncState.UNDONE: "green",
    SyncState.WOULD_SYNC: "cyan",
    SyncState.UP_TO_DATE: "bright_black",
    SyncState.LANDED: "bright_black",
    SyncState.SKIPPED: "yellow",
}


@click.command(
    epilog="\b\nExamples:\n  branchlab sync squeeze-excite\n  branchlab sync --all-branches --dry-run\n"
    "  branchlab sync --all-branches --rebase\n  branchlab sync --undo"
)
@branches_argument
@click.option("--all-branches", is_flag=True, help="Every local experiment.")
@click.option("--rebase", is_flag=True, help="Replay the branch on main instead of merging main.")
@click.option(
    "--worktrees",
    is_flag=True,
    help="Also branches that are checked out in a clean work tree: its files move along.",
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
@click.option("--undo", is_flag=True, help="Put the branches of the last sync back.")
@json_option
def sync(
    branches: tuple[str, ...],
    all_branches: bool,
    rebase: bool,
    worktrees: bool,
    dry_run: bool,
    undo: bool,
    as_json: bool,
) -> int:
    """Bring main's improvements into experiment branches, where that is clean.

    Main is merged into each branch whose merge has no conflict; the others are skipped, their files named. A branch
    stacked on another one gets it from there. Your work tree, index and branch are never touched. Branches whose results
    become those of an older tip are named. Exits with 1 when a branch that was asked for was skipped.
    """
    if branches and all_branches:
        raise ConfigError(
            "--all-branches names every branch already", hint="leave the branch names out"
        )
    if undo and (branches or all_branches or rebase or worktrees or dry_run):
        raise ConfigError("--undo takes back the last sync as a whole", hint=UNDO)
    project = project_here()
    if undo:
        report = put_back(project)
    else:
        request = SyncRequest(
            names=branches,
            is_all=all_branches,
            is_rebase=rebase,
            takes_along=worktrees,
            is_dry=dry_run,
        )
        with telling() as tell:
            report = bring(project, request, tell=tell)
    if as_json:
        print_document(_document(report, is_dry=dry_run))
    else:
        _print(report)
    return 1 if report.named(SyncState.SKIPPED) else 0


def _print(report: SyncReport) -> None:
    if not report.branches:
        click.echo("no experiment branch yet; start one: branchlab new-exp NAME")
        return
    rows = [_row(branch) for branch in report.branches]
    click.echo(table(rows, header=["BRANCH", "WHAT", "FROM", "NOW", "WHY"], giving_way=(2,)))
    outdated = [safe_text(branch.name) for branch in report.branches if branch.is_outdated]
    if outdated:
        verb = "are now of" if report.named(SyncState.SYNCED) else "would be of"
        click.echo(f"\nresults {verb} an older tip; again: branchlab run {' '.join(outdated)}")
    if report.named(SyncState.SYNCED):
        click.echo(f"\nundo: {UNDO}")


def _row(branch: SyncedBranch) -> list[str]:
    what = click.style(str(branch.state).replace("-", " "), fg=_COLOURS[branch.state])
    source = f"with {branch.source}" if branch.source else ""
    return [
        safe_text(branch.name),
        what,
        branch.before[:10],
        branch.after[:10] or "-",
        safe_text(branch.reason or source),
    ]


def _document(report: SyncReport, *, is_dry: bool) -> Document:
    return {
        "main": report.main or None,
        "how": "rebase" if report.is_rebase else "merge",
        "is_dry_run": is_dry,
        "branches": [
            {
                "name": branch.name,
                "state": str(branch.state),
                "before": branch.before,
                "after": branch.after or None,
                "source": branch.source or None,
                "conflicts": list(branch.conflicts),
                "reason": branch.reason,
                "is_outdated": branch.is_outdated,
            }
            for branch in report.branches
        ],
        "undo": UNDO if report.named(SyncState.SYNCED) else None,
    }

"""``drift``: main against the frozen reference, by training."""

from __future__ import annotations

import click

from branchlab.cli.documents import print_document
from branchlab.cli.options import json_option, parity_options, project_here
from branchlab.cli.parity import print_check
from branchlab.cli.proof_documents import drift_document
from branchlab.cli.telling import telling
from branchlab.domain import ParityStatus
from branchlab.lab.drift import DriftReport
from branchlab.lab.drift import drift as find_drift
from branchlab.lab.parity import ParityRequest
from branchlab.terminal_text import safe_text


@click.command(epilog="\b\nExamples:\n  branchlab drift\n  branchlab drift --steps 400 --json")
@parity_options
@json_option
@click.pass_context
def drift(ctx: click.Context, steps: int, seeds: int, device: str | None, as_json: bool) -> None:
    """Say whether main, with every flag at its default, still trains like the frozen reference.

    When it does not, main's first-parent history is searched for the commit that changed it; what was trained before
    is not trained again.
    """
    request = ParityRequest(steps=steps, seeds=seeds, device=device)
    with telling() as tell:
        found = find_drift(project_here(), request, tell=tell)
    if as_json:
        print_document(drift_document(found))
    else:
        print_drift(found)
    ctx.exit(0 if found.check.status is ParityStatus.NEUTRAL else 1)


def print_drift(found: DriftReport) -> None:
    """Print the report for people."""
    commits = "1 commit" if found.num_commits == 1 else f"{found.num_commits} commits"
    click.echo(
        f"{safe_text(found.main_name)} {found.main[:10]}, {commits} after the reference {found.reference[:10]}"
    )
    print_check("off", found.check)
    culprit = found.culprit
    if culprit is None:
        return
    when = culprit.at.strftime("%Y-%m-%d")
    click.echo(
        f"  since {culprit.commit[:10]} of {when}: {click.style(safe_text(culprit.subject), bold=True)}"
    )
    print_check("it", culprit.check)
    if culprit.untold:
        shown = ", ".join(commit[:10] for commit in culprit.untold[:3])
        click.echo(
            f"      {len(culprit.untold)} commits before it do not train, and may have done it as well: {shown}"
        )
    click.echo(
        f"  {found.num_trained} of {commits} were trained; look at it: git show {culprit.commit[:10]}"
    )

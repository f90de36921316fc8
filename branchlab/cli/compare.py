"""``compare``: verdicts in sentences."""

from __future__ import annotations

import click

from branchlab.cli.app import branch_names
from branchlab.cli.documents import compare_document, print_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.table import outcome_text, table
from branchlab.cli.trust_line import trust_line
from branchlab.lab.judge import Comparison, why_none
from branchlab.lab.judge import compare as judge
from branchlab.lab.words import figure
from branchlab.terminal_text import safe_text


@click.command(
    epilog="\b\nExamples:\n  branchlab compare\n  branchlab compare squeeze-excite --metric val/loss --json"
)
@branches_argument
@click.option("--metric", metavar="M", help="Another metric than [run] metric.")
@click.option(
    "--against", metavar="B", shell_complete=branch_names, help="Another branch than main."
)
@json_option
def compare(
    branches: tuple[str, ...], metric: str | None, against: str | None, as_json: bool
) -> None:
    """Say whether branches are better than main, with an interval and the number of seeds.

    Runs are paired by seed, the noise of seeds is pooled over all branches compared, and p values are adjusted for
    their number (Holm). Fewer than two common seeds are never a verdict.
    """
    found = judge(project_here(), branches, metric=metric, against=against)
    if as_json:
        print_document(compare_document(found))
    else:
        print_comparison(found)


def print_comparison(found: Comparison) -> None:
    """Print verdicts for people, the best branch first."""
    click.echo(f"{safe_text(found.metric)} ({found.goal}), against {safe_text(found.against)}\n")
    sign = 1 if found.goal == "max" else -1
    judged = sorted(
        found.judged,
        key=lambda j: (
            j.verdict is None or j.verdict.difference is None,
            -sign * ((j.verdict.difference or 0.0) if j.verdict else 0.0),
        ),
    )
    rows = []
    for one in judged:
        values = list(one.results.seeds(found.metric).values())
        verdict = one.verdict
        why = why_none(one, found) or (verdict.sentence.partition(": ")[2] if verdict else "")
        rows.append(
            [
                safe_text(one.subject.branch),
                figure(sum(values) / len(values) if values else None),
                outcome_text(verdict.outcome) if verdict else "- no result",
                safe_text(why),
            ]
        )
    if rows:
        click.echo(table(rows, header=["BRANCH", "MEAN", "VERDICT", "WHY"], right=(1,)))
        for name, said in found.samples.items():
            click.echo(f"! {safe_text(name)} {safe_text(said)}: its verdict is about the data too")
        for name, said in found.environments.items():
            click.echo(f"! {safe_text(name)} trained in another environment: {safe_text(said)}")
        if found.trust is not None:
            click.echo(f"\n{trust_line(found.trust)}")
    else:
        click.echo("nothing to compare; train some branches: branchlab run --all-branches")

"""``baseline``: reproduced or not, in one sentence."""

from __future__ import annotations

import click

from branchlab.cli.documents import print_document
from branchlab.cli.options import carrying_options, json_option, project_here, typed_command
from branchlab.cli.promotion_documents import baseline_document
from branchlab.cli.telling import say_notes
from branchlab.domain import BaselineState
from branchlab.lab.baseline import BaselineFound, baseline_request
from branchlab.lab.baseline import baseline as known_baseline
from branchlab.terminal_text import safe_text

_COLOURS = {
    BaselineState.REPRODUCED: "green",
    BaselineState.NOT_REPRODUCED: "red",
    BaselineState.UNDECIDED: "yellow",
    BaselineState.NOT_RUN: "bright_black",
    BaselineState.NONE: "bright_black",
}


@click.command(
    epilog="\b\nExamples:\n  branchlab baseline                what is not known yet is trained\n"
    "  branchlab baseline --seeds 5\n  branchlab baseline --no-run --json"
)
@click.option(
    "--seeds", type=int, metavar="N", help="Seeds 0 to N-1. [baseline.seeds, else run.seeds]"
)
@click.option("--no-run", is_flag=True, help="Only say what the runs that are known show.")
@carrying_options
@json_option
def baseline(
    seeds: int | None,
    no_run: bool,
    device: str | None,
    jobs: int | None,
    budget_total: float | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train the reference on the full set, and say whether it reproduces the published figure of [baseline].

    Reproduced is the figure when the 95% interval of the mean over seeds lies within published ± tolerance, not reproduced
    when it lies outside; between the two it is undecided. Results that are known are reused. Exits with 1 unless reproduced.
    """
    from branchlab.lab.run_request import RunRequest

    project = project_here()
    found = known_baseline(project)
    if not no_run:
        from branchlab.cli.carry import carry_out, plan_only, say_failures, say_submitted
        from branchlab.cli.run import print_plan
        from branchlab.lab.track import tracker_news

        asked = RunRequest(
            seeds=seeds,
            device=device,
            jobs=jobs,
            budget_total_s=budget_total,
            command=typed_command(),
        )
        trained, request = baseline_request(project, found, asked)
        if dry_run:
            print_plan(plan_only(trained, request), as_json=as_json)
            return 0
        carried = carry_out(trained, request)
        say_failures(carried)
        say_submitted(carried.last.given, is_error=as_json)
        say_notes(tracker_news(project))
        if carried.is_stopped:
            return 130
        found = known_baseline(project)
    print_document(baseline_document(found)) if as_json else print_baseline(found)
    return 0 if found.verdict.state is BaselineState.REPRODUCED else 1


def print_baseline(found: BaselineFound) -> None:
    """Print for people what is known of the baseline."""
    click.echo(baseline_line(found))
    if found.verdict.state is BaselineState.NOT_RUN and not found.results.records:
        click.echo("run it: branchlab baseline")
    say_notes(found.notes)


def baseline_line(found: BaselineFound) -> str:
    """Return the verdict in one line, its first words coloured."""
    state = found.verdict.state
    word, colon, rest = safe_text(found.verdict.sentence).partition(":")
    return f"{click.style(word, fg=_COLOURS[state], bold=True)}{colon}{rest}" if colon else word

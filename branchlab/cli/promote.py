"""``promote``: both scales side by side, and how far the sample can be trusted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from branchlab.cli.documents import print_document
from branchlab.cli.options import (
    branches_argument,
    carrying_options,
    json_option,
    project_here,
    typed_command,
)
from branchlab.cli.promotion_documents import promotion_document
from branchlab.cli.table import outcome_text, table
from branchlab.cli.telling import say_notes
from branchlab.cli.trust_line import trust_line
from branchlab.domain import RunRecord, Verdict
from branchlab.errors import ConfigError
from branchlab.lab.promote import Choice, OnBothScales, Promotion, promotion, promotion_request
from branchlab.lab.run_request import RunRequest, check_request
from branchlab.lab.words import figure
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.lab.halving import Halving
    from branchlab.lab.project import Project

_CHOICES = {
    Choice.BETTER: "better",
    Choice.AT_RANDOM: "at random",
    Choice.HALVED: "left over",
    Choice.NOT: "",
}


@dataclass(slots=True, kw_only=True)
class _Batches:
    """Carries batches out one after the other within one total budget, and remembers how they ended."""

    project: Project
    until: float | None = None
    is_stopped: bool = False
    is_short: bool = False
    given: dict[str, str] = field(default_factory=dict)

    def carry(self, request: RunRequest) -> Mapping[str, RunRecord]:
        from branchlab.cli.carry import carry_out, say_failures

        if self.until is not None:
            left_s = max(1e-3, self.until - time.monotonic())
            request = replace(request, budget_total_s=left_s)
        carried = carry_out(self.project, request)
        say_failures(carried)
        self.given |= carried.last.given
        self.is_stopped |= carried.is_stopped
        self.is_short |= carried.is_short
        return carried.last.records


@click.command(
    epilog="\b\nExamples:\n  branchlab promote --dry-run\n  branchlab promote squeeze-excite --no-losers\n"
    "  branchlab promote --halving --seeds 2     many branches: small parts of the sample first\n"
    "  branchlab promote --no-run --json"
)
@branches_argument
@click.option(
    "--halving",
    is_flag=True,
    help="Find the branches first, by successive halving on growing parts of the sample. [promote.rungs, promote.eta]",
)
@click.option("--no-losers", is_flag=True, help="Run none of what is not better.")
@click.option("--no-run", is_flag=True, help="Only say what the runs that are known show.")
@click.option(
    "--seeds", type=int, metavar="N", help="Seeds 0 to N-1 instead of those of the sample."
)
@carrying_options
@json_option
def promote(
    branches: tuple[str, ...],
    halving: bool,
    no_losers: bool,
    no_run: bool,
    seeds: int | None,
    device: str | None,
    jobs: int | None,
    budget_total: float | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run on the full set what is better on the sample, main beside it; and say whether the sample can be trusted.

    The commits and seeds are those that the sample was judged by, not a tip that has moved on. One in four of the branches
    that are not better runs too, picked at random, so that the score does not flatter itself. Exits with 1 when a run failed.
    """
    if halving and (no_run or no_losers):
        wrong = "--no-run" if no_run else "--no-losers"
        raise ConfigError(f"{wrong} means nothing beside --halving", hint="leave one of them out")
    project = project_here()
    asked = RunRequest(
        seeds=seeds,
        device=device,
        jobs=jobs,
        budget_total_s=budget_total,
        command=typed_command(),
    )
    check_request(project, asked)
    until = None if budget_total is None else time.monotonic() + budget_total
    batches = _Batches(project=_without_early_stop(project) if halving else project, until=until)
    halved: Halving | None = None
    if halving:
        from branchlab.cli.halving import dry_halving, halve_and_say

        if dry_run:
            dry_halving(project, branches, asked, as_json=as_json)
            return 0
        halved = halve_and_say(project, branches, asked, batches.carry, is_quiet=as_json)
    names = halved.survivors if halved is not None else None
    found = promotion(project, branches, with_losers=not no_losers, halved=names)
    is_ready = halved is None or halved.is_over
    if not no_run and found.chosen and is_ready:
        say_notes(found.notes)
        request = promotion_request(found, asked)
        if dry_run:
            _print_plan(project, request, as_json=as_json)
            return 0
        batches.carry(request)
        found = promotion(project, branches, with_losers=not no_losers, halved=names)
    elif not no_run:
        say_notes(found.notes)
    _say_end(batches, as_json=as_json)
    if as_json:
        print_document(promotion_document(found, halved))
    else:
        print_promotion(found, is_halved=halved is not None)
    if batches.is_stopped:
        return 130
    return 1 if batches.is_short or not is_ready else 0


def _without_early_stop(project: Project) -> Project:
    """Return a project whose batches run to their end: a seed that is left out would leave a rung unfinished."""
    run = replace(project.config.run, stop_early=False)
    return replace(project, config=replace(project.config, run=run))


def _print_plan(project: Project, request: RunRequest, *, as_json: bool) -> None:
    from branchlab.cli.carry import plan_only
    from branchlab.cli.run import print_plan

    print_plan(plan_only(project, request), as_json=as_json)


def _say_end(batches: _Batches, *, as_json: bool) -> None:
    from branchlab.cli.carry import say_submitted
    from branchlab.lab.track import tracker_news

    say_submitted(batches.given, is_error=as_json)
    say_notes(tracker_news(batches.project))


def print_promotion(found: Promotion, *, is_halved: bool = False) -> None:
    """Print both scales side by side for people, what is chosen first."""
    if not found.branches:
        click.echo(
            "nothing has run on the sample yet; train some branches: branchlab run --all-branches"
        )
        return
    click.echo(f"{safe_text(found.metric)} ({found.goal}), against {safe_text(found.main)}\n")
    order = list(Choice)
    rows = [_row(one) for one in sorted(found.branches, key=lambda one: order.index(one.choice))]
    header = [
        *("BRANCH", "ON THE SAMPLE", "95% INTERVAL", "ON THE FULL SET", "95% INTERVAL"),
        *("EXPECTED THERE", "COMMIT", "PROMOTED"),
    ]
    click.echo(table(rows, header=header, giving_way=(6, 2, 4, 5)))
    if not found.chosen and not is_halved:
        click.echo("\nno branch is better on the sample: nothing to promote")
    if found.trust is not None:
        click.echo(f"\n{trust_line(found.trust)}")


def _row(one: OnBothScales) -> list[str]:
    moved = ", has moved since" if one.is_moved else ""
    expected = "" if one.expected is None else f"{one.expected[0]:+.4f} ± {one.expected[1]:.4f}"
    return [
        safe_text(one.branch),
        *_said(one.sample.verdict),
        *_said(one.full),
        expected,
        one.commit[:10],
        f"{_CHOICES[one.choice]}{moved}".removeprefix(", "),
    ]


def _said(verdict: Verdict | None) -> list[str]:
    """Return a verdict with its difference, and its interval."""
    if verdict is None:
        return ["-", ""]
    interval = (
        f"[{verdict.interval[0]:+.4f}, {verdict.interval[1]:+.4f}]" if verdict.interval else ""
    )
    return [f"{outcome_text(verdict.outcome)} {figure(verdict.difference, sign=True)}", interval]

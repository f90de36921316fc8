"""``run``: the plan, live progress, what came out."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from branchlab.cli.carry import Carried, carry_out, plan_only, say_failures, say_submitted
from branchlab.cli.compare_text import print_comparison
from branchlab.cli.determinism import check_and_report, refuse_beside_check
from branchlab.cli.documents import compare_document, print_document, print_events, run_document
from branchlab.cli.hypotheses import print_short
from branchlab.cli.hypothesis_documents import hypotheses_document
from branchlab.cli.options import (
    Duration,
    branches_argument,
    flag_option,
    json_option,
    parse_flags,
    project_here,
    typed_command,
)
from branchlab.cli.progress import at_once
from branchlab.cli.table import table
from branchlab.cli.telling import say_notes, telling
from branchlab.config import CONFIG_NAME
from branchlab.domain import DETERMINISM_STEPS, RunRecord, RunState
from branchlab.errors import ConfigError
from branchlab.lab.executors import LOCAL, kind_of
from branchlab.lab.hypotheses import BranchHypotheses, hypotheses
from branchlab.lab.judge import Comparison, compare, metric_missing
from branchlab.lab.progress import Progress
from branchlab.lab.project import Project
from branchlab.lab.run import Prepared, RunSession
from branchlab.lab.run_request import RunRequest
from branchlab.lab.track import tracker_news
from branchlab.lab.words import duration
from branchlab.terminal_text import safe_text

_SEEN_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How much of a run is shown."""

    as_json: bool = False
    is_dry: bool = False
    is_following: bool = False
    shows_verdicts: bool = True


@click.command(
    epilog="\b\nExamples:\n  branchlab run                              the branch checked out here, and main\n"
    "  branchlab run --all-branches --seeds 5\n"
    "  branchlab run squeeze-excite --flag squeeze_excite=true --epochs 2\n"
    "  branchlab run main --experiment squeeze-excite   a landed experiment: main with its flags"
)
@branches_argument
@click.option("--all-branches", is_flag=True, help="The reference and every experiment.")
@click.option("--seeds", type=int, metavar="N", help="Seeds 0 to N-1 of each branch. [run.seeds]")
@click.option("--full", is_flag=True, help="Train on the whole training set.")
@click.option(
    "--sample", type=float, metavar="F", help="Train on this fraction of it. [sample.fraction]"
)
@click.option("--epochs", type=int, metavar="N", help="Other than the recipe's, or the script's.")
@click.option(
    "--budget",
    type=Duration(),
    metavar="T",
    help="Train every run for this time (90s, 5m) instead of its epochs.",
)
@click.option(
    "--budget-total", type=Duration(), metavar="T", help="Start nothing more after this time."
)
@flag_option("Give this keyword argument to the task of every branch but main.")
@click.option("--experiment", metavar="E", help="Give main the flags of this landed experiment.")
@click.option("--device", metavar="D", help="auto, cpu, mps, cuda or cuda:N. [run.device]")
@click.option(
    "--jobs", type=int, metavar="N", help="Runs at once; 0 is as many as serve. [run.jobs]"
)
@click.option(
    "--executor", metavar="E", help="What carries runs out: local, slurm or ray. [executor.kind]"
)
@click.option("--dry-run", is_flag=True, help="Show the plan, start nothing.")
@click.option(
    "--detach",
    is_flag=True,
    help="Go on in the background; follow with: branchlab runs -f, branchlab tui.",
)
@click.option(
    "-f", "--follow", is_flag=True, help="With --json: print an event a line while it happens."
)
@click.option("--force", is_flag=True, help="Train again what is known already.")
@click.option(
    "--check-determinism",
    is_flag=True,
    help="Train nothing to keep: prove that two runs of one key are the same to the bit, and name what breaks it.",
)
@click.option(
    "--steps",
    type=int,
    metavar="N",
    help=f"With --check-determinism: steps of each training. [{DETERMINISM_STEPS}]",
)
@click.option(
    "--debug",
    is_flag=True,
    help="Train one branch in this terminal, so that breakpoint() works; nothing is recorded.",
)
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    branches: tuple[str, ...],
    all_branches: bool,
    seeds: int | None,
    full: bool,
    sample: float | None,
    epochs: int | None,
    budget: float | None,
    budget_total: float | None,
    flags: tuple[str, ...],
    experiment: str | None,
    device: str | None,
    jobs: int | None,
    executor: str | None,
    dry_run: bool,
    detach: bool,
    follow: bool,
    force: bool,
    check_determinism: bool,
    steps: int | None,
    debug: bool,
    as_json: bool,
) -> int:
    """Train branches with the shared trainer, several seeds each, and main beside them as the other half of each pair.

    Each run trains the exact commit in a work tree of its own; your work tree, index and branch are never touched.
    Results that are known are reused. Ctrl-C lets runs write a checkpoint, a second one ends them at once; the same
    command goes on from there. Exits with 1 when a run failed.
    """
    if branches and all_branches:
        raise ConfigError(
            "--all-branches names every branch already", hint="leave the branch names out"
        )
    project = project_here()
    request = RunRequest(
        names=branches,
        is_all=all_branches,
        seeds=seeds,
        is_full=full,
        fraction=sample,
        epochs=epochs,
        budget_s=budget,
        budget_total_s=budget_total,
        flags=parse_flags(flags),
        experiment=experiment,
        device=device,
        jobs=jobs,
        executor=executor,
        is_forced=force,
        command=typed_command(),
    )
    if debug:
        return _debug(project, request)
    if check_determinism or steps is not None:
        refuse_beside_check(ctx.params)
        return check_and_report(project, request, steps=steps, as_json=as_json)
    if (
        detach and not dry_run and kind_of(project, executor) == LOCAL
    ):  # a cluster goes on by itself
        return _detach(project, request, as_json=as_json)
    return run_and_report(
        project, request, Outlook(as_json=as_json, is_dry=dry_run, is_following=follow)
    )


def run_and_report(project: Project, request: RunRequest, outlook: Outlook) -> int:
    """Plan, carry out and report a batch; return the exit code."""
    if outlook.is_dry:
        print_plan(plan_only(project, request), as_json=outlook.as_json)
        return 0
    is_told = outlook.as_json and outlook.is_following
    carried = carry_out(project, request, hears=print_events if is_told else None)
    _report(project, carried, outlook)
    say_notes(tracker_news(project))
    if carried.is_stopped:
        return 130
    return 1 if carried.is_short else 0


def print_plan(prepared: Prepared, *, as_json: bool) -> None:
    """Print what would be trained, what is known already, and how long it takes."""
    plan, guess = prepared.plan, prepared.estimate
    if as_json:
        runs = [
            {
                **run_document(p.known or RunRecord(run=p.run, state=RunState.PLANNED)),
                "is_reused": p.is_reused,
                "why": prepared.reasons[p.run.id],
                "estimate_s": guess.run_s.get(p.run.id),
            }
            for p in plan.runs
        ]
        print_document(
            {
                "batch": plan.batch,
                "slots": prepared.num_slots,
                "estimate_s": guess.total_s,
                "estimated_from": guess.num_earlier,
                "runs": runs,
            }
        )
        return
    rows, header = [], ["RUN", "BRANCH", "COMMIT", "SEED", "FLAGS", "TIME", "WHY"]
    for planned in plan.runs:
        one = planned.run
        flags = ", ".join(f"{name}={value}" for name, value in one.flags.items())
        rows.append(
            [
                one.id,
                safe_text(one.branch),
                one.commit[:10],
                str(one.seed),
                safe_text(flags) or "-",
                duration(guess.run_s.get(one.id)),
                safe_text(prepared.reasons[one.id]),
            ]
        )
    click.echo(table(rows, header=header, right=(3, 5), giving_way=(2, 4)))
    first = plan.runs[0].run
    part = (
        f"{first.sample.fraction:g} of the training set"
        if first.scale == "sample"
        else "the whole training set"
    )
    click.echo(
        f"\n{len(plan.to_start)} to train, {len(plan.runs) - len(plan.to_start)} known; "
        f"{at_once(prepared)} on {first.device}, {part}"
    )
    if guess.total_s is not None and plan.to_start:
        earlier = (
            f"from {guess.num_earlier} earlier runs like these"
            if guess.num_earlier
            else "by the budget, start and validation not counted"
        )
        click.echo(f"about {duration(guess.total_s)}, {earlier}")
    elif plan.to_start:
        click.echo("how long that takes is not known: nothing like it has run here yet")


def _report(project: Project, carried: Carried, outlook: Outlook) -> None:
    prepared, last = carried.prepared, carried.last
    names = [
        name
        for name in dict.fromkeys(r.run.branch for r in last.records.values())
        if name != _main(project)
    ]
    comparison, missing = _compared(project, names, last)
    claimed = _claimed(project, names, last)
    if outlook.as_json:
        runs = [run_document(record) for record in last.records.values()]
        verdicts = compare_document(comparison) if comparison else None
        document = {
            "batch": prepared.plan.batch,
            "runs": runs,
            "compare": verdicts,
            "hypotheses": hypotheses_document(claimed)["branches"],
            "submitted": [{"run": run_id, "job": job} for run_id, job in last.given.items()],
            "queued": [{"run": run_id, "job": j.job} for run_id, j in prepared.jobs.items()],
        }
        print_document({"event": "end", **document} if outlook.is_following else document)
        if missing is not None:
            raise missing
        return
    say_failures(carried)
    say_submitted(last.given)
    if comparison is not None and outlook.shows_verdicts:
        print_comparison(project, comparison)
    if outlook.shows_verdicts:
        print_short(claimed)
    if missing is not None:
        raise missing


def _compared(
    project: Project, names: Sequence[str], last: Progress
) -> tuple[Comparison | None, ConfigError | None]:
    """Return what the runs say, or why they say nothing: that is raised when all else has been told."""
    done = [r for r in last.records.values() if r.state is RunState.DONE]
    if not done:
        return None, None
    metric = project.config.run.metric
    if lacking := metric_missing(done, metric):
        hint = f"set [run] metric in {CONFIG_NAME} to one of them, or let the runs record {metric}"
        return None, ConfigError(f"nothing can be judged: {lacking}", hint=hint)
    return (compare(project, names) if names else None), None


def _claimed(
    project: Project, names: Sequence[str], last: Progress
) -> tuple[BranchHypotheses, ...]:
    """Return the hypotheses of branches whose runs are done."""
    is_done = any(record.state is RunState.DONE for record in last.records.values())
    found = hypotheses(project, names) if names and is_done else ()
    return tuple(branch for branch in found if branch.judged)


def _main(project: Project) -> str:
    return project.config.branches.main


def _debug(project: Project, request: RunRequest) -> int:
    """Train one branch here, with the terminal attached; return the exit code."""
    from branchlab.lab.attached import Attached, attach, branch_to_debug
    from branchlab.lab.probe import ProbeRequest

    name = branch_to_debug(project, tuple(request.names))
    return attach(project, name, ProbeRequest(device=request.device), Attached.DEBUG)


def _detach(project: Project, request: RunRequest, *, as_json: bool) -> int:
    """Start the same command in a session of its own, after the plan has been found good."""
    session = RunSession(project, request)
    try:
        with telling() as tell:
            prepared = session.prepare(tell=tell)
    finally:
        session.close()
    arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
    log = project.state.path / "detached.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "branchlab.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    until = time.monotonic() + _SEEN_WITHIN_S
    while not project.state.is_at_work() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)  # from here on `branchlab runs -f` finds something to follow
    if as_json:
        to_start = [run.id for run in prepared.plan.to_start]
        print_document({"to_start": to_start, "process": process.pid, "log": str(log)})
        return 0
    click.echo(
        f"{len(prepared.plan.to_start)} runs go on in the background (process {process.pid}); its log: {log}"
    )
    click.echo("follow: branchlab runs -f, branchlab tui; stop: branchlab cancel RUN")
    return 0

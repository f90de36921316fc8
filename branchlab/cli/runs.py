"""``runs``, ``show``, ``logs``, ``cancel``."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from branchlab.cli.app import run_ids
from branchlab.cli.documents import print_document, print_events, run_document, runs_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.progress import show_followed
from branchlab.cli.table import state_text, table
from branchlab.cli.telling import say_notes
from branchlab.domain import RunRecord, RunState, Script
from branchlab.lab import runs as verbs
from branchlab.lab.progress import follow
from branchlab.lab.project import Project
from branchlab.lab.run_environments import environment_rows
from branchlab.lab.track import start_tracker, tracker_news
from branchlab.lab.words import age, duration, figure, progress_text, usage_text
from branchlab.schedule.pool import StopRequest
from branchlab.terminal_text import safe_log_line, safe_text


@click.command(
    epilog="\b\nExamples:\n  branchlab runs\n  branchlab runs squeeze-excite --state failed --json"
)
@branches_argument
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(s) for s in RunState]),
    help="Only these.",
)
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Watch until nothing runs any more; with --json an event a line.",
)
@json_option
def runs(
    branches: tuple[str, ...],
    states: tuple[str, ...],
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """List runs, the latest planned first; those of deleted branches too.

    Following shows what runs, whoever started it: another terminal, `branchlab run --detach`, a cluster. Ctrl-C ends
    the watching and no run.
    """
    project = project_here()
    say_notes(verbs.look_after_jobs(project))
    if follow:
        _watch(project, branches, as_json=as_json)
    say_notes(tracker_news(project))
    found = verbs.list_runs(
        project,
        branches,
        states=[RunState(s) for s in states],
        limit=-1 if limit is None else limit,
    )
    if as_json:
        listed = runs_document(found)
        print_document({"event": "end", **listed} if follow else listed)
        return
    if not found:
        click.echo("no runs; start some: branchlab run --all-branches")
        return
    metric = project.config.run.metric
    rows = [_row(record, metric) for record in found]
    header = ["RUN", "BRANCH", "COMMIT", "SEED", "SCALE", "STATE", safe_text(metric), "TIME", "AGE"]
    click.echo(table(rows, header=header, right=(3, 6, 7), giving_way=(2, 4, 7)))


def _watch(project: Project, branches: tuple[str, ...], *, as_json: bool) -> None:
    """Draw what runs do, or print it as events."""
    names = [verbs.branch_of_runs(project, name) for name in branches]
    changes = follow(project, names)
    is_tracked = False
    for progress in changes if as_json else show_followed(changes, StopRequest()):
        if progress.records and not is_tracked:
            say_notes(start_tracker(project))
            is_tracked = True
        if as_json:
            print_events(progress)


def _row(record: RunRecord, metric: str) -> list[str]:
    run = record.run
    progress = (
        f" {record.epoch}/{record.epochs}"
        if record.state is RunState.RUNNING and record.epochs
        else ""
    )
    return [
        run.id,
        safe_text(run.branch),
        run.commit[:10],
        str(run.seed),
        str(run.scale),
        state_text(record.state) + progress,
        figure(record.metrics.get(metric)),
        duration(record.duration_s),
        age(record.ended_at or record.started_at or run.planned_at, datetime.now(UTC)),
    ]


@click.command(
    epilog="\b\nExamples:\n  branchlab show se-s0-1f3c22ab\n  branchlab show se-s0 --json"
)
@click.argument("run", shell_complete=run_ids)
@json_option
def show(run: str, as_json: bool) -> None:
    """Show one run: plan, result or the reason why there is none, and the end of its log. A beginning of the id does."""
    found = verbs.show(project_here(), run)
    if as_json:
        print_document(
            {
                **run_document(found.record),
                "slices": dict(found.record.slices),
                "folder": str(found.folder),
                "events": list(found.events),
                "log_tail": list(found.log_tail),
                "pictures": [str(path) for path in found.pictures],
                "environment": found.environment,
                "environment_differs": found.environment_differs or None,
            }
        )
        return
    record, plan = found.record, found.record.run
    scale = f"{plan.scale}" + (
        f" ({plan.sample.fraction:g} of the training set)" if plan.scale == "sample" else ""
    )
    click.echo(f"{click.style(plan.id, bold=True)}  {state_text(record.state)}")
    if record.reason:
        click.echo(
            click.style(
                f"  {safe_text(record.reason)}",
                fg="red" if record.state != "cancelled" else "yellow",
            )
        )
    facts = {
        "branch": f"{plan.branch} at {plan.commit[:10]}",
        "seed": plan.seed,
        "scale": scale,
        "flags": json.dumps(dict(plan.flags)) if plan.flags else "none",
        **({"command": plan.script.line} if plan.script is not None else {}),
        **(_taken(plan.script) if plan.script is not None and plan.script.taken else {}),
        "device": f"{plan.device}, {plan.threads} threads" if plan.device == "cpu" else plan.device,
        "progress": progress_text(record),
        "attempts": record.attempts,
        **({"job": f"{found.job.job} of {found.job.executor}"} if found.job else {}),
        "time": duration(record.duration_s),
        "speed": f"{record.images_per_s:,.0f} images/s" if record.images_per_s else "-",
        "usage": usage_text(record.usage) or "-",
        "folder": found.folder,
        **(environment_rows(found.environment) if found.environment else {}),
        **({"differs": found.environment_differs} if found.environment_differs else {}),
    }
    for name, value in facts.items():
        click.echo(f"  {name:10} {safe_text(str(value))}")
    for name, value in sorted(record.metrics.items()):
        click.echo(f"  {safe_text(name):20} {figure(value)}")
    for name, value in record.slices.items():
        click.echo(f"  {safe_text(name):30} {figure(value)}")
    for path in found.pictures:
        click.echo(f"  picture   {safe_text(str(path))}")
    if found.log_tail:
        click.echo(click.style("\nend of the log", bold=True))
        for line in found.log_tail:
            click.echo(f"  {safe_log_line(line)}")


def _taken(script: Script) -> dict[str, str]:
    """Return which files of a run are main's."""
    return {"of main": ", ".join(f"{path} ({blob[:10]})" for path, blob in script.taken.items())}


@click.command(epilog="\b\nExamples:\n  branchlab logs se-s0 -f")
@click.argument("run", shell_complete=run_ids)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@click.option("--raw", is_flag=True, help="Do not neutralise control sequences.")
@json_option
def logs(run: str, follow: bool, raw: bool, as_json: bool) -> None:
    """Print the log of a run's latest attempt. The JSON document holds its lines as they are."""
    lines = verbs.follow_log(project_here(), run, is_following=follow)
    if as_json:
        print_document({"run": run, "lines": list(lines)})
        return
    for line in lines:
        click.echo(line if raw else safe_log_line(line))


@click.command(epilog="\b\nExamples:\n  branchlab cancel se-s0-1f3c22ab")
@click.argument("runs", nargs=-1, required=True, shell_complete=run_ids)
@json_option
def cancel(runs: tuple[str, ...], as_json: bool) -> int:
    """Stop runs. They write a checkpoint first; the same `branchlab run` goes on from there."""
    found = verbs.cancel(project_here(), runs)
    if as_json:
        print_document(runs_document(found))
    else:
        for record in found:
            click.echo(f"{record.run.id}  {state_text(record.state)}  {safe_text(record.reason)}")
    return 0 if all(record.state.is_over for record in found) else 1

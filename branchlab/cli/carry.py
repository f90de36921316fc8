"""Carrying out a batch while somebody watches: plan, notes, progress on stderr, Ctrl-C; what comes of it is the caller's to tell."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import click

from branchlab.cli.progress import show_progress
from branchlab.cli.table import state_text, table
from branchlab.cli.telling import say_notes, telling
from branchlab.domain import RunState
from branchlab.lab.progress import Progress
from branchlab.lab.project import Project
from branchlab.lab.run import Prepared, RunSession
from branchlab.lab.run_request import RunRequest
from branchlab.lab.track import start_tracker
from branchlab.schedule.interrupt import stopping
from branchlab.terminal_text import safe_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A batch that was carried out, and how it ended. ``is_stopped``: somebody interrupted it."""

    prepared: Prepared
    last: Progress
    is_stopped: bool

    @property
    def is_short(self) -> bool:
        """Whether a run failed or was lost."""
        return bool(self.last.count(RunState.FAILED, RunState.LOST))


def plan_only(project: Project, request: RunRequest) -> Prepared:
    """Return the plan of a batch of which nothing is started; notes are said."""
    with contextlib.closing(RunSession(project, request)) as session, telling() as tell:
        prepared = session.prepare(is_dry=True, tell=tell)
    say_notes(prepared.notes)
    return prepared


def carry_out(
    project: Project, request: RunRequest, *, hears: Callable[[Progress], None] | None = None
) -> Carried:
    """Plan a batch and carry it out; ``hears`` is told of everything that happens."""
    session = RunSession(project, request)
    with project.state.at_work(), contextlib.closing(session):
        say_notes(start_tracker(project))
        with telling() as tell:
            prepared = session.prepare(tell=tell)
        say_notes(prepared.notes)
        last: Progress | None = None
        with stopping(session.stop):
            for progress in show_progress(session.carry_out(prepared), prepared, session.stop):
                last = progress
                if hears is not None:
                    hears(progress)
    assert last is not None
    return Carried(prepared=prepared, last=last, is_stopped=bool(session.stop.level))


def say_failures(carried: Carried) -> None:
    """Say on stderr which runs failed and why, and which are not finished."""
    last = carried.last
    failed = [r for r in last.records.values() if r.state in {RunState.FAILED, RunState.LOST}]
    for record in failed:
        click.echo(
            f"{state_text(record.state)}  {record.run.id}  {safe_text(record.reason)}", err=True
        )
    if failed:
        click.echo(f"see why: branchlab show {failed[0].run.id}", err=True)
    on_a_cluster = last.given.keys() | carried.prepared.jobs.keys()
    stopped = sum(
        record.state in {RunState.CANCELLED, RunState.PLANNED}
        for run_id, record in last.records.items()
        if run_id not in on_a_cluster
    )
    if stopped:
        click.echo(f"{stopped} runs are not finished; the same command goes on with them", err=True)


def say_submitted(given: Mapping[str, str], *, is_error: bool = False) -> None:
    """Say which runs a cluster was given; on stderr where stdout is somebody else's."""
    if not given:
        return
    rows = [[run_id, job] for run_id, job in given.items()]
    click.echo(table(rows, header=["RUN", "JOB"]), err=is_error)
    click.echo(
        "\nthey go on by themselves; follow: branchlab runs -f; see: branchlab runs", err=is_error
    )
    click.echo("take one back: branchlab cancel RUN", err=is_error)

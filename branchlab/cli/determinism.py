"""``run --check-determinism``: for each branch a sentence, the culprit with its place, and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from branchlab.cli.documents import Document, print_document
from branchlab.cli.telling import telling
from branchlab.domain import (
    DETERMINISM_STEPS,
    Determinism,
    DeterminismStatus,
    Divergence,
    Proof,
    Repeat,
    Resume,
    Stop,
)
from branchlab.errors import ConfigError
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.lab.project import Project
    from branchlab.lab.run_request import RunRequest

_COLOURS = {
    DeterminismStatus.DETERMINISTIC: "green",
    DeterminismStatus.DIFFERS: "red",
    DeterminismStatus.FAILED: "yellow",
}
_MEANINGLESS = ("seeds", "sample", "epochs", "budget", "budget_total", "jobs", "executor")
_MEANINGLESS_FLAGS = ("full", "dry_run", "detach", "follow", "force")


def refuse_beside_check(params: Mapping[str, object]) -> None:
    """Refuse options that mean nothing beside ``--check-determinism``, and ``--steps`` without it.

    Raises:
        ConfigError: There is one.
    """
    if not params["check_determinism"]:
        raise ConfigError(
            "--steps says how long --check-determinism looks; runs are as long as their recipe",
            hint="branchlab run --epochs N",
        )
    given = [name for name in _MEANINGLESS if params[name] is not None]
    given += [name for name in _MEANINGLESS_FLAGS if params[name]]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise ConfigError(
            f"{option} means nothing beside --check-determinism: it trains a few steps of one seed, here",
            hint="leave it out; how many steps: --steps N",
        )


def check_and_report(
    project: Project, request: RunRequest, *, steps: int | None, as_json: bool
) -> int:
    """Check branches and report; return the exit code."""
    from branchlab.lab.determinism import check_determinism

    num_steps = DETERMINISM_STEPS if steps is None else steps
    with telling() as tell:
        found = check_determinism(project, request, steps=num_steps, tell=tell)
    if as_json:
        print_document({"branches": [determinism_document(one) for one in found]})
    else:
        for one in found:
            _print(one)
    is_proven = all(one.status is DeterminismStatus.DETERMINISTIC for one in found)
    return 0 if is_proven and found else 1


def determinism_document(found: Determinism) -> Document:
    """Return what the check of one branch showed, as a JSON document."""
    first, cause = found.first_difference, found.cause
    return {
        "branch": found.branch,
        "tip": found.tip,
        "device": found.device,
        "status": str(found.status),
        "steps": found.steps,
        "repeat": {
            "status": str(found.repeat.status),
            "steps": found.repeat.steps,
            "varied": [str(one) for one in found.repeat.varied],
            "reason": found.repeat.reason,
        },
        "resume": {
            "status": str(found.resume.status),
            "steps": found.resume.steps,
            "epochs": found.resume.epochs,
            "stops": [{"step": stop.step, "killed": stop.is_kill} for stop in found.resume.stops],
            "reason": found.resume.reason,
        },
        "first_difference": None
        if first is None
        else {
            "step": first.step,
            "stage": first.stage,
            "where": first.where,
            "reason": first.reason,
        },
        "operation": cause.operation if cause else None,
        "place": (cause.place or None) if cause else None,
        "why": cause.reason if cause else None,
        "remedy": cause.remedy if cause else None,
        "remarks": list(found.remarks),
    }


def _print(found: Determinism) -> None:
    status = click.style(str(found.status), fg=_COLOURS[found.status])
    click.echo(
        f"{click.style(safe_text(found.branch), bold=True)}  {status} on {safe_text(found.device)}"
    )
    click.echo(f"  repeat  {_say_repeat(found.repeat)}")
    click.echo(f"  resume  {_say_resume(found.resume)}")
    if found.first_difference is not None:
        click.echo(f"  {_say_difference(found.first_difference)}")
    cause = found.cause
    if cause is not None:
        place = f" ({safe_text(cause.place)})" if cause.place else ""
        what = click.style(safe_text(cause.operation), bold=True)
        click.echo(f"  culprit: {what}{place}: {safe_text(cause.reason)}")
        click.echo(f"  {click.style('remedy:', bold=True)} {safe_text(cause.remedy)}")
    for remark in found.remarks:
        click.echo(f"  {click.style('note:', bold=True)} {safe_text(remark)}")


def _say_repeat(repeat: Repeat) -> str:
    match repeat.status:
        case Proof.SAME:
            varied = ", ".join(repeat.varied)
            return f"the same bits twice, {repeat.steps} steps; the second time with other {varied}"
        case Proof.DIFFERS:
            return "two trainings of one key part"
        case Proof.NOT_RUN:
            return f"not run: {safe_text(repeat.reason)}"


def _say_resume(resume: Resume) -> str:
    stops = ", ".join(_say_stop(stop) for stop in resume.stops)
    match resume.status:
        case Proof.SAME:
            return (
                f"the same bits with and without interruptions ({stops}), "
                f"{resume.steps} steps in {resume.epochs} epochs, weights and results of every example too"
            )
        case Proof.DIFFERS:
            failed = f"; it failed: {safe_text(resume.reason)}" if resume.reason else ""
            return f"a training that was interrupted ({stops}) parts from one that was not{failed}"
        case Proof.NOT_RUN:
            return f"not run{f': {safe_text(resume.reason)}' if resume.reason else ''}"


def _say_stop(stop: Stop) -> str:
    return f"killed at step {stop.step}" if stop.is_kill else f"stopped after step {stop.step}"


def _say_difference(first: Divergence) -> str:
    when = f"step {first.step}" if first.step else "before the first step"
    return f"{first.stage}, {when}: {safe_text(first.where)}: {safe_text(first.reason)}"

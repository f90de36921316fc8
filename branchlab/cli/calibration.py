"""``sample --calibrate``: the runs it takes with their progress, and the table of fractions."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import click

from branchlab.analysis.calibration import Judgement
from branchlab.cli.documents import Document
from branchlab.cli.progress import show_progress
from branchlab.cli.table import table
from branchlab.cli.telling import say_notes, telling
from branchlab.domain import RunRecord
from branchlab.lab.calibrate import (
    Calibration,
    CalibrationRequest,
    apply_calibration,
    calibrate,
)
from branchlab.lab.project import Project
from branchlab.lab.run import RunSession
from branchlab.lab.run_request import RunRequest
from branchlab.lab.words import duration, figure
from branchlab.schedule.interrupt import stopping
from branchlab.terminal_text import safe_text


def find_calibration(
    project: Project, asked: CalibrationRequest, *, is_applied: bool
) -> Calibration:
    """Carry out what a calibration takes, each fraction with its progress; write the recommendation where that is asked for."""

    def carry(request: RunRequest) -> Sequence[RunRecord]:
        return _carry(project, request)

    with telling() as tell:
        found = calibrate(project, asked, carry=carry, tell=tell)
    if is_applied and found.best is not None:
        apply_calibration(project, found)
    return found


def _carry(project: Project, request: RunRequest) -> Sequence[RunRecord]:
    session = RunSession(project, request)
    click.echo(f"fraction {request.fraction:g}", err=True)
    last = None
    with project.state.at_work(), contextlib.closing(session):
        prepared = session.prepare()
        say_notes(prepared.notes)
        with stopping(session.stop):
            for progress in show_progress(session.carry_out(prepared), prepared, session.stop):
                last = progress
    if session.stop.level:
        raise KeyboardInterrupt
    assert last is not None
    return list(last.records.values())


def print_calibration(found: Calibration, *, is_applied: bool) -> None:
    """Print the table of fractions and what to do."""
    names = ", ".join(found.branches)
    click.echo(f"{safe_text(found.metric)} of {safe_text(names)}\n")
    header = ["FRACTION", "EXAMPLES", "EPOCHS", "STEPS", "SIGNAL/NOISE", "SIGNS", "TRAIN/VAL LOSS"]
    rows = [_row(one) for one in found.judgements]
    right = (0, 1, 2, 3, 4, 5, 6, 7)
    click.echo(table(rows, header=[*header, "A RUN", ""], right=right, giving_way=(1, 6)))
    click.echo()
    for one in found.judgements:
        for reason in one.short:
            click.echo(f"{one.rung.fraction:g}: {safe_text(reason)}")
    say_notes(found.notes)
    click.echo(click.style(safe_text(found.sentence), bold=True))
    if found.best is None:
        nothing = "nothing was written; " if is_applied else ""
        click.echo(f"{nothing}try larger ones with --fractions, or experiments that differ by more")
    elif is_applied:
        click.echo("written into [sample] of .branchlab.toml")
    else:
        click.echo("write it into the config: the same command with --apply")


def _row(one: Judgement) -> list[str]:
    rung = one.rung
    return [
        f"{rung.fraction:g}",
        f"{rung.num:,}",
        str(rung.epochs),
        f"{rung.steps / rung.full_steps:.0%}",
        "-" if one.signal is None else f"{one.signal:.1f}",
        f"{one.signs_kept} of {one.signs_known}" if one.signs_known else "-",
        f"{figure(rung.train_loss)} / {figure(rung.val_loss)}",
        duration(rung.run_s),
        click.style("✗", fg="red") if one.short else click.style("✓", fg="green"),
    ]


def calibration_document(found: Calibration) -> Document:
    """Return the part of the document of ``sample`` that says what was calibrated."""
    return {
        "metric": found.metric,
        "goal": str(found.goal),
        "branches": list(found.branches),
        "recommended": None if found.best is None else found.best.rung.fraction,
        "epochs": found.epochs,
        "sentence": found.sentence,
        "known_from": found.known.source or None,
        "notes": list(found.notes),
        "fractions": [
            {
                "fraction": one.rung.fraction,
                "num": one.rung.num,
                "epochs": one.rung.epochs,
                "steps": one.rung.steps,
                "full_steps": one.rung.full_steps,
                "between": one.between,
                "noise": one.noise,
                "signal": None if one.signal is None or math.isinf(one.signal) else one.signal,
                "signs_kept": one.signs_kept,
                "signs_known": one.signs_known,
                "train_loss": one.rung.train_loss,
                "val_loss": one.rung.val_loss,
                "by_heart": one.is_by_heart,
                "run_s": one.rung.run_s,
                "ok": not one.short,
                "short": list(one.short),
            }
            for one in found.judgements
        ],
    }

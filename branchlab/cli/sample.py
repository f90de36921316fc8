"""``sample``: the representative sample, drawn and looked at."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import click

from branchlab.cli.calibration import calibration_document, find_calibration, print_calibration
from branchlab.cli.documents import print_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.sample_documents import sample_document
from branchlab.cli.telling import say_notes, telling
from branchlab.domain import SampleCheck, Strata
from branchlab.errors import ConfigError
from branchlab.lab.calibrate import FRACTIONS, SEEDS, CalibrationRequest
from branchlab.lab.sample import SampleReport, draw_sample
from branchlab.terminal_text import safe_text

_WIDTH_MAX = 120
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "yellow")}
_BY = {
    Strata.CLASSES: "class by class",
    Strata.LABELS: "by the labels that examples have",
    Strata.MASKS: "by the classes in masks and their pixels",
    Strata.NONE: "at random",
}


@click.command(
    epilog="\b\nExamples:\n  branchlab sample\n  branchlab sample --fraction 0.05 --json\n"
    "  branchlab sample --calibrate squeeze-excite wider      how small may it be?\n"
    "  branchlab sample --calibrate --fractions 0.1,0.3 --minutes 5 --apply"
)
@branches_argument
@click.option("--fraction", type=float, metavar="F", help="Of the training set. [sample.fraction]")
@click.option(
    "--anew", is_flag=True, help="Draw it again on main's tip, where it is known already."
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Train main, the reference and some experiments at several fractions: the smallest that serves.",
)
@click.option("--fractions", metavar="F,F,…", help="With --calibrate: which. [0.05,0.1,0.2]")
@click.option("--seeds", type=int, metavar="N", help=f"With --calibrate: of each branch. [{SEEDS}]")
@click.option("--minutes", type=float, metavar="M", help="With --calibrate: that a run may take.")
@click.option(
    "--apply", "is_applied", is_flag=True, help="With --calibrate: write it into the config."
)
@json_option
@click.pass_context
def sample(
    ctx: click.Context,
    branches: tuple[str, ...],
    fraction: float | None,
    anew: bool,
    calibrate: bool,
    fractions: str | None,
    seeds: int | None,
    minutes: float | None,
    is_applied: bool,
    as_json: bool,
) -> None:
    """Draw the reduced set that experiments train on, and say how far it looks like the whole.

    It is drawn once, with main's code, and written down; runs of every branch hold their data against it. With
    --calibrate the experiments named, else those that have run, are trained at several fractions. Exits with 1 when a
    check falls short, or no fraction serves.
    """
    if not calibrate:
        _refuse_without_calibrate(branches, fractions, seeds, minutes, is_applied=is_applied)
    project = project_here()
    calibration = None
    if calibrate:
        asked = CalibrationRequest(
            names=branches,
            fractions=FRACTIONS if fractions is None else _read_fractions(fractions),
            seeds=SEEDS if seeds is None else seeds,
            minutes=minutes,
        )
        calibration = find_calibration(project, asked, is_applied=is_applied)
        project = project_here(warns=False)  # it may have another fraction now
    with telling() as tell:
        found = draw_sample(project, fraction=fraction, is_anew=anew, tell=tell)
    if as_json:
        document = sample_document(found)
        if calibration is not None:
            document["calibration"] = calibration_document(calibration)
        print_document(document)
    elif calibration is not None:
        print_calibration(calibration, is_applied=is_applied)
    else:
        print_sample(found)
    is_short = (
        calibration.best is None
        if calibration is not None
        else any(check.is_ok is False for check in found.manifest.checks)
    )
    ctx.exit(1 if is_short else 0)


def _refuse_without_calibrate(
    branches: Sequence[str],
    fractions: str | None,
    seeds: int | None,
    minutes: float | None,
    *,
    is_applied: bool,
) -> None:
    given = {
        "BRANCH": bool(branches),
        "--fractions": fractions is not None,
        "--seeds": seeds is not None,
        "--minutes": minutes is not None,
        "--apply": is_applied,
    }
    for name, is_given in given.items():
        if is_given:
            raise ConfigError(
                f"{name} is for --calibrate: the sample is drawn on main, the same for every branch",
                hint="branchlab sample --calibrate, or branchlab sample --fraction F",
            )


def _read_fractions(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(
            f"--fractions {text}: expected numbers with commas between",
            hint="for instance: --fractions 0.05,0.1,0.2",
        ) from None


def print_sample(found: SampleReport) -> None:
    """Print a sample and its checks for people."""
    manifest = found.manifest
    drawn = manifest.drawn
    own = drawn.sample
    how = _BY[manifest.strata] if own.strategy == "stratified" else own.strategy
    groups = f", in {manifest.num_groups:,} whole groups" if manifest.num_groups else ""
    click.echo(
        f"{click.style(f'{drawn.num:,} of {drawn.of:,}', bold=True)} training examples: "
        f"fraction {own.fraction:g}, drawn {safe_text(how)}{groups}, seed {own.seed}"
    )
    when = "now" if found.is_new else manifest.made_at.strftime("%Y-%m-%d")
    click.echo(f"drawn {when} on {manifest.commit[:10]}, digest {drawn.digest}\n")
    print_checks(manifest.checks)
    say_notes(found.notes)
    click.echo()
    if found.picture is not None:
        click.echo(f"picture   {found.picture}")
    click.echo(f"manifest  {found.path}")


def print_checks(checks: Sequence[SampleCheck]) -> None:
    """Print checks, each a name and its sentence, broken where the terminal ends."""
    longest = max(len(check.name) for check in checks)
    columns = min(_WIDTH_MAX, shutil.get_terminal_size().columns)
    for check in checks:
        mark, colour = _MARKS[check.is_ok]
        name = check.name.ljust(longest)
        text = click.wrap_text(
            safe_text(check.sentence),
            width=columns,
            initial_indent=f"{mark} {name}  ",
            subsequent_indent=" " * (longest + 4),
        )
        click.echo(click.style(text[0], fg=colour) + text[1:])

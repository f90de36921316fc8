"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from branchlab.cli.app import branch_names
from branchlab.domain import PARITY_STEPS
from branchlab.errors import ConfigError
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.lab.project import Project

_FLAG_NAME = re.compile(r"[A-Za-z_][\w.-]*")
"""An argument of Python, or an option of a script: ``lr-warmup``, ``model.width``."""
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def json_option(function: _Function) -> _Function:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on stdout."
    )(function)


def branches_argument(function: _Function) -> _Function:
    """Add any number of branches, by full name or by the experiment's name."""
    return click.argument("branches", nargs=-1, metavar="[BRANCH]...", shell_complete=branch_names)(
        function
    )


def flag_option(help_text: str) -> Callable[[_Function], _Function]:
    """Add ``--flag k=v``, which may be given several times."""
    return click.option("--flag", "flags", multiple=True, metavar="K=V", help=help_text)


def parity_options(function: _Function) -> _Function:
    """Add ``--steps``, ``--seeds`` and ``--device``: how long, how often and where two trainings are held side by side."""
    for option in (
        click.option(
            "--device", help="auto, cpu, mps, cuda or cuda:N; as the config says unless given."
        ),
        click.option("--seeds", default=1, show_default=True, help="Trainings on each side."),
        click.option(
            "--steps", default=PARITY_STEPS, show_default=True, help="Steps that are compared."
        ),
    ):
        function = option(function)
    return function


def typed_command() -> tuple[str, ...]:
    """Return the command as somebody typed it: the half of ``--detach`` that goes on is started by its file."""
    program = Path(sys.argv[0]).name
    return ("branchlab" if program == "__main__.py" else program, *sys.argv[1:])


def project_here(*, warns: bool = True) -> Project:
    """Open the project of the current folder; a frozen reference that has moved is said on stderr.

    ``warns`` is off where the command says it in its own words.
    """
    from branchlab.lab.branches import reference_warning
    from branchlab.lab.project import open_project

    project = open_project(Path.cwd())
    warning = reference_warning(project) if warns else ""
    if warning:
        click.echo(click.style(f"! {safe_text(warning)}", fg="red", bold=True), err=True)
    return project


def parse_flags(pairs: tuple[str, ...]) -> Mapping[str, bool | int | float | str]:
    """Return ``k=v`` pairs with values read as true, false, a number, or else a string.

    Raises:
        ConfigError: One is not written k=v.
    """
    found: dict[str, bool | int | float | str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not _FLAG_NAME.fullmatch(name):
            raise ConfigError(
                f"--flag {pair}: expected name=value",
                hint="for instance: --flag squeeze_excite=true",
            )
        found[name] = _value(text)
    return found


class Duration(click.ParamType[float]):
    """A time as people write it: ``90s``, ``5m``, ``1h30m``, or seconds."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip().lower()
        found = _DURATION.fullmatch(text)
        if not text or found is None:
            self.fail(f"{value!r} is no time; write it like 90s, 5m or 1h30m", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return 3600 * hours + 60 * minutes + seconds


def carrying_options(function: _Function) -> _Function:
    """Add ``--device``, ``--jobs``, ``--budget-total`` and ``--dry-run``, for verbs that carry runs out."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show the plan, start nothing."),
        click.option(
            "--budget-total",
            type=Duration(),
            metavar="T",
            help="Start nothing more after this time.",
        ),
        click.option(
            "--jobs", type=int, metavar="N", help="Runs at once; 0 is as many as serve. [run.jobs]"
        ),
        click.option("--device", metavar="D", help="auto, cpu, mps, cuda or cuda:N. [run.device]"),
    ):
        function = option(function)
    return function


def _value(text: str) -> bool | int | float | str:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

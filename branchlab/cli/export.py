"""``export``: runs in other tools, and as tables."""

from __future__ import annotations

from pathlib import Path

import click

from branchlab.cli.app import branch_names, run_ids
from branchlab.cli.documents import print_document
from branchlab.cli.options import json_option, project_here
from branchlab.cli.telling import say_notes, telling
from branchlab.errors import ConfigError
from branchlab.lab import export as verbs
from branchlab.terminal_text import safe_text


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [*branch_names(ctx, param, incomplete), *run_ids(ctx, param, incomplete)]


@click.command(
    epilog="\b\nExamples:\n  branchlab export --to mlflow\n"
    "  branchlab export squeeze-excite --to tensorboard --out boards\n"
    "  branchlab export --to csv --out - > metrics.csv\n"
    "  branchlab export --to parquet --out tables"
)
@click.argument("names", nargs=-1, metavar="[RUN|BRANCH]...", shell_complete=_complete)
@click.option(
    "--to",
    "where",
    required=True,
    type=click.Choice(verbs.FORMATS),
    help="A tool, or a format of tables.",
)
@click.option(
    "--out",
    metavar="DIR|FILE",
    help="Place to write to; of MLflow a URI too, of CSV - for stdout. [as [track] has it]",
)
@click.option(
    "--table",
    type=click.Choice(["runs", "metrics"]),
    help="Only this table; one file holds metrics unless said.",
)
@json_option
def export(
    names: tuple[str, ...], where: str, out: str | None, table: str | None, as_json: bool
) -> None:
    """Write runs into other tools, or as tables of runs and of all their metrics; all runs unless some are named.

    A run that is in the tool already is not written twice, whether `[track]` or an earlier export wrote it. Names that a
    tool refuses are written another way, which is said.
    """
    project = project_here()
    is_stdout = out == "-"
    if is_stdout and (where != "csv" or as_json):
        raise ConfigError(
            "--out - prints CSV on stdout, which leaves no room for anything else",
            hint="branchlab export --to csv --out -",
        )
    if table is not None and where not in verbs.TABLES:
        raise ConfigError(f"{where} holds no tables", hint="leave --table out")
    records = verbs.wanted_runs(project, names)
    if is_stdout:
        click.echo(verbs.csv_of(project, records, table or "metrics"), nl=False)
        return
    if where in verbs.TABLES:
        place = Path(out) if out else None
        found = verbs.export_tables(project, records, where, out=place, table=table or "")
    else:
        notes: list[str] = []
        with telling() as tell_steps:
            found = verbs.export_to_tool(
                project,
                records,
                where,
                address=out or "",
                tell=notes.append,
                tell_steps=tell_steps,
            )
        say_notes(dict.fromkeys(notes))
    if as_json:
        print_document(
            {
                "to": found.to,
                "place": found.place,
                "files": {name: str(path) for name, path in found.files.items()},
                "runs": list(found.runs),
                "written": found.written,
            }
        )
        return
    places = [str(path) for path in found.files.values()] or [found.place]
    click.echo(
        f"{len(found.runs)} runs, {found.written} of them written: {', '.join(map(safe_text, places))}"
    )

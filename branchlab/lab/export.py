"""``export``: writing runs into other tools afterwards, or as tables; by the code that also mirrors them live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from branchlab.config import TOOLS
from branchlab.domain import RunRecord
from branchlab.errors import BranchlabError, ConfigError, ExecutorError, nearest
from branchlab.export.sender import Sender
from branchlab.export.tables import (
    METRIC_COLUMNS,
    Row,
    metric_rows,
    run_columns,
    run_rows,
    to_csv,
    write_parquet,
)
from branchlab.export.tool import Destination, Tell, destination_of, open_tool
from branchlab.git.memo import Tell as TellSteps
from branchlab.lab.project import Project
from branchlab.lab.runs import branch_of_runs, find_run
from branchlab.run_folder import write_atomically

TABLES = ("csv", "parquet")
FORMATS = (*TOOLS, *TABLES)
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        to: The tool or the format.
        place: Where: an address, a folder or a file.
        files: Of a table, by its name; empty for a tool.
        runs: Ids of the runs that are there now.
        written: Of these, how many had anything new.
    """

    to: str
    place: str
    runs: tuple[str, ...]
    written: int
    files: Mapping[str, Path] = field(default_factory=dict)


def wanted_runs(project: Project, names: Sequence[str]) -> list[RunRecord]:
    """Return runs by id, by a beginning of one, or by branch; all that have begun where nothing is named.

    Raises:
        BranchlabError: A name is of no run and no branch.
    """
    records = [record for record in project.index().runs() if record.attempts]
    if not names:
        return records
    known = {record.run.id for record in records}
    found: dict[str, RunRecord] = {}
    for name in names:
        found |= {r.run.id: r for r in _named(project, name, records, known)}
    return list(found.values())


def _named(
    project: Project, name: str, records: Sequence[RunRecord], known: set[str]
) -> list[RunRecord]:
    if name in known:
        return [record for record in records if record.run.id == name]
    try:
        branch = branch_of_runs(project, name)
    except BranchlabError as error:
        if not any(run_id.startswith(name) for run_id in known):
            raise error from None
        return [find_run(project, name)]
    return [record for record in records if record.run.branch == branch]


def export_to_tool(
    project: Project,
    records: Sequence[RunRecord],
    tool: str,
    *,
    address: str = "",
    tell: Tell,
    tell_steps: TellSteps,
) -> Exported:
    """Write runs into a tool; one that is there already is not written twice.

    Raises:
        ConfigError: There is no such tool, or it is not installed.
        ExecutorError: It could not be written.
    """
    destination = destination_of(tool, project.config.track, project.state, address=address)
    try:
        sender = Sender(open_tool(destination, tell), destination.bookmarks(project.state), tell)
        with sender.alone(wait_s=_WAIT_S) as is_ours:
            _check_alone(destination, is_ours=is_ours)
            written = 0
            for number, record in enumerate(records):
                written += sender.send(record, project.state.run(record.run.id))
                tell_steps(f"writing runs to {tool}", number + 1, len(records))
            sender.close()
    except BranchlabError:
        raise
    except Exception as error:
        # What a tool raises is its own; which of its many kinds makes no difference to what is done next.
        said = str(error).strip().splitlines()
        raise ExecutorError(
            f"{tool} at {destination.address} could not be written: {type(error).__name__}"
            f"{': ' + said[0] if said else ''}",
            hint="the same command goes on where it stopped",
        ) from error
    return Exported(
        to=tool,
        place=destination.address,
        runs=tuple(record.run.id for record in records),
        written=written,
    )


def _check_alone(destination: Destination, *, is_ours: bool) -> None:
    if not is_ours:
        raise ExecutorError(
            f"another process has been writing to {destination.address} for {_WAIT_S:g} s",
            hint="the same command goes on when it has ended",
        )


def export_tables(
    project: Project, records: Sequence[RunRecord], kind: str, *, out: Path | None, table: str = ""
) -> Exported:
    """Write the tables ``runs`` and ``metrics`` into a folder, or one of them into a file.

    Raises:
        ConfigError: The place cannot be written, or the format is unknown or takes what is not installed.
    """
    place = out or project.state.path / "export"
    if kind not in TABLES:
        raise ConfigError(
            f"there is no table in the format '{kind}'",
            hint=f"{nearest(kind, FORMATS)}known: {', '.join(FORMATS)}",
        )
    is_file = place.suffix == f".{kind}"
    names = [table or "metrics"] if is_file else [table] if table else ["runs", "metrics"]
    files = {name: place if is_file else place / f"{name}.{kind}" for name in names}
    try:
        for name, path in files.items():
            if kind == "csv":
                write_atomically(path, csv_of(project, records, name).encode())
            else:
                write_parquet(*table_of(project, records, name), path)
    except OSError as error:
        raise ConfigError(
            f"{place} cannot be written: {error.strerror or error}",
            hint="choose another place: --out DIR",
        ) from None
    ids = tuple(record.run.id for record in records)
    return Exported(to=kind, place=str(place), runs=ids, written=len(ids), files=files)


def csv_of(project: Project, records: Sequence[RunRecord], name: str) -> str:
    """Return the table ``runs`` or ``metrics`` as CSV."""
    return to_csv(*table_of(project, records, name))


def table_of(
    project: Project, records: Sequence[RunRecord], name: str
) -> tuple[list[Row], Sequence[str]]:
    """Return rows and columns of the table ``runs`` or ``metrics``."""
    if name == "runs":
        rows = run_rows(records)
        return rows, run_columns(rows)
    rows = [row for r in records for row in metric_rows(r, project.state.run(r.run.id))]
    return rows, METRIC_COLUMNS

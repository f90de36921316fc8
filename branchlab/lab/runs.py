"""``runs``, ``show``, ``logs``, ``cancel``: what ran and runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.domain import RunRecord, RunState
from branchlab.errors import ConfigError, nearest
from branchlab.lab.branches import all_branches, find_branches
from branchlab.lab.project import Project
from branchlab.lab.run_environments import difference_from_main, environment_of
from branchlab.run_folder import JSON, Job, locked, read_events
from branchlab.schedule.jobs import look_after, withdraw

_TAIL_BYTES = 1 << 20
_LOOK_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """One run with what its folder holds beyond the index.

    Attributes:
        environment: What it trained in; None where that is not recorded.
        environment_differs: In what that differs from the run of main that it is paired with; mostly nothing.
    """

    record: RunRecord
    folder: Path
    events: tuple[JSON, ...]
    log_tail: tuple[str, ...]
    pictures: tuple[Path, ...]
    job: Job | None = None
    environment: JSON | None = None
    environment_differs: str = ""


def look_after_jobs(project: Project) -> tuple[str, ...]:
    """Find out what became of runs that were given to a cluster; return what the user should know.

    Asked before runs are listed: a job that is gone would leave its run planned for ever. Without runs on a cluster
    nothing is started, and a cluster that does not answer costs seconds and is a note.
    """
    return look_after(project.state).notes


def list_runs(
    project: Project, names: Sequence[str] = (), *, states: Sequence[RunState] = (), limit: int = -1
) -> list[RunRecord]:
    """Return runs, the latest planned first, of some branches or states only when any are named.

    A branch that is gone keeps its runs: a name that no branch has is looked for among the runs themselves.
    """
    records = project.index().runs()
    wanted = [branch_of_runs(project, name) for name in names]
    kept = [
        record
        for record in records
        if (not wanted or record.run.branch in wanted) and (not states or record.state in states)
    ]
    return kept[:limit] if limit >= 0 else kept


def num_running(project: Project) -> int:
    """Return how many runs of any branch go on."""
    return sum(record.state is RunState.RUNNING for record in project.index().runs())


def branch_of_runs(project: Project, name: str) -> str:
    """Return the full name of a branch as its runs have it: of one that there is, or that runs remember."""
    if any(record.run.branch == name for record in project.index().runs()):
        return name
    return find_branches(project, [name], all_branches(project))[0].name


def find_run(project: Project, run_id: str) -> RunRecord:
    """Return a run by its id, or by a beginning of it that fits one run only.

    Raises:
        ConfigError: No run, or several, are called so.
    """
    records = project.index().runs()
    exact = [record for record in records if record.run.id == run_id]
    found = exact or [record for record in records if record.run.id.startswith(run_id)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(record.run.id for record in found[:6])
        raise ConfigError(f"'{run_id}' fits {len(found)} runs: {ids}", hint="give more of the id")
    known = [record.run.id for record in records]
    raise ConfigError(
        f"there is no run '{run_id}'", hint=f"{nearest(run_id, known)}see them: branchlab runs"
    )


def show(project: Project, run_id: str, *, num_log_lines: int = 10) -> RunDetails:
    """Return everything about one run."""
    record = find_run(project, run_id)
    folder = project.state.run(record.run.id)
    attempt = folder.latest()
    return RunDetails(
        record=record,
        folder=folder.path,
        events=read_events(attempt.events).events if attempt else (),
        log_tail=tuple(tail(attempt.log, num_log_lines)) if attempt else (),
        pictures=tuple(sorted(folder.pictures.glob("*.png"))) if folder.pictures.is_dir() else (),
        job=folder.read_job(),
        environment=environment_of(project, record.run.id),
        environment_differs=difference_from_main(project, record),
    )


def tail(path: Path, num_lines: int) -> list[str]:
    """Return the last lines of a log, reading at most its last megabyte."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            content = file.read()
    except OSError:
        return []
    return content.decode(errors="replace").splitlines()[-num_lines:] if num_lines else []


def follow_log(
    project: Project, run_id: str, *, is_following: bool, every_s: float = 0.2
) -> Iterator[str]:
    """Yield the log of a run's latest attempt line by line; following, until the run is over."""
    record = find_run(project, run_id)
    folder = project.state.run(record.run.id)
    offset, number = 0, folder.attempts()
    looked_at = float("-inf")
    while True:
        if is_following and time.monotonic() - looked_at > _LOOK_EVERY_S:
            look_after_jobs(project)
            looked_at = time.monotonic()
        has_job = folder.job.exists()
        with locked(folder.lease) as is_free:
            is_over = is_free and not has_job and (folder.attempts() > 0 or not is_following)
        log = folder.attempt(number).log
        content = b""
        if log.exists():
            with log.open("rb") as file:
                # A log that flooded was cut shorter than what was read of it.
                offset = min(offset, file.seek(0, os.SEEK_END))
                file.seek(offset)
                content = file.read()
        end = len(content) if is_over or not is_following else content.rfind(b"\n") + 1
        offset += end
        yield from content[:end].decode(errors="replace").splitlines()
        if not is_following or (is_over and folder.attempts() == number):
            return
        if folder.attempts() != number:
            offset, number = 0, folder.attempts()
        time.sleep(every_s)


def cancel(project: Project, run_ids: Sequence[str], *, within_s: float = 40.0) -> list[RunRecord]:
    """Ask running runs to write a checkpoint and end, and wait for it; planned ones are cancelled at once.

    Raises:
        ConfigError: A run is unknown, or over already.
    """
    records = [find_run(project, run_id) for run_id in run_ids]
    for record in records:
        if record.state.is_over:
            raise ConfigError(
                f"{record.run.id} is {record.state} already", hint="see: branchlab runs"
            )
    jobs: list[Job] = []
    for record in records:
        folder = project.state.run(record.run.id)
        with locked(folder.lease) as is_free:
            if is_free and not folder.breathes_elsewhere():
                folder.ask_to_stop()
                folder.attempt(folder.attempts() + 1).write_result(
                    RunState.CANCELLED, reason="cancelled before it began"
                )
                jobs += [job] if (job := folder.read_job()) is not None else []
                folder.forget_job()
                continue
        folder.ask_to_stop()
    withdraw(jobs)
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        now = [find_run(project, record.run.id) for record in records]
        if all(record.state.is_over for record in now):
            return now
        time.sleep(0.1)
    return [find_run(project, record.run.id) for record in records]

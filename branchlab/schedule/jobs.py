"""What became of runs that were given to a cluster: a job that is gone without a result must not look planned for ever.

The cluster is asked once for all of them, and only where a run's folder still names a job. How a run went is not asked
here, that is in its folder; this looks after those whose job ended without saying so there.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from branchlab.domain import RunState
from branchlab.errors import ExecutorError
from branchlab.run_folder import Job, RunFolder, StateFolder, locked, read_holder
from branchlab.schedule import slurm

_TAIL_BYTES = 4096
_WAITING = """
PENDING CONFIGURING RUNNING COMPLETING SUSPENDED REQUEUED REQUEUE_FED REQUEUE_HOLD RESIZING RESV_DEL_HOLD SIGNALING
SPECIAL_EXIT STAGE_OUT STOPPED
"""
"""States of jobs that are not over."""
_GONE = {"", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at the clusters gave.

    Attributes:
        jobs: Jobs that are queued or work, by the ids of their runs; those of a cluster that does not answer too.
        notes: What the user should know: who does not answer, and what waits for somebody.
    """

    jobs: Mapping[str, Job] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def look_after(state: StateFolder) -> Looked:
    """Ask clusters for the jobs of runs, and record how those ended whose jobs are over; bounded in time."""
    by_cluster: dict[str, dict[str, Job]] = defaultdict(dict)
    for folder in state.all_runs():
        job = folder.read_job()
        if job is not None:
            by_cluster[job.executor][folder.path.name] = job
    jobs: dict[str, Job] = {}
    notes: list[str] = []
    for kind, given in by_cluster.items():
        if kind != slurm.KIND:
            jobs |= given
            continue
        try:
            states = slurm.states_of(job.job for job in given.values())
        except ExecutorError as error:
            notes.append(f"the jobs of {len(given)} runs could not be asked about: {error.message}")
            jobs |= given
            continue
        for run_id, job in given.items():
            name, reason = states.get(job.job, ("", ""))
            if name not in _WAITING.split():
                _settle(state, state.run(run_id), job, name)
            elif state.run(run_id).job.exists():
                jobs[run_id] = job
                if "held" in reason.lower():
                    notes.append(f"{run_id} waits: {kind} holds its job {job.job} ({reason})")
    return Looked(jobs=jobs, notes=tuple(notes))


def withdraw(jobs: Iterable[Job]) -> None:
    """Take jobs out of their queues; one that starts all the same finds that its run is not wanted, and leaves."""
    names = [job.job for job in jobs if job.executor == slurm.KIND]
    if names:
        with contextlib.suppress(ExecutorError):
            slurm.withdraw(names)


def _settle(state: StateFolder, folder: RunFolder, job: Job, name: str) -> None:
    """Record the end of a run whose job is over, unless its folder says already how it ended."""
    holder = read_holder(folder.lease)
    is_of_job = holder is not None and holder.job == f"{job.executor}:{job.job}"
    with locked(folder.lease) as is_free:
        if not is_free or (folder.breathes_elsewhere() and not is_of_job):
            return
        if folder.read_job() != job:  # another has been given it meanwhile
            return
        number = folder.attempts()
        has_begun = number >= job.attempt
        attempt = folder.attempt(max(number, job.attempt))
        if attempt.read_result() is None:
            outcome, said = _outcome(name)
            why = "" if has_begun else " before the run began" + _last_words(state, job)
            attempt.write_result(outcome, reason=f"job {job.job} of {job.executor} {said}{why}")
        folder.forget_job()


def _outcome(name: str) -> tuple[RunState, str]:
    if name == "CANCELLED":
        return RunState.CANCELLED, "was cancelled"
    if name in _GONE:
        return RunState.LOST, f"was lost ({name})" if name else "is gone from the queue"
    return RunState.FAILED, f"ended ({name})"


def _last_words(state: StateFolder, job: Job) -> str:
    log = slurm.log_of(state, job.job)
    line = _last_line(log)
    return f": {line} ({log})" if line else ""


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""

"""The executor of a Slurm cluster, through submitit: all runs of a batch are one job array, and go on by themselves.

submitit writes the script, hands it in and starts Python on the node; there ``carry_out`` replaces that process by the
run's shim. So submitit's own handling of signals is gone before training begins: a preemption, the end of the time and
a cancellation all come as SIGTERM, which the shim knows. What a run gave is in its folder, never in submitit's pickles.

A crash between ``sbatch`` and ``job.json`` trains nothing twice: the run's next job finds the lease held or its attempt
taken, and leaves.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from branchlab.config import SlurmOptions
from branchlab.errors import ConfigError, ExecutorError, nearest
from branchlab.run_folder import Job, StateFolder
from branchlab.schedule.executor import Ended, Facts, Outcome, Start, surroundings
from branchlab.train import exits
from branchlab.train.versions import versions

KIND = "slurm"
_ANSWER_WITHIN_S = 10.0
_CONTAINER_WITHIN_S = 120.0
_ARRAY_MAX = 1000
"""Slurm's own default of MaxArraySize is 1001."""
_MARGIN_MIN = 2
"""Minutes that a job has beyond its run, whose shim ends it in good order."""
_LOGS_KEPT_S = 30 * 86_400.0
_RESTARTS_MAX = 1000
_QUEUE_AGAIN = f"""
code=$?
if [ $code = {exits.AGAIN} ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {_RESTARTS_MAX} ] &&
  [ "$(squeue --noheader --format=%T --jobs="$SLURM_JOB_ID")" = RUNNING ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""
"""What a job's script does last: a run that ends in good order before the grace of its preemption or its time is over
would count as completed. One that was cancelled is not running any more, and stays so."""
_DAYS = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


class SlurmExecutor:
    """Hands runs over to a cluster; nothing waits for them here."""

    def __init__(self, state: StateFolder, options: SlurmOptions, *, jobs: int = 0) -> None:
        self._state = state
        self._options = options
        self._jobs = jobs
        self._limit_s: float | None = None
        self._handed_over: list[Ended] = []

    def facts(self) -> Facts:
        """Return what plans depend on, without torch.

        Raises:
            ConfigError: There is no such partition.
            ExecutorError: submitit or Slurm is not installed here, or the cluster does not answer.
        """
        if importlib.util.find_spec("submitit") is None:
            raise ExecutorError(
                "the executor slurm needs submitit, which is not installed",
                hint="pip install 'branchlab[slurm]'",
            )
        _check_program("sbatch")
        self._limit_s = _limit_s(_ask("sinfo", "--noheader", "--format=%P|%l"), self._options)
        options = self._options
        return Facts(
            devices=tuple(f"cuda:{i}" for i in range(options.gpus)) or ("cpu",),
            environment=self._container_versions() if options.container else versions(),
            threads=options.cpus,
            has_slots=False,
        )

    def start(self, orders: Sequence[Start]) -> None:
        """Hand runs in, as one job array, and record in their folders which job each was given.

        Raises:
            ExecutorError: The cluster refuses them.
        """
        for at in range(0, len(orders), _ARRAY_MAX):
            some = orders[at : at + _ARRAY_MAX]
            for order, job in zip(some, self._submit(some), strict=True):
                order.run_folder.write_job(Job(executor=KIND, job=job, attempt=order.attempt))
                self._handed_over.append(
                    Ended(ticket=order.ticket, outcome=Outcome.HANDED_OVER, job=job)
                )

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return the orders that were handed over; there is nothing to wait for."""
        del timeout_s
        over, self._handed_over = self._handed_over, []
        return over

    def stop(self, ticket: int, *, is_now: bool) -> None:
        """Leave runs alone: what the cluster has goes on."""

    def close(self) -> None:
        """Give nothing back: nothing is held."""

    def _submit(self, orders: Sequence[Start]) -> list[str]:
        """Return the job that each order became."""
        import submitit
        from submitit.core.utils import FailedSubmissionError, UncompletedJobError

        folder = self._state.path / KIND
        _forget_old(folder)
        documents = [
            {**order.order(), "python": str(order.python) if order.python else None}
            for order in orders
        ]
        # It prints what sbatch says besides raising it.
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                executor = submitit.SlurmExecutor(
                    folder, python=" ".join(_python(self._options, self._state))
                )
                timeout_s = max(order.bounds.timeout_s for order in orders)
                executor.update_parameters(**self._parameters(timeout_s, len(orders)))
                jobs = executor.map_array(carry_out, documents)
            except (UncompletedJobError, FailedSubmissionError, RuntimeError, OSError) as error:
                said = str(error).strip().splitlines() or [type(error).__name__]
                raise ExecutorError(
                    f"Slurm refuses the runs: {said[-1]}",
                    hint="see [executor.slurm] in .branchlab.toml, and: sinfo",
                ) from None
        return [str(job.job_id) for job in jobs]

    def _parameters(self, timeout_s: float, num_runs: int) -> dict[str, Any]:
        return parameters(
            self._options,
            minutes=minutes_of(self._options, timeout_s=timeout_s, limit_s=self._limit_s),
            at_once=(self._jobs if self._options.jobs is None else self._options.jobs) or num_runs,
        )

    def _container_versions(self) -> Mapping[str, str]:
        """Return the versions inside the container, which are those that count."""
        command = [*_python(self._options, self._state), "-m", "branchlab.train.versions"]
        said = _ask(*command, within_s=_CONTAINER_WITHIN_S)
        try:
            return {**json.loads(said), "container": self._options.container}
        except ValueError:
            raise ExecutorError(
                f"container {self._options.container} does not say its versions, but: {said[:200]}",
                hint=f"try: {shlex.join(command)}",
            ) from None


def parameters(options: SlurmOptions, *, minutes: int, at_once: int) -> dict[str, Any]:
    """Return what submitit is told: what each run asks of the cluster, under submitit's names."""
    asked: dict[str, Any] = {
        "job_name": "branchlab",
        "partition": options.partition or None,
        "account": options.account or None,
        "qos": options.qos or None,
        "gpus_per_node": options.gpus or None,
        "cpus_per_task": options.cpus,
        "mem": None if options.memory_gib is None else f"{math.ceil(options.memory_gib * 1024)}M",
        "time": minutes,
        "array_parallelism": at_once,
        "wckey": None,
        # srun does not take this over from its job since Slurm 22.05.
        "srun_args": [f"--cpus-per-task={options.cpus}"],
        "teardown": _QUEUE_AGAIN.strip().splitlines(),
    }
    # One signal for all, which the shim knows; submitit's own, SIGUSR2, would end it. Not before a short job has begun.
    signal = f"TERM@{60 if minutes > 10 else 10}"  # noqa: PLR2004  minutes
    extra = {name: value for name, value in options.extra.items() if value is not False}
    asked["additional_parameters"] = {"requeue": True, "signal": signal, **extra}
    return asked


def minutes_of(options: SlurmOptions, *, timeout_s: float, limit_s: float | None) -> int:
    """Return the limit of a job: what is asked for, else enough for the run, and never more than its partition gives."""
    limit_min = math.inf if limit_s is None else max(1, limit_s // 60)
    if options.time_s is not None:
        return math.ceil(options.time_s / 60)
    return int(min(math.ceil(timeout_s / 60) + _MARGIN_MIN, limit_min))


def carry_out(order: Mapping[str, Any]) -> NoReturn:
    """Become the shim of a run, on a node, in place of the process that submitit has started there."""
    job = os.environ["SLURM_JOB_ID"]
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    is_restart = int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
    told = {name: value for name, value in order.items() if name != "python"}
    document = json.dumps({**told, "job": f"{KIND}:{job}", "is_restart": is_restart})
    python = order.get("python") or sys.executable  # of the run's own environment, where it has one
    command = [python, "-P", "-m", "branchlab.train.node", document]
    state = StateFolder(Path(order["run_folder"]).parents[1])
    os.execve(python, command, surroundings(state))  # noqa: S606


def states_of(jobs: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return state and reason of jobs as ``squeue`` tells them; those that it has forgotten are left out.

    Raises:
        ExecutorError: Slurm is not here, or does not answer in time.
    """
    arrays = sorted({job.partition("_")[0] for job in jobs})
    # A single id that is unknown is an error to squeue; among several it is not.
    asked = ",".join([*arrays, *arrays[:1]])
    try:
        said = _ask(
            "squeue",
            "--array",
            "--noheader",
            "--states=all",
            "--format=%i|%T|%r",
            f"--jobs={asked}",
        )
    except ExecutorError as error:
        if "Invalid job id" not in error.message:
            raise
        return {}
    found = [line.strip().split("|", 2) for line in said.splitlines()]
    return {parts[0]: (parts[1], parts[2]) for parts in found if len(parts) == 3}  # noqa: PLR2004


def withdraw(jobs: Sequence[str]) -> None:
    """Take jobs out of the queue.

    Raises:
        ExecutorError: Slurm is not here, or does not answer in time.
    """
    _ask("scancel", "--quiet", *jobs)


def log_of(state: StateFolder, job: str) -> Path:
    """Return where the cluster writes what a job prints before its run begins."""
    return state.path / KIND / f"{job}_0_log.err"


def _check_program(name: str) -> None:
    if shutil.which(name) is None:
        raise ExecutorError(
            f"{name} is not on PATH: this is no machine of a Slurm cluster",
            hint="go to a login node, or: branchlab run --executor local",
        )


def _ask(*command: str, within_s: float = _ANSWER_WITHIN_S) -> str:
    _check_program(command[0])
    hint = f"try: {shlex.join(command)}"
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=within_s, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise ExecutorError(
            f"{command[0]} did not answer within {within_s:g} s", hint=hint
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise ExecutorError(f"{command[0]} failed: {said[-1]}", hint=hint)
    return done.stdout.decode(errors="replace")


def _python(options: SlurmOptions, state: StateFolder) -> list[str]:
    """Return the command that starts Python on a node."""
    if not options.container:
        return [shlex.quote(sys.executable)]
    start = next((name for name in ("apptainer", "singularity") if shutil.which(name)), "apptainer")
    gpus = ["--nv"] if options.gpus else []
    root = shlex.quote(str(state.path.parent))
    return [start, "exec", *gpus, "--bind", root, shlex.quote(options.container), "python3"]


def _limit_s(said: str, options: SlurmOptions) -> float | None:
    """Return the longest that a job may take on its partition, from what ``sinfo`` says; None where that has no limit."""
    limits: dict[str, str] = {}
    for line in said.splitlines():
        name, _, limit = line.strip().partition("|")
        limits[name.rstrip("*")] = limit
        if name.endswith("*"):
            limits.setdefault("", limit)
    wanted = options.partition.split(",")[0]
    if wanted and wanted not in limits:
        known = ", ".join(sorted(filter(None, limits)))
        raise ConfigError(
            f"[executor.slurm] partition = '{wanted}': there is no such partition",
            hint=f"{nearest(wanted, limits)}there are: {known}",
        )
    limit_s = seconds_of(limits.get(wanted, ""))
    if limit_s is not None and options.time_s is not None and options.time_s > limit_s:
        raise ConfigError(
            f"[executor.slurm] time_s = {options.time_s:g}: the partition gives at most {limit_s:g} s",
            hint="lower it, or leave it out",
        )
    return limit_s


def seconds_of(text: str) -> float | None:
    """Return how long Slurm means by ``2-00:00:00``, ``12:00:00`` or ``30:00``; None by ``infinite``."""
    found = _DAYS.fullmatch(text.strip())
    if found is None:
        return None
    days, *rest = found.groups()
    numbers = [float(part) for part in rest if part is not None]
    # With days hours come first, without them minutes do where there are only two numbers.
    units = (3600, 60, 1) if days is not None or len(numbers) == 3 else (60, 1)  # noqa: PLR2004
    return float(days or 0) * 86_400 + sum(
        n * unit for n, unit in zip(numbers, units, strict=False)
    )


def _forget_old(folder: Path) -> None:
    """Take away what jobs of long ago left: their scripts, pickles and logs."""
    before = time.time() - _LOGS_KEPT_S
    for path in folder.glob("*") if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < before:
                path.unlink()

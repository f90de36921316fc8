"""The job of a cluster that was given a run: the promise that something will go on with it.

While ``job.json`` is there, a run that is not done is planned or running, however its latest attempt ended: a cluster
starts a job anew that it has preempted, or whose node it has lost. Whoever makes the end final takes the file away:
the shim, ``cancel``, or the look at the cluster that finds the job gone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from branchlab.run_folder.files import write_atomically


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job.

    Attributes:
        executor: The kind of cluster that has it, as the config calls it.
        job: What the cluster calls it, for instance ``17_3``.
        attempt: Number of the attempt that it was given to make.
    """

    executor: str
    job: str
    attempt: int = 1


def write_job(path: Path, job: Job) -> None:
    """Record that a run has been given to a cluster."""
    write_atomically(path, json.dumps(asdict(job)).encode())


def read_job(path: Path) -> Job | None:
    """Return the job; None where there is none, or none that can be read."""
    try:
        return Job(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None

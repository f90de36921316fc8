"""Which executor carries runs out: the one that the request names, else the config's."""

from __future__ import annotations

from branchlab.config import EXECUTORS
from branchlab.errors import ConfigError, nearest
from branchlab.lab.project import Project
from branchlab.schedule.executor import Executor
from branchlab.schedule.on_ray import RayExecutor
from branchlab.schedule.slurm import SlurmExecutor

LOCAL = "local"


def kind_of(project: Project, asked: str | None) -> str:
    """Return the kind of executor that is meant.

    Raises:
        ConfigError: There is none of that name.
    """
    kind = asked or project.config.executor.kind
    if kind not in EXECUTORS:
        raise ConfigError(
            f"--executor {kind}: there is none of that name",
            hint=f"{nearest(kind, EXECUTORS)}there are: {', '.join(EXECUTORS)}",
        )
    return kind


def cluster_executor(project: Project, kind: str, *, jobs: int) -> Executor:
    """Return the executor of a cluster, constructed cheaply.

    Raises:
        ConfigError: This version has none of that kind.
    """
    match kind:
        case "slurm":
            return SlurmExecutor(project.state, project.config.executor.slurm, jobs=jobs)
        case "ray":
            options, share = project.config.executor.ray, project.config.run.share
            return RayExecutor(project.repository, options, share=share, jobs=jobs)
        case _:
            raise ConfigError(
                f"there is no executor '{kind}'", hint="branchlab run --executor local"
            )


def needs_worktrees(project: Project, kind: str) -> bool:
    """Whether runs work in work trees of this machine; else commits travel."""
    return kind != "ray" or project.config.executor.ray.shared

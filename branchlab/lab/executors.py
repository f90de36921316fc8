"""Which executor carries runs out: the one that the request names, else the config's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from branchlab.config import EXECUTORS
from branchlab.errors import ConfigError, nearest
from branchlab.lab.own_environments import OwnEnvironments
from branchlab.lab.project import Project
from branchlab.run_folder import StateFolder
from branchlab.schedule.executor import Executor
from branchlab.schedule.local import EnvironmentsExecutor, LocalExecutor
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


def local_executor(
    project: Project,
    state: StateFolder,
    commit: str,
    own: OwnEnvironments,
    *,
    reads: str = "",
    variables: Mapping[str, str] | None = None,
) -> LocalExecutor | EnvironmentsExecutor:
    """Return the executor of this machine, constructed cheaply.

    Args:
        project: Whose.
        state: Where its runs live.
        commit: In whose environment it plans.
        own: The environments that runs have of their own.
        reads: The commit whose imports say what a warm parent needs; ``commit`` unless given.
        variables: Of the environment, besides those that every trainer starts with; a parent that has any is shared with nobody.
    """
    # A script imports what it needs by itself.
    is_script = bool(project.config.trainer.command)
    preload = [] if is_script else preload_of(project, reads or commit)
    linger_s = 0.0 if variables is not None else project.config.executor.linger_s
    if not own.by_commit:
        return LocalExecutor(state, preload=preload, linger_s=linger_s, variables=variables)
    made = {
        one.environment.python: one.environment for one in own.by_commit.values() if one.environment
    }
    first = own.by_commit[commit].environment

    def make(python: Path | None) -> LocalExecutor:
        packages = made[python].packages if python in made else ""
        return LocalExecutor(
            state,
            preload=preload,
            linger_s=linger_s,
            python=python,
            packages=packages,
            variables=variables,
        )

    return EnvironmentsExecutor(make, first.python if first is not None else None)


def preload_of(project: Project, commit: str) -> list[str]:
    """Return what the warm parent imports besides torch: torchvision costs 1.5 s, so only for a project that uses it."""
    uses = project.repository.grep(commit, r"^(import|from) torchvision")
    return ["torchvision", "torchvision.transforms.v2"] if uses else []


def needs_worktrees(project: Project, kind: str) -> bool:
    """Whether runs work in work trees of this machine; else commits travel."""
    return kind != "ray" or project.config.executor.ray.shared

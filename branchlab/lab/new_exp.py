"""``new-exp``: a branch with its experiment file on top, and a work tree to write it in; nothing of the user's moves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from branchlab.errors import ConfigError, RepositoryError
from branchlab.experiment import Experiment, experiment_path, render_experiment
from branchlab.git.experiments import keep_experiments
from branchlab.git.worktrees import link_shared
from branchlab.git.write import add_worktree, commit_files, create_branch, record_base
from branchlab.lab.branches import all_branches, find_branches, main_branch
from branchlab.lab.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExperiment:
    """What ``new-exp`` made. ``worktree`` is None when none was asked for."""

    branch: str
    commit: str
    base: str
    file: str
    worktree: Path | None


def new_experiment(
    project: Project,
    name: str,
    *,
    base: str | None = None,
    title: str = "",
    flags: Mapping[str, bool | int | float | str] | None = None,
    with_worktree: bool = True,
) -> NewExperiment:
    """Start an experiment from the tip of ``base`` (main unless said).

    Raises:
        ConfigError: The name cannot be one.
        RepositoryError: The branch or the work tree's folder exists, or the base is unknown.
    """
    short, branch = _names(project, name)
    branches = all_branches(project)
    taken = next((known for known in branches if known.own_name == branch), None)
    if taken is not None:
        where = f" on {taken.remote}" if taken.remote else ""
        raise RepositoryError(
            f"the branch '{branch}' exists already{where}",
            hint=f"take another name, or: git switch {branch}",
        )
    start = find_branches(project, [base], branches)[0] if base else main_branch(project, branches)
    root = project.repository.root
    worktree = root.parent / f"{root.name}-{short.replace('/', '-')}" if with_worktree else None
    if worktree is not None and worktree.exists():
        raise RepositoryError(
            f"{worktree} exists already", hint="move it away, or: branchlab new-exp --no-worktree …"
        )
    path = experiment_path(short)
    experiment = Experiment(title=title or short, base=start.name, idea="", flags=flags or {})
    commit = commit_files(
        project.repository,
        parent=start.tip,
        files={path: render_experiment(experiment)},
        message=f"Start experiment {short}\n",
    )
    create_branch(project.repository, branch, commit)
    record_base(project.repository, branch, start.tip)
    keep_experiments(project.repository, {branch: commit})
    if worktree is not None:
        add_worktree(project.repository, branch, worktree)
        link_shared(project.repository, worktree, share=project.config.run.share)
    return NewExperiment(
        branch=branch, commit=commit, base=start.name, file=path, worktree=worktree
    )


def _names(project: Project, name: str) -> tuple[str, str]:
    """Return (experiment, branch) for ``se`` and ``exp/se`` alike."""
    pattern = (
        project.config.branches.experiments[0] if project.config.branches.experiments else "exp/*"
    )
    prefix = pattern.split("*", 1)[0]
    short = name.removeprefix(prefix)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", short):
        raise ConfigError(
            f"'{name}' cannot be an experiment's name: letters, digits, '.', '_', '-' and '/' between them",
            hint="for instance: branchlab new-exp squeeze-excite",
        )
    return short, pattern.replace("*", short, 1) if "*" in pattern else f"exp/{short}"

"""``new-exp``: a branch with its experiment file on top, and a work tree to write it in; nothing of the user's moves."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from branchlab.domain import Goal, Hypothesis, WrittenNote
from branchlab.errors import ConfigError, RepositoryError
from branchlab.experiment import Experiment, experiment_path, render_experiment
from branchlab.git.experiments import keep_experiments, kept_experiments
from branchlab.git.worktrees import link_shared
from branchlab.git.write import add_worktree, commit_files, create_branch, record_base
from branchlab.lab.branches import all_branches, find_branches, main_branch
from branchlab.lab.project import Project
from branchlab.written import parse_notes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExperiment:
    """What ``new-exp`` made. ``worktree`` is None when none was asked for."""

    branch: str
    commit: str
    base: str
    file: str
    worktree: Path | None
    hypothesis: Hypothesis | None = None


def no_hypothesis() -> Hypothesis | None:
    """Ask nobody."""
    return None


def new_experiment(  # noqa: PLR0913  what an experiment starts with
    project: Project,
    name: str,
    *,
    base: str | None = None,
    title: str = "",
    flags: Mapping[str, bool | int | float | str] | None = None,
    with_worktree: bool = True,
    ask: Callable[[], Hypothesis | None] = no_hypothesis,
) -> NewExperiment:
    """Start an experiment from the tip of ``base`` (main unless said).

    ``ask`` is asked for its hypothesis when all else has been found good, before anything is made.

    Raises:
        ConfigError: The name cannot be one.
        RepositoryError: The branch or the work tree's folder exists or an experiment of the name has been, or the base is unknown.
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
    _check_is_not_past(project, branch, experiment_path(short))
    start = find_branches(project, [base], branches)[0] if base else main_branch(project, branches)
    root = project.repository.root
    worktree = root.parent / f"{root.name}-{short.replace('/', '-')}" if with_worktree else None
    if worktree is not None and worktree.exists():
        raise RepositoryError(
            f"{worktree} exists already", hint="move it away, or: branchlab new-exp --no-worktree …"
        )
    path = experiment_path(short)
    hypothesis = ask()
    experiment = Experiment(
        title=title or short,
        base=start.name,
        flags=flags or {},
        hypotheses=(hypothesis,) if hypothesis else (),
    )
    commit = commit_files(
        project.repository,
        parent=start.tip,
        files={path: render_experiment(experiment, example=example_claim(project))},
        message=f"Start experiment {short}\n",
    )
    create_branch(project.repository, branch, commit)
    record_base(project.repository, branch, start.tip)
    keep_experiments(project.repository, {branch: commit})
    if worktree is not None:
        add_worktree(project.repository, branch, worktree)
        link_shared(project.repository, worktree, share=project.config.run.share)
    return NewExperiment(
        branch=branch,
        commit=commit,
        base=start.name,
        file=path,
        worktree=worktree,
        hypothesis=hypothesis,
    )


def _check_is_not_past(project: Project, branch: str, path: str) -> None:
    """Refuse the name of an experiment that is gone and has left notes or runs: these would be lost, or taken for the new one's.

    Raises:
        RepositoryError: There was one.
    """
    kept = kept_experiments(project.repository).get(branch)
    if kept is None:
        return
    tip, _ = kept
    text = project.repository.read_file(tip, path)
    notes: tuple[WrittenNote, ...] = ()
    with contextlib.suppress(ConfigError):
        notes = parse_notes(text or "", where=path)
    index = project.index()
    has_run = any(record.run.branch == branch for record in index.runs())
    index.close()
    if notes or has_run:
        raise RepositoryError(
            f"there was an experiment '{branch}', whose notes and runs are kept",
            hint=f"take another name, or take it up again: git branch {branch} {tip[:10]}",
        )


def example_claim(project: Project) -> str:
    """Return a claim about the project's own metric."""
    run = project.config.run
    return f"{run.metric} > main + 0.5pt" if run.goal is Goal.MAX else f"{run.metric} < main"


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

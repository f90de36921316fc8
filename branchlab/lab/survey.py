"""Where all branches of a project stand: what git and the config say together, for every verb that asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from branchlab.analysis.landing import landing
from branchlab.domain import Branch, Overview
from branchlab.errors import ConfigError
from branchlab.experiment import Experiment
from branchlab.git.memo import Tell, silently
from branchlab.git.refs import Refs
from branchlab.git.standing import Survey, overview
from branchlab.lab.branches import main_branch, reference_branch
from branchlab.lab.project import Project


def survey(
    project: Project,
    refs: Refs,
    experiments: Mapping[str, Experiment | ConfigError],
    branches: Sequence[Branch],
    *,
    measured: Mapping[str, str] | None = None,
    tell: Tell = silently,
) -> Overview:
    """Return where main, the reference and some branches stand.

    Args:
        project: Whose.
        refs: All branches of the repository.
        experiments: What each branch's file says.
        branches: Those to look at.
        measured: The commit that each branch's latest results come from.
        tell: Hears what takes long.

    Raises:
        RepositoryError: Main is missing.
    """
    return overview(
        project.repository,
        Survey(
            refs=refs,
            main=main_branch(project, refs.local.values()),
            reference=reference_branch(project, refs),
            branches=branches,
            pinned=project.config.branches.reference_commit,
            measured=measured or {},
            declared_bases={
                name: experiment.base
                for name, experiment in experiments.items()
                if isinstance(experiment, Experiment)
            },
        ),
        rule=landing,
        memo=project.memo(),
        tell=tell,
    )

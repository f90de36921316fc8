"""The command that trains a run's branch again as it was planned: it goes on with a run that did not come to its end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from branchlab.domain import Run, Scale
from branchlab.errors import StoreError
from branchlab.lab.project import Project


def again_arguments(project: Project, run: Run) -> tuple[str, ...]:
    """Return the arguments of ``branchlab`` that plan a run once more, with main beside it.

    What the config says anyway is left out. Flags that were typed stand in the folder's record of the command alone.
    """
    config = project.config
    options: list[str] = []
    if run.seed >= config.run.seeds:
        options += ["--seeds", str(run.seed + 1)]
    if run.scale is Scale.FULL:
        options.append("--full")
    elif run.sample.fraction != config.sample.fraction:
        options += ["--sample", f"{run.sample.fraction:g}"]
    if run.epochs is not None:
        options += ["--epochs", str(run.epochs)]
    if run.budget_s is not None:
        options += ["--budget", f"{run.budget_s:g}s"]
    return ("run", run.branch, *options, *_typed_flags(project, run))


def _typed_flags(project: Project, run: Run) -> list[str]:
    """Return ``--flag`` and ``--experiment`` as the command said them that planned the run."""
    try:
        origin = project.state.run(run.id).read_plan().origin
    except StoreError:
        return []
    return _kept(origin.command) if origin is not None else []


def _kept(command: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for word, following in itertools.pairwise([*command, ""]):
        name, has_value, _ = word.partition("=")
        if name in {"--flag", "--experiment"}:
            kept += [word] if has_value else [word, following]
    return kept

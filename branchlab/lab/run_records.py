"""What is written down of runs before any process starts, and of runs for which none ever did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from branchlab.domain import Drawn, Run, RunState
from branchlab.errors import StoreError
from branchlab.git.experiments import keep_experiments
from branchlab.lab.branches import is_experiment_name
from branchlab.lab.project import Project
from branchlab.lab.run_environments import origin_of
from branchlab.run_folder import locked
from branchlab.schedule.plan import Plan


def record_plan(
    project: Project,
    plan: Plan,
    runs: Sequence[Run],
    *,
    drawn: Drawn | None,
    command: Sequence[str],
) -> None:
    """Write down what is planned, keep its commits, and tell runs of the repository's sample.

    Args:
        project: Whose.
        plan: All of it; what is new in it is recorded.
        runs: Those that will be started.
        drawn: The sample; None where there is no manifest.
        command: The command line that planned it.
    """
    new = [planned.run for planned in plan.runs if planned.known is None]
    project.repository.keep_all({run.id: run.checked_out for run in new})
    ideas = {run.branch: run.commit for run in new if is_experiment_name(project, run.branch)}
    keep_experiments(project.repository, ideas)
    origin = origin_of(project, tuple(command)) if new else None
    for run in new:
        project.state.run(run.id).write_plan(replace(run, origin=origin))
    if drawn is not None:
        for run in runs:
            project.state.run(run.id).write_drawn(drawn)


def end_unstarted(project: Project, run: Run, state: RunState, reason: str) -> None:
    """Record how a run ended that never began: without a work tree, or needed no more."""
    folder = project.state.run(run.id)
    try:
        with locked(folder.lease) as is_ours:
            if is_ours:
                folder.attempt(folder.attempts() + 1).write_result(state, reason=reason)
    except OSError as error:
        raise StoreError(
            f"{run.id} ended, which cannot be recorded: {error}", hint=f"see: df {folder.path}"
        ) from None

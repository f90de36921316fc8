"""The work trees that runs train from: which is whose, and when one is given back; environments go with the commits that need them.

Runs of the shared trainer write nothing there, and those of one commit share it. A script has one of its own: what it leaves
beside itself, a checkpoint for instance, must not be found by the run of another seed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from branchlab.domain import Run, RunRecord, RunState
from branchlab.git.worktrees import checkout, folder_name, reclaim
from branchlab.lab.branches import all_branches
from branchlab.lab.own_environments import tidy_environments
from branchlab.lab.project import Project

_LEFT_AFTER = timedelta(hours=1)


def work_tree_of(project: Project, run: Run) -> Path:
    """Return the work tree of a run, made where there is none.

    Raises:
        BranchlabError: It cannot be made.
    """
    share = project.config.run.share
    return checkout(project.repository, run.checked_out, label=_label(run), share=share).path


def tidy(project: Project) -> None:
    """Give back work trees of commits that no branch points to and no run uses, and those of scripts that have ended."""
    index = project.index()
    records = index.runs()
    index.close()
    busy = {
        record.run.checked_out
        for record in records
        if record.state is RunState.RUNNING or project.state.run(record.run.id).job.exists()
    }
    of_scripts = {
        folder_name(record.run.checked_out, label=_label(record.run))
        for record in records
        if record.run.script is not None and _is_left(record)
    }
    keep = busy | {branch.tip for branch in all_branches(project)}
    reclaim(project.repository, keep=keep, drop=of_scripts)
    tidy_environments(project, keep)


def _label(run: Run) -> str:
    """Return what the folder of a run's work tree is called after."""
    return run.branch if run.script is None else f"run-{run.id[-30:]}"


def _is_left(record: RunRecord) -> bool:
    """Whether no command will go on with a run in the work tree that it has: one that failed just now may be tried again."""
    if record.state is RunState.DONE:
        return True
    before = datetime.now(UTC) - _LEFT_AFTER
    ended_at = record.ended_at or record.run.planned_at
    return record.state.is_over and ended_at is not None and ended_at < before

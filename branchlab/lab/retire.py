"""``retire``: the branch of an experiment that is over goes; its commits stay under a tag, its results where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.domain import Branch, CheckedOut, Landed
from branchlab.errors import BranchlabError, RepositoryError
from branchlab.experiment import experiment_name
from branchlab.git.archive import (
    delete_branch,
    drop_tag,
    is_archived,
    put_tag,
    remove_worktree,
    unsaved_in,
)
from branchlab.git.checkouts import checkouts
from branchlab.git.experiments import keep_experiments
from branchlab.lab.branches import all_branches, find_branches
from branchlab.lab.project import Project
from branchlab.lab.status import BranchStatus, status

TAGS = "archive/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What became of a branch. ``worktree`` was removed with it; None where there was none."""

    branch: str
    tip: str
    tag: str
    worktree: Path | None
    num_runs: int


def retire(project: Project, name: str, *, is_forced: bool = False) -> Retired:
    """Tag a branch ``archive/<name>`` and remove it with its work tree; runs stay recorded.

    Args:
        project: Where.
        name: The branch, by full name or by its experiment's.
        is_forced: Also a branch whose content is not in main and that no note gives up.

    Raises:
        RepositoryError: It is no experiment, is not in main yet, is checked out in the main work tree, or its own work tree
            holds what is saved nowhere; then nothing has changed.
    """
    branches = all_branches(project)
    branch = find_branches(project, [name], branches)[0]
    _check_kind(project, branch)
    found = next((one for one in status(project, [branch.name]).branches), None)
    why = _why_over(found)
    if not is_forced and not why:
        raise RepositoryError(
            f"the content of {branch.name} is not in {project.config.branches.main}",
            hint=f"branchlab merge-back {branch.name}, or give it up with the reason: "
            f"branchlab note {branch.name} 'WHY' --dropped",
        )
    places = checkouts(project.repository).get(branch.name, ())
    worktree = _worktree(project, branch, places)
    short = experiment_name(branch.own_name, project.config.branches.experiments)
    tag = f"{TAGS}{short}"
    if is_archived(project.repository, tag, branch.tip) is False:
        raise RepositoryError(
            f"the tag '{tag}' exists already and is another commit",
            hint=f"look at it: git log {tag}, or give it another name: git tag {tag}-1 {tag} && git tag -d {tag}",
        )
    message = f"{branch.name} as it was when it was retired: {why or 'it was given up'}"
    # The tag comes first: from then on nothing that is taken away is lost.
    keep_experiments(project.repository, {branch.own_name: branch.tip})
    is_new = put_tag(project.repository, tag, branch.tip, message=message)
    try:
        if worktree is not None:
            remove_worktree(project.repository, worktree)
        delete_branch(project.repository, branch.name, branch.tip)
    except BranchlabError:
        if is_new:
            drop_tag(project.repository, tag)
        raise
    records = project.index().runs()
    return Retired(
        branch=branch.name,
        tip=branch.tip,
        tag=tag,
        worktree=worktree,
        num_runs=sum(record.run.branch == branch.name for record in records),
    )


def _check_kind(project: Project, branch: Branch) -> None:
    known = project.config.branches
    if branch.own_name in {known.main, known.reference}:
        is_main = branch.own_name == known.main
        what = "the branch that all features go into" if is_main else "the frozen reference"
        raise RepositoryError(
            f"{branch.name} is {what}: it is never retired",
            hint="name an experiment: branchlab status",
        )
    if branch.remote:
        raise RepositoryError(
            f"{branch.name} lives only on {branch.remote}",
            hint=f"git push {branch.remote} --delete {branch.own_name}",
        )


def _why_over(found: BranchStatus | None) -> str:
    """Return why a branch is needed no more; "" while it is."""
    if found is None:
        return ""
    landed = found.standing.landed
    is_in_main = landed.is_settled and landed is not Landed.REVERTED
    if is_in_main or found.is_landed_as_flag:
        return "its content is in main"
    return f"it was given up: {found.given_up}" if found.given_up else ""


def _worktree(project: Project, branch: Branch, places: Sequence[CheckedOut]) -> Path | None:
    """Return the linked work tree that goes with the branch."""
    if not places:
        return None
    place = places[0]
    if len(places) > 1 or place.path == project.repository.root:
        raise RepositoryError(
            f"{branch.name} is checked out in {place.path}",
            hint=f"git -C {place.path} switch {project.config.branches.main}",
        )
    if place.operation:
        raise RepositoryError(
            f"a {place.operation} is under way in {place.path}", hint="finish it, then try again"
        )
    unsaved = unsaved_in(project.repository, place.path, shared=project.config.run.share)
    if unsaved:
        more = f" and {len(unsaved) - 1} more" if len(unsaved) > 1 else ""
        raise RepositoryError(
            f"{place.path} holds what is saved nowhere: {unsaved[0]}{more}",
            hint=f"commit it or move it away, then: branchlab retire {branch.name}",
        )
    return place.path

"""Moves a branch of the user's to a commit on top of it: as a ref, or in the work tree where it is checked out.

There it is fast-forwarded as ``git merge --ff-only`` does it, so that what is not committed stays as it is, or nothing happens.
"""

from __future__ import annotations

from branchlab.errors import RepositoryError
from branchlab.git.bring import take_along
from branchlab.git.checkouts import checkouts
from branchlab.git.write import advance_branch
from branchlab.lab.project import Project


def advance(project: Project, branch: str, *, before: str, after: str, by: str) -> None:
    """Move a branch from where it was seen; ``by`` is the command that does it.

    Raises:
        RepositoryError: It is not there any more, or cannot move where it is checked out.
    """
    places = checkouts(project.repository).get(branch, ())
    for place in places:
        if place.operation:
            raise RepositoryError(
                f"a {place.operation} of {branch} is under way in {place.path}",
                hint=f"finish it, then try again: git -C {place.path} status",
            )
    if not places:
        why = f"branchlab {by}"
        advance_branch(project.repository, branch, before=before, after=after, why=why)
        return
    complaint = take_along(places[0].path, after)
    if complaint:
        raise RepositoryError(
            f"{branch} is checked out in {places[0].path} and cannot move there: {complaint}",
            hint=f"commit what is changed there: git -C {places[0].path} status",
        )

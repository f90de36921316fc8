"""``sync``: bring main's improvements into experiment branches where that is clean, bases before what is stacked on them.

A work tree of the user's is left alone: a branch that is checked out somewhere is skipped with the command to type there,
unless the user lets clean work trees move along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from branchlab.domain import Landed, RunState, Standing
from branchlab.errors import ConfigError, RepositoryError
from branchlab.git.bring import (
    Brought,
    Move,
    forget_moves,
    last_moves,
    merge,
    move_branches,
    put_back,
    rebase,
    take_along,
    take_back,
)
from branchlab.git.checkouts import checkouts
from branchlab.git.memo import Tell, silently
from branchlab.git.write import record_base
from branchlab.lab.branches import all_branches, find_branches
from branchlab.lab.project import Project
from branchlab.lab.status import BranchStatus, status

UNDO = "branchlab sync --undo"


class SyncState(StrEnum):
    """What became of a branch."""

    SYNCED = "synced"
    WOULD_SYNC = "would-sync"
    UP_TO_DATE = "up-to-date"
    LANDED = "landed"
    SKIPPED = "skipped"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """What the user asked for."""

    names: Sequence[str] = ()
    is_all: bool = False
    is_rebase: bool = False
    takes_along: bool = False
    is_dry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedBranch:
    """One branch.

    Attributes:
        source: What was brought in: main, or the branch that it is stacked on.
        conflicts: Files that keep it from being synced.
        is_outdated: Its results are now those of an older tip.
    """

    name: str
    state: SyncState
    before: str
    after: str = ""
    source: str = ""
    conflicts: tuple[str, ...] = ()
    reason: str = ""
    is_outdated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """All branches asked for, bases first."""

    main: str
    is_rebase: bool
    branches: tuple[SyncedBranch, ...]

    def named(self, *states: SyncState) -> list[str]:
        """Return the names of the branches in one of some states."""
        return [branch.name for branch in self.branches if branch.state in states]


def sync(project: Project, request: SyncRequest, *, tell: Tell = silently) -> SyncReport:
    """Bring main into experiment branches.

    Raises:
        RepositoryError: A branch is unknown or no experiment, or moved while it was worked on; then none has moved.
        ConfigError: Nothing was asked for.
    """
    found = status(project, tell=tell)
    wanted = _wanted(project, request, found.branches)
    work = _Work(project, request, main=found.overview.main.tip, known=found.branches)
    done = []
    for number, branch in enumerate(wanted):
        tell("syncing", number, len(wanted))
        done.append(work.bring(branch))
    if not request.is_dry:
        done = work.finish(done)
    return SyncReport(
        main=found.overview.main.tip, is_rebase=request.is_rebase, branches=tuple(done)
    )


def undo(project: Project) -> SyncReport:
    """Put the branches of the last sync back to where they were, those that have not moved since."""
    repository = project.repository
    moves = last_moves(repository)
    if not moves:
        raise RepositoryError("there is no sync to undo", hint="see: git reflog show BRANCH")
    tips = {branch.name: branch.tip for branch in repository.branches()}
    places = checkouts(repository)
    done, free = [], []
    for move in moves:
        paths = [place.path for place in places.get(move.branch, ())]
        reason = ""
        if tips.get(move.branch) != move.after:
            reason = "it has moved since, or is gone"
        elif paths:
            reason = _put_back_at(project, paths, move)
        else:
            free.append(move)
        done.append(
            SyncedBranch(
                name=move.branch,
                state=SyncState.SKIPPED if reason else SyncState.UNDONE,
                before=move.after,
                after="" if reason else move.before,
                reason=reason,
            )
        )
    put_back(repository, free)
    forget_moves(repository, [branch.name for branch in done if branch.state is SyncState.UNDONE])
    return SyncReport(main="", is_rebase=False, branches=tuple(done))


def _put_back_at(project: Project, paths: Sequence[Path], move: Move) -> str:
    dirty = [path for path in paths if project.repository.dirty_paths(at=path)]
    if dirty:
        return f"it has uncommitted changes in {dirty[0]}"
    return take_back(paths[0], move.before)


class _Work:
    """Syncs branch after branch, and remembers where bases have gone."""

    def __init__(
        self, project: Project, request: SyncRequest, *, main: str, known: Sequence[BranchStatus]
    ) -> None:
        self._project = project
        self._request = request
        self._main = main
        self._standings: Mapping[str, Standing] = {
            one.standing.branch.name: one.standing for one in known
        }
        self._moved: dict[str, Move] = {}

    def bring(self, branch: BranchStatus) -> SyncedBranch:
        """Return what bringing main into a branch gives; no branch has moved yet."""
        standing = branch.standing
        name, tip = standing.branch.name, standing.branch.tip
        state, reason = self._verdict(standing)
        is_outdated = branch.results.is_of_tip and branch.results.count(RunState.DONE) > 0
        if state is not SyncState.WOULD_SYNC or self._request.is_dry:
            will = state is SyncState.WOULD_SYNC
            return SyncedBranch(
                name=name,
                state=state,
                before=tip,
                source=self._source(standing)[0] if will else "",
                conflicts=standing.conflicts or () if state is SyncState.SKIPPED else (),
                reason=reason,
                is_outdated=will and is_outdated,
            )
        source, commit = self._source(standing)
        brought = self._brought(standing, source, commit)
        if brought.conflicts:
            return SyncedBranch(
                name=name,
                state=SyncState.SKIPPED,
                before=tip,
                conflicts=brought.conflicts,
                reason=_conflict(brought.conflicts),
            )
        self._moved[name] = Move(branch=name, before=tip, after=brought.commit)
        return SyncedBranch(
            name=name,
            state=SyncState.SYNCED,
            before=tip,
            after=brought.commit,
            source=source,
            is_outdated=is_outdated,
        )

    def finish(self, done: Sequence[SyncedBranch]) -> list[SyncedBranch]:
        """Move the branches; those that are checked out move with their work trees, and may refuse."""
        if not self._moved:
            return list(done)
        refused: dict[str, str] = {}
        by_hand, free = [], []
        for name, move in self._moved.items():
            places = self._standings[name].checked_out
            if not places:
                free.append(move)
                continue
            complaint = self._take_along(places[0].path, move)
            if complaint:
                refused[name] = complaint
            else:
                by_hand.append(move)
        how = "rebase" if self._request.is_rebase else "merge"
        move_branches(self._project.repository, free, by_hand=by_hand, why=f"branchlab sync: {how}")
        for move in (*free, *by_hand):
            if self._standings[move.branch].branch.base:
                _, commit = self._source(self._standings[move.branch])
                record_base(self._project.repository, move.branch, commit)
        return [
            SyncedBranch(
                name=branch.name,
                state=SyncState.SKIPPED,
                before=branch.before,
                reason=refused[branch.name],
            )
            if branch.name in refused
            else branch
            for branch in done
        ]

    def _take_along(self, folder: Path, move: Move) -> str:
        if self._request.is_rebase:
            return take_back(folder, move.after)  # a rewritten branch is reset to, not merged
        return take_along(folder, move.after)

    def _verdict(self, standing: Standing) -> tuple[SyncState, str]:  # noqa: PLR0911  one line a reason
        branch = standing.branch
        operations = [place.operation for place in standing.checked_out if place.operation]
        if standing.landed in {Landed.MERGED, Landed.SQUASHED, Landed.REBASED}:
            return SyncState.LANDED, f"its content is in main: {standing.landed}"
        if branch.remote:
            return (
                SyncState.SKIPPED,
                f"it lives only on {branch.remote}: git switch {branch.own_name}",
            )
        if standing.main.behind == 0:
            return SyncState.UP_TO_DATE, ""
        if standing.main.behind is None or standing.main.merge_base is None:
            return SyncState.SKIPPED, "it has no history in common with main that is known here"
        if operations:
            return (
                SyncState.SKIPPED,
                f"a {operations[0]} is under way in {standing.checked_out[0].path}",
            )
        if standing.conflicts is None:
            return SyncState.SKIPPED, "whether a merge is clean is unknown: git 2.38 or newer tells"
        if standing.conflicts:
            return SyncState.SKIPPED, _conflict(standing.conflicts)
        return self._verdict_of_places(standing)

    def _verdict_of_places(self, standing: Standing) -> tuple[SyncState, str]:
        """Leave work trees of the user's alone, unless clean ones may move along."""
        main = self._project.config.branches.main
        verb = "rebase" if self._request.is_rebase else "merge"
        for place in standing.checked_out:
            if not self._request.takes_along:
                return (
                    SyncState.SKIPPED,
                    f"checked out: git -C {place.path} {verb} {main}, or --worktrees",
                )
            dirty = self._project.repository.dirty_paths(at=place.path)
            if dirty:
                return SyncState.SKIPPED, f"uncommitted changes in {place.path}: {dirty[0]}"
        return SyncState.WOULD_SYNC, ""

    def _source(self, standing: Standing) -> tuple[str, str]:
        """Return what is brought in, by name and commit: the base branch where it was synced just now, else main."""
        moved = self._moved.get(standing.base_branch)
        if moved is not None:
            return standing.base_branch, moved.after
        return self._project.config.branches.main, self._main

    def _brought(self, standing: Standing, source: str, commit: str) -> Brought:
        repository, branch = self._project.repository, standing.branch
        if standing.main.ahead == 0:
            return Brought(commit=commit)
        if not self._request.is_rebase:
            message = f"Merge branch '{source}' into {branch.name}"
            return merge(repository, branch.tip, commit, message=message)
        moved = self._moved.get(standing.base_branch)
        upstream = moved.before if moved is not None else self._main
        return rebase(repository, branch.tip, commit, upstream=upstream, label=branch.name)


def _wanted(
    project: Project, request: SyncRequest, known: Sequence[BranchStatus]
) -> list[BranchStatus]:
    """Return the branches asked for, each base before what is stacked on it."""
    by_name = {one.standing.branch.name: one for one in known}
    if request.is_all:
        names = [name for name, one in by_name.items() if not one.standing.branch.remote]
    elif request.names:
        names = [
            branch.name for branch in find_branches(project, request.names, all_branches(project))
        ]
    else:
        current = project.repository.current_branch(at=project.here)
        if current not in by_name:
            raise ConfigError(
                "no branch is named, and none of the experiments is checked out here",
                hint="branchlab sync --all-branches",
            )
        names = [current]
    for name in names:
        if name not in by_name:
            raise RepositoryError(
                f"'{name}' is no experiment; sync is for branches that match {list(project.config.branches.experiments)}",
                hint="branchlab sync --all-branches",
            )
    depth = {name: _depth(name, by_name) for name in names}
    return [by_name[name] for name in sorted(dict.fromkeys(names), key=lambda name: depth[name])]


def _depth(name: str, known: Mapping[str, BranchStatus]) -> int:
    num = 0
    while name in known and num <= len(known):
        name, num = known[name].standing.base_branch, num + 1
    return num


def _conflict(files: Sequence[str]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""  # noqa: PLR2004  three fit a line
    return f"conflicts in {', '.join(files[:3])}{more}"

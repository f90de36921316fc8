"""``annotate``: what really flows through a branch's code, as comments where it happens.

The branch's own task runs on a few real batches in a process of its own, watched line by line. What it showed becomes comments,
as a patch; as a commit on the branch; or in the files of the work tree where the branch is checked out. Comments that are
there already are held against it. A work tree is looked at as it stands: a copy of its files runs, never the files themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from branchlab.analysis.annotations.line_length import SAYING_FILES, line_length
from branchlab.analysis.annotations.review import (
    CommentState,
    Reviewed,
    Scope,
    functions_seen,
    review,
    strip,
)
from branchlab.analysis.patch_text import unified_diff
from branchlab.domain import BatchSize, Branch, Flags, Traced
from branchlab.errors import BranchlabError, ConfigError, RepositoryError, nearest
from branchlab.experiment import experiment_name, experiment_path, parse_experiment
from branchlab.git.checkouts import checkouts
from branchlab.git.memo import Tell, silently
from branchlab.git.quarantine import quarantine
from branchlab.git.write import commit_files
from branchlab.lab.advance import advance
from branchlab.lab.annotated_files import read_here, read_tree, write_here
from branchlab.lab.branches import all_branches, experiment_of, find_branches, main_branch
from branchlab.lab.own_script import needs_task
from branchlab.lab.project import Project
from branchlab.lab.recordings import Recorder, Side, commit_side
from branchlab.run_folder import unpack_trace
from branchlab.schedule.executor import Executor

_NAMES_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateRequest:
    """What is asked for.

    Attributes:
        branch: By full name or the experiment's; None is the work tree of the current folder, as it stands.
        is_here: Whether the files of the work tree where it is checked out are meant, not the branch's tip.
        strips: Whether comments go away; nothing is run for that.
        device: What runs the task. On another one types may differ, where a recipe leaves the precision to the device.
    """

    branch: str | None = None
    scope: Scope = field(default_factory=Scope)
    is_here: bool = False
    strips: bool = False
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """What was found.

    Attributes:
        branch: None where HEAD of the work tree is detached.
        tip: What comments would be committed on; "" without a branch.
        folder: Of the work tree whose files were looked at; None where it was the branch's tip.
        failure: What the project's code raised, with its place.
    """

    branch: str | None
    tip: str = ""
    folder: Path | None = None
    files: tuple[Reviewed, ...] = ()
    batches: tuple[BatchSize, ...] = ()
    failure: str = ""
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> Mapping[str, str]:
        """The new texts of files that change, by path."""
        return {one.path: one.after for one in self.files if one.after != one.before}

    @property
    def diff(self) -> str:
        """Unified, against the tip or the files of the work tree."""
        return unified_diff(
            (one.path, one.before, one.after) for one in self.files if one.after != one.before
        )

    def num(self, state: CommentState) -> int:
        """Return how many comments are in a state."""
        return sum(finding.state is state for one in self.files for finding in one.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the code stands that is looked at."""

    branch: Branch | None
    commit: str
    folder: Path | None


def annotate(
    project: Project,
    request: AnnotateRequest,
    *,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> Annotated:
    """Return what comments a branch or a work tree has, shall have and should not have.

    Args:
        project: Where.
        request: What is asked for.
        executor: The caller's own when one is given.
        tell: Hears what is going on.

    Raises:
        RepositoryError: There is no such branch, or it is checked out nowhere.
        ConfigError: The project trains by a script, no task is set, or what was asked for did not run.
        KeyboardInterrupt: The user interrupted; nothing is left behind.
    """
    if not request.strips:
        needs_task(project, "annotate")
    place = _place(project, request)
    with _texts(project, place) as (tree, texts, side):
        if request.strips:
            return _answer(place, strip(texts, request.scope), Traced())
        traced = _trace(project, place, side, request, executor=executor, tell=tell)
        length_max = line_length(_saying(project, place, tree))
    _check_scope(request.scope, traced, texts)
    files = review(texts, traced, request.scope, length_max=length_max)
    if request.scope.functions and request.scope.adds and not files and not traced.failure:
        raise _unknown_function(request.scope, traced, texts)
    return _answer(place, files, traced)


def write_annotations(project: Project, found: Annotated, *, what: str) -> str | None:
    """Write changed files where they were looked at: into the work tree, or as a commit on the branch, whose id is returned.

    Raises:
        RepositoryError: The branch is frozen, lives on a remote alone or cannot move, or a file has changed meanwhile.
    """
    frozen = project.config.branches.reference
    if found.branch is not None and found.branch == frozen:
        raise RepositoryError(
            f"{frozen} is the frozen reference: nothing is written into it",
            hint=f"look at the patch: branchlab annotate {frozen}",
        )
    if not found.changed:
        return None
    if found.folder is not None:
        write_here(found.folder, {one.path: (one.before, one.after) for one in found.files})
        return None
    assert found.branch is not None
    if project.repository.tip_of(found.branch) is None:
        raise RepositoryError(
            f"{found.branch} lives only on a remote",
            hint=f"git switch {found.branch.partition('/')[2]}",
        )
    commit = commit_files(
        project.repository, parent=found.tip, files=found.changed, message=f"{what}\n"
    )
    advance(project, found.branch, before=found.tip, after=commit, by="annotate")
    return commit


def _answer(place: _Place, files: Sequence[Reviewed], traced: Traced) -> Annotated:
    return Annotated(
        branch=None if place.branch is None else place.branch.name,
        tip="" if place.branch is None else place.branch.tip,
        folder=place.folder,
        files=tuple(files),
        batches=traced.batches,
        failure=traced.failure,
        notes=traced.notes,
    )


def _place(project: Project, request: AnnotateRequest) -> _Place:
    branches = all_branches(project)
    if request.branch is not None:
        branch = find_branches(project, [request.branch], branches)[0]
        if not request.is_here:
            return _Place(branch=branch, commit=branch.tip, folder=None)
        places = checkouts(project.repository).get(branch.name, ())
        if not places:
            raise RepositoryError(
                f"{branch.name} is checked out nowhere, so there is no work tree to write into",
                hint=f"commit the comments instead: branchlab annotate {branch.name} --apply",
            )
        return _Place(branch=branch, commit=branch.tip, folder=places[0].path)
    name = project.repository.current_branch(at=project.here)
    here = next((one for one in branches if one.name == name), None)
    commit = here.tip if here is not None else _head(project)
    if request.is_here:
        return _Place(branch=here, commit=commit, folder=project.here)
    if here is None:
        raise RepositoryError(
            "no branch is checked out here, so there is none to commit on",
            hint="name one: branchlab annotate BRANCH --apply, or write the files: --in-place",
        )
    return _Place(branch=here, commit=commit, folder=None)


def _head(project: Project) -> str:
    commit = project.repository.head(at=project.here)
    if commit is None:
        raise RepositoryError("nothing is committed here yet", hint="git commit")
    return commit


@contextmanager
def _texts(project: Project, place: _Place) -> Iterator[tuple[str, Mapping[str, str], Side]]:
    """Give the tree that is looked at, the texts of its Python files, and the side that runs it."""
    with quarantine(project.repository) as apart:
        if place.folder is None:
            assert place.branch is not None
            texts = read_tree(project, place.commit, apart.python_files(place.commit))
            flags = experiment_of(project, place.branch).flags
            name = place.branch.name
            yield place.commit, texts, commit_side(project, name, place.commit, flags=flags)
            return
        tree = apart.tree_here(place.folder)
        texts = read_here(place.folder, apart.python_files(tree))
        flags = _flags_here(project, place)
        with apart.checked_out(tree, share=project.config.run.share) as folder:
            name = place.branch.name if place.branch is not None else "the work tree"
            yield tree, texts, Side(name=name, tree=tree, folder=lambda: folder, flags=flags)


def _flags_here(project: Project, place: _Place) -> Flags:
    """Return what the experiment of the branch in a work tree switches on, as its file stands there."""
    assert place.folder is not None
    if place.branch is None:
        return {}
    short = experiment_name(place.branch.own_name, project.config.branches.experiments)
    found = read_here(place.folder, [experiment_path(short)])
    texts = [parse_experiment(text, where=path) for path, text in found.items()]
    return texts[0].flags if texts else {}


def _saying(project: Project, place: _Place, tree: str) -> dict[str, str]:
    """Return the files that may say how long a line is."""
    if place.folder is not None:
        return read_here(place.folder, SAYING_FILES)
    found = project.repository.read_files((tree, name) for name in SAYING_FILES)
    return {name: text for (_, name), text in found.items() if text is not None}


def _trace(
    project: Project,
    place: _Place,
    side: Side,
    request: AnnotateRequest,
    *,
    executor: Executor | None,
    tell: Tell,
) -> Traced:
    main = main_branch(project, all_branches(project))
    recorder = Recorder(
        project,
        steps=1,
        device=request.device,
        executor=executor,
        tell=tell,
        verb="annotate",
        purpose="running the task line by line",
    )
    try:
        recorder.warm_up(place.commit, main=main.tip)
        run = recorder.plan(side, how=["annotate"])
        folder = recorder.write_plan(run)
        folder.ask_to_trace()
        recorder.carry_out([(run, side)])
        attempt = folder.latest()
        try:
            traced = unpack_trace(attempt.trace.read_bytes()) if attempt is not None else None
        except FileNotFoundError:
            traced = None
        if traced is None:
            result = (attempt.read_result() if attempt is not None else None) or {}
            raise BranchlabError(
                f"{side.name} could not be looked at: {result.get('reason') or 'it left no result'}",
                hint="try it as a run: branchlab run --force --seeds 1",
            )
        return traced
    finally:
        recorder.close()


def _check_scope(scope: Scope, traced: Traced, texts: Mapping[str, str]) -> None:
    """Raise ConfigError where a file that is asked for by name is none of the project's, or did not run."""
    if not scope.paths or any(scope.has_path(path) for path in texts):
        return
    ran = sorted({line.path for line in traced.lines})
    raise ConfigError(
        f"--path {' '.join(scope.paths)}: no Python file of the project is called so",
        hint=f"these ran: {', '.join(ran[:_NAMES_MAX]) or 'none'}",
    )


def _unknown_function(scope: Scope, traced: Traced, texts: Mapping[str, str]) -> ConfigError:
    known = functions_seen(texts, traced)
    near = nearest(scope.functions[0], [*known, *(name.rpartition(".")[2] for name in known)])
    return ConfigError(
        f"--function {' '.join(scope.functions)}: nothing that ran and has a tensor is called so",
        hint=f"{near}these did: {', '.join(known[:_NAMES_MAX]) or 'none'}",
    )

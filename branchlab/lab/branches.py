"""The branches that the config names: main, the reference, the experiments, and what each experiment's file says.

An experiment is a local branch that matches a pattern, or one that lives only on a remote; the reference is a local branch,
else a remote's, else the commit where it was pinned.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from branchlab.config import CONFIG_NAME
from branchlab.domain import Branch, RunRecord
from branchlab.errors import BranchlabError, ConfigError, RepositoryError, nearest
from branchlab.experiment import Experiment, experiment_name, experiment_path, parse_experiment
from branchlab.git.contents import contents
from branchlab.git.refs import Refs, preferred
from branchlab.lab.project import Project

_USUAL_MAINS = ("main", "master", "trunk", "develop")


def all_branches(project: Project, refs: Refs | None = None) -> list[Branch]:
    """Return every branch that can be named: local ones, experiments of remotes, the reference wherever it is."""
    refs = refs or project.repository.refs()
    remote = [branch for branch in refs.only_remote() if is_experiment(project, branch)]
    frozen = reference_branch(project, refs)
    elsewhere = [frozen] if frozen is not None and frozen.name not in refs.local else []
    return [*refs.local.values(), *elsewhere, *remote]


def main_branch(project: Project, branches: Iterable[Branch]) -> Branch:
    """Return main.

    Raises:
        RepositoryError: There is no branch of the configured name.
    """
    by_name = {branch.name: branch for branch in branches}
    main = project.config.branches.main
    if main in by_name:
        return by_name[main]
    local = [name for name, branch in by_name.items() if not branch.remote]
    current = project.repository.current_branch()
    usual = [name for name in (*_USUAL_MAINS, current) if name in local]
    likely = next(iter([*difflib.get_close_matches(main, local, 1, 0.6), *usual, *local]), None)
    if likely is None:
        raise RepositoryError(
            f"no branch '{main}' in {project.repository.root}: HEAD is detached and there is no branch",
            hint=f"git branch {main}",
        )
    raise RepositoryError(
        f"no branch '{main}' in {project.repository.root}; the nearest is '{likely}'",
        hint=f'set [branches] main = "{likely}" in {CONFIG_NAME}, or: git branch {main}',
    )


def reference_branch(project: Project, refs: Refs) -> Branch | None:
    """Return the frozen branch: the local one, else a remote's, else its pinned commit, said to be gone; else None."""
    known = project.config.branches
    name, pinned = known.reference, known.reference_commit
    if not name:
        return None
    remote = preferred(branch for branch in refs.remote.values() if branch.own_name == name)
    found = refs.local.get(name) or remote
    commit = project.repository.resolve(pinned) if found is None and pinned else None
    if commit is None:
        return found
    tree = project.repository.tree_of(commit)
    unknown = datetime.fromtimestamp(0, UTC)
    return Branch(name=name, tip=commit, tree=tree, last_commit_at=unknown, is_gone=True)


def deleted_branches(
    project: Project, records: Sequence[RunRecord], known: Sequence[Branch]
) -> list[Branch]:
    """Return the experiments that have run and are gone, each at the commit that was planned last."""
    names = {branch.name for branch in known} | {branch.own_name for branch in known}
    found: dict[str, Branch] = {}
    for record in records:  # the latest planned first
        run = record.run
        if run.branch in names or run.branch in found:
            continue
        branch = Branch(
            name=run.branch,
            tip=run.commit,
            tree=run.tree,
            last_commit_at=run.planned_at or datetime.fromtimestamp(0, UTC),
            is_gone=True,
        )
        if is_experiment(project, branch):
            found[branch.name] = branch
    return list(found.values())


def contents_of(project: Project, branches: Iterable[Branch]) -> Mapping[str, str]:
    """Return, by tree, the id of what trainings of these branches depend on."""
    return contents(project.repository.root, [b.tree for b in branches], project.memo())


def is_experiment(project: Project, branch: Branch) -> bool:
    """Whether a branch is an experiment: it matches a pattern, and is neither main nor the reference."""
    return is_experiment_name(project, branch.own_name)


def is_experiment_name(project: Project, name: str) -> bool:
    """Whether a branch of this name is an experiment."""
    known = project.config.branches
    if name in {known.main, known.reference}:
        return False
    return any(fnmatchcase(name, pattern) for pattern in known.experiments)


def reference_warning(project: Project) -> str:
    """Return a sentence when the reference has moved or is gone; costs one process while all is well."""
    known = project.config.branches
    if not known.reference or not known.reference_commit:
        return ""
    if project.repository.tip_of(known.reference) == known.reference_commit:
        return ""
    return moved_reference(project, reference_branch(project, project.repository.refs()))


def moved_reference(project: Project, frozen: Branch | None) -> str:
    """Return a sentence when the reference is not where it was pinned; the empty string while it is."""
    known = project.config.branches
    name, pinned = known.reference, known.reference_commit
    if not name:
        return ""
    if frozen is None or frozen.is_gone:
        again = f"make it again with: git branch {name} {pinned or 'COMMIT'}"
        return f"the reference branch '{name}' does not exist; {again}"
    if not pinned or frozen.tip == pinned:
        return ""
    where = f"it is at {frozen.tip[:10]}, pinned at {pinned[:10]} in {CONFIG_NAME}"
    back = (
        f"git branch -f {name} {pinned[:10]}"
        if not frozen.remote
        else f"git branch {name} {pinned[:10]}"
    )
    return (
        f"the frozen reference '{frozen.name}' MOVED: {where}; put it back with: {back}, "
        'or accept it with: branchlab init --repin --reason "WHY"'
    )


def find_branches(
    project: Project, names: Sequence[str], branches: Sequence[Branch]
) -> list[Branch]:
    """Return branches by full name or by the name of their experiment, in the order given.

    Raises:
        RepositoryError: One is unknown; the nearest known one is named.
    """
    patterns = project.config.branches.experiments
    by_name = {branch.name: branch for branch in branches}
    remote = {branch.own_name: branch for branch in branches if branch.remote}
    short = {
        experiment_name(b.own_name, patterns): b
        for b in sorted(branches, key=lambda b: not b.remote)  # a local one goes before a remote's
        if is_experiment(project, b)
    }
    found = []
    for name in names:
        branch = by_name.get(name) or short.get(name) or remote.get(name)
        if branch is None:
            raise RepositoryError(
                f"there is no branch '{name}'",
                hint=f"{nearest(name, [*by_name, *short])}see them: branchlab status",
            )
        found.append(branch)
    return found


def experiments_of(
    project: Project, branches: Sequence[Branch]
) -> Mapping[str, Experiment | ConfigError]:
    """Return the experiment of each branch (an empty one without a file), or what is wrong with its file."""
    where = {
        branch.name: (
            branch.tip,
            experiment_path(experiment_name(branch.own_name, project.config.branches.experiments)),
        )
        for branch in branches
        if is_experiment(project, branch)
    }
    texts = project.repository.read_files(where.values())
    found: dict[str, Experiment | ConfigError] = {branch.name: Experiment() for branch in branches}
    for name, place in where.items():
        text = texts[place]
        if text is not None:
            found[name] = _parsed(text, where=f"{name}:{place[1]}")
    return found


def _parsed(text: str, *, where: str) -> Experiment | ConfigError:
    try:
        return parse_experiment(text, where=where)
    except ConfigError as error:
        return error


def experiment_of(project: Project, branch: Branch) -> Experiment:
    """Return the experiment of one branch.

    Raises:
        ConfigError: Its file cannot be used.
    """
    found = experiments_of(project, [branch])[branch.name]
    if isinstance(found, BranchlabError):
        raise found
    return found

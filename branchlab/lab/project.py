"""A user's repository opened: git, config and recorded runs together, and the branches that the config names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from branchlab.config import CONFIG_NAME, Config, parse_config, read_config
from branchlab.domain import Branch
from branchlab.errors import BranchlabError, ConfigError, RepositoryError, nearest
from branchlab.experiment import Experiment, experiment_name, experiment_path, parse_experiment
from branchlab.git.repository import Repository
from branchlab.run_folder import StateFolder
from branchlab.store.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What every verb starts from. ``here`` is where the command was called."""

    repository: Repository
    config: Config
    here: Path

    @property
    def state(self) -> StateFolder:
        return self.repository.state

    def index(self) -> Index:
        """Return the index, brought up to date with the run folders."""
        index = Index(self.state)
        index.refresh()
        return index


def open_project(start: Path) -> Project:
    """Open the repository that ``start`` lies in.

    Raises:
        RepositoryError: There is none, or it has no commits.
        ConfigError: It has no usable ``.branchlab.toml``.
    """
    repository = Repository.find(start)
    repository.check_has_commits()
    return Project(repository=repository, config=_config(repository), here=start)


def _config(repository: Repository) -> Config:
    """Read the config from the main work tree; when another branch without it stands there, from main's tip."""
    path = repository.root / CONFIG_NAME
    if not path.exists():
        for branch in ("main", "master"):
            commit = repository.resolve(f"refs/heads/{branch}")
            text = repository.read_file(commit, CONFIG_NAME) if commit else None
            if text is not None:
                return parse_config(text, path=Path(f"{branch}:{CONFIG_NAME}"))
    return read_config(repository.root)


def main_branch(project: Project, branches: Iterable[Branch]) -> Branch:
    """Return main.

    Raises:
        RepositoryError: There is no branch of the configured name.
    """
    by_name = {branch.name: branch for branch in branches}
    main = project.config.branches.main
    if main not in by_name:
        raise RepositoryError(
            f"[branches] main = '{main}', and there is no such branch",
            hint=f"{nearest(main, by_name)}set it in {CONFIG_NAME}, or: git branch {main}",
        )
    return by_name[main]


def is_experiment(project: Project, name: str) -> bool:
    """Whether a branch is an experiment: it matches a pattern, and is neither main nor the reference."""
    known = project.config.branches
    if name in {known.main, known.reference}:
        return False
    return any(fnmatchcase(name, pattern) for pattern in known.experiments)


def find_branches(
    project: Project, names: Sequence[str], branches: Sequence[Branch]
) -> list[Branch]:
    """Return branches by full name or by the name of their experiment, in the order given.

    Raises:
        RepositoryError: One is unknown; the nearest known one is named.
    """
    patterns = project.config.branches.experiments
    by_name = {branch.name: branch for branch in branches}
    short = {
        experiment_name(b.name, patterns): b for b in branches if is_experiment(project, b.name)
    }
    found = []
    for name in names:
        branch = by_name.get(name) or short.get(name)
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
            experiment_path(experiment_name(branch.name, project.config.branches.experiments)),
        )
        for branch in branches
        if is_experiment(project, branch.name)
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

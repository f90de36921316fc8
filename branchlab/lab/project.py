"""A user's repository opened: git, config and recorded runs together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from branchlab.config import CONFIG_NAME, Config, parse_config, read_config
from branchlab.errors import RepositoryError
from branchlab.git.repository import Repository
from branchlab.run_folder import StateFolder
from branchlab.store.index import Index
from branchlab.store.memo import Memo


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

    def memo(self) -> Memo:
        """Return what is kept of git objects."""
        return Memo(self.state)


def open_project(start: Path) -> Project:
    """Open the repository that ``start`` lies in.

    Raises:
        RepositoryError: There is none, or it has no commits.
        ConfigError: It has no usable ``.branchlab.toml``.
    """
    repository = Repository.find(start)
    repository.check_has_commits()
    return Project(repository=repository, config=_config(repository), here=start)


def has_lab(start: Path) -> bool:
    """Whether ``start`` lies in a repository with a ``.branchlab.toml``, usable or not."""
    try:
        repository = Repository.find(start)
    except RepositoryError:
        return False
    return (repository.root / CONFIG_NAME).exists() or _on_main(repository) is not None


def _config(repository: Repository) -> Config:
    """Read the config from the main work tree; when another branch without it stands there, from main's tip."""
    if not (repository.root / CONFIG_NAME).exists() and (found := _on_main(repository)) is not None:
        branch, text = found
        return parse_config(text, path=Path(f"{branch}:{CONFIG_NAME}"))
    return read_config(repository.root)


def _on_main(repository: Repository) -> tuple[str, str] | None:
    """Return the branch that is called like a main and has a config, with its text."""
    for branch in ("main", "master"):
        commit = repository.resolve(f"refs/heads/{branch}")
        text = repository.read_file(commit, CONFIG_NAME) if commit else None
        if text is not None:
            return branch, text
    return None

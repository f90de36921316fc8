"""``[env] manager``: which environment each branch trains in, from the files of its commit that name dependencies.

A branch whose environment cannot be made has a plan all the same; its runs fail with uv's own words, and the others go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from branchlab.analysis.dependencies import dependencies_of
from branchlab.config import Env
from branchlab.domain import Branch, Run
from branchlab.errors import ConfigError, ExecutorError
from branchlab.git.memo import Tell, silently
from branchlab.lab.project import Project
from branchlab.lab.words import few
from branchlab.schedule.environments import Environment, Ingredients, existing, provide, tidy
from branchlab.train.versions import TRAINER_VERSION

UV = "uv"
_LOCK, _PROJECT, _VERSION = "uv.lock", "pyproject.toml", ".python-version"
_USUAL = (_LOCK, "requirements.txt", _PROJECT, "setup.cfg", "setup.py")
"""The first that names anything is taken, where ``[env] files`` names none."""
_INCLUDED = re.compile(r"^\s*(-r|--requirement|-c|--constraint)[\s=]+(\S+)")
_ITSELF = re.compile(r"^\s*(?:-e|--editable)?[\s=]*\.(?:\[[^\]]*\])?\s*(?:#.*)?$")
_DEPTH_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The environment of one commit: there, or why not.

    Attributes:
        ingredients: What it is made of; None where even that cannot be told.
        environment: None while it has not been made, or cannot be.
        failure: What is wrong with it, in one line; empty where nothing is, or nobody has tried.
    """

    ingredients: Ingredients | None = None
    environment: Environment | None = None
    failure: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """Return what runs in it are keyed by; of one that is not there, what keeps them apart from all others."""
        if self.environment is not None:
            return self.environment.facts
        key = self.ingredients.key if self.ingredients is not None else "unknown"
        return {"trainer": TRAINER_VERSION, "packages": f"none of {key}"}


@dataclass(frozen=True, slots=True)
class OwnEnvironments:
    """Environments by commit; empty where every branch trains in branchlab's own."""

    by_commit: Mapping[str, Own] = field(default_factory=dict)

    def facts_of(self, commit: str) -> dict[str, str] | None:
        """Return what runs of a commit are keyed by; None where that is what the executor says."""
        own = self.by_commit.get(commit)
        return own.facts if own is not None else None

    def python_of(self, run: Run) -> Path | None:
        """Return the interpreter that a run is trained by; None is the executor's own.

        Raises:
            ExecutorError: Its environment could not be made.
        """
        if not self.by_commit:
            return None
        wanted = run.environment.get("packages")
        for own in self.by_commit.values():
            if own.facts["packages"] == wanted:
                if own.environment is None:
                    raise ExecutorError(own.failure or "its environment has not been made")
                return own.environment.python
        raise ExecutorError("its environment is gone", hint="plan it again: branchlab run")

    def notes(self, branches: Sequence[Branch]) -> tuple[str, ...]:
        """Say which environments are still to be made; one that cannot be made is said by its runs."""
        owns = {branch.name: self.by_commit.get(branch.tip) for branch in branches}
        new = [n for n, own in owns.items() if own and not (own.environment or own.failure)]
        if not new:
            return ()
        return (f"their environments are made first, which may take minutes: {few(new)}",)


def check_supported(project: Project, kind: str) -> None:
    """Refuse environments where runs cannot have them.

    Raises:
        ConfigError: Nodes of the cluster do not see them.
    """
    if project.config.env.manager != UV:
        return
    slurm = project.config.executor.slurm
    if kind == "ray":
        raise ConfigError(
            '[env] manager = "uv" makes environments on this machine; nodes of a Ray cluster do not see them',
            hint='set manager = "none" and install what branches need on the nodes, or: branchlab run --executor local',
        )
    if kind == "slurm" and slurm.container:
        raise ConfigError(
            "[env] manager and [executor.slurm] container exclude each other: the container brings its own Python",
            hint="leave one of them out",
        )


def own_environments(
    project: Project, commits: Sequence[str], *, makes: bool = True, tell: Tell = silently
) -> OwnEnvironments:
    """Return the environments of some commits, made where there is none; nothing where ``[env] manager`` is none.

    Args:
        project: Whose.
        commits: Of these.
        makes: Whether those that are not there are made; it may take minutes.
        tell: Hears what is going on.
    """
    if project.config.env.manager != UV:
        return OwnEnvironments()
    project.state.create()
    found: dict[str, Own] = ingredients_of(project, commits)
    made: dict[str, Own] = {}
    for number, (commit, own) in enumerate(found.items()):
        if own.ingredients is None:
            continue
        key = own.ingredients.key
        if key not in made:
            tell("making environments", number, len(found))
            made[key] = _made(project, own) if makes else _known(project, own)
        found[commit] = replace(made[key], ingredients=own.ingredients)
    return OwnEnvironments(found)


def environment_for_all(project: Project, commit: str, tell: Tell = silently) -> OwnEnvironments:
    """Return the environment of one commit, in which others are trained beside it.

    Raises:
        ExecutorError: It cannot be made.
    """
    found = own_environments(project, [commit], tell=tell)
    own = found.by_commit.get(commit)
    if own is not None and own.failure:
        raise ExecutorError(f"{commit[:10]}: {own.failure}", hint="mend what it requires")
    return found


def ingredients_of(project: Project, commits: Sequence[str]) -> dict[str, Own]:
    """Return what the environment of each commit is made of, read in a few processes for any number of them."""
    config, wanted = project.config.env, list(dict.fromkeys(commits))
    paths = (*(config.files or _USUAL), *((_LOCK, _PROJECT) if config.files else ()), _VERSION)
    texts = project.repository.read_files((commit, path) for commit in wanted for path in paths)
    read = {commit: {p: texts[commit, p] for p in paths} for commit in wanted}
    files = {c: {p: t for p, t in of.items() if t is not None} for c, of in read.items()}
    _read_included(project, files)
    return {commit: _own(files[commit], config) for commit in wanted}


def tidy_environments(project: Project, commits: set[str]) -> int:
    """Remove the environments that no commit of these needs."""
    home = project.state.environments
    if project.config.env.manager != UV or not home.is_dir():
        return 0
    found = ingredients_of(project, sorted(commits)).values()
    return tidy(home, {own.ingredients.key for own in found if own.ingredients is not None})


def _own(files: Mapping[str, str], config: Env) -> Own:
    missing = [path for path in config.files if path not in files]
    if missing:
        return Own(failure=f"{missing[0]}, which [env] files names, is not in it")
    chosen = list(config.files) or _usual(files)
    itself = [p for p in files if _is_list(p) and any(map(_ITSELF.match, files[p].splitlines()))]
    if itself and _LOCK not in chosen and _PROJECT in files and _PROJECT not in chosen:
        chosen.append(_PROJECT)  # its dependencies; the work tree itself comes first on the path
    needed = {*chosen, *_reached(files, chosen), *((_PROJECT,) if _LOCK in chosen else ())}
    kept = {path: _without_itself(path, text) for path, text in files.items() if path in needed}
    version = dependencies_of(_VERSION, files.get(_VERSION)).split("\n")[0].strip()
    return Own(
        ingredients=Ingredients(
            files=kept,
            sources=tuple(path for path in chosen if not _is_bound(path)),
            constraints=tuple(path for path in chosen if _is_bound(path)),
            python=config.python or version,
            extras=config.extras,
        )
    )


def _usual(files: Mapping[str, str]) -> list[str]:
    for path in _USUAL:
        if path == _LOCK:
            if path in files and _PROJECT in files:
                return [path]
        elif path in files and dependencies_of(path, files[path]):
            return [path]
    return []


def _read_included(project: Project, files: dict[str, dict[str, str]]) -> None:
    """Read what lists of requirements include, and what those include."""
    for _ in range(_DEPTH_MAX):
        wanted = {
            (commit, path)
            for commit, of in files.items()
            for path in _reached(of, list(of))
            if path not in of
        }
        texts = project.repository.read_files(sorted(wanted))
        new = {place: text for place, text in texts.items() if text is not None}
        for (commit, path), text in new.items():
            files[commit][path] = text
        if not new:
            return


def _reached(files: Mapping[str, str], start: Sequence[str]) -> set[str]:
    """Return the paths that lists include, directly or not; those that are missing too."""
    found: set[str] = set()
    left = [path for path in start if _is_list(path)]
    while left:
        path = left.pop()
        for line in files.get(path, "").splitlines():
            if (match := _INCLUDED.match(line)) is None or "://" in match[2]:
                continue
            included = _joined(path, match[2])
            if included is not None and included not in found:
                found.add(included)
                left.append(included)
    return found


def _joined(path: str, relative: str) -> str | None:
    """Return a path that another names from its own folder; None for one outside of the repository."""
    parts: list[str] = list(PurePosixPath(path).parent.parts)
    for part in PurePosixPath(relative).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts) if parts and parts[0] != "/" else None


def _is_list(path: str) -> bool:
    return path.endswith((".txt", ".in"))


def _is_bound(path: str) -> bool:
    return _is_list(path) and PurePosixPath(path).name.startswith("constraints")


def _without_itself(path: str, text: str) -> str:
    """Leave out the line by which a project installs itself in place: runs have it in their work tree."""
    if not _is_list(path):
        return text
    return "".join(
        line for line in text.splitlines(keepends=True) if not _ITSELF.match(line.rstrip())
    )


def _made(project: Project, own: Own) -> Own:
    assert own.ingredients is not None
    try:
        return replace(own, environment=provide(project.state.environments, own.ingredients))
    except ExecutorError as error:
        return replace(own, failure=error.message)
    except OSError as error:
        return replace(own, failure=f"its environment cannot be made: {error}")


def _known(project: Project, own: Own) -> Own:
    assert own.ingredients is not None
    return replace(own, environment=existing(project.state.environments, own.ingredients))

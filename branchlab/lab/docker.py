"""``docker``: files that build an image in which a recorded run trains again."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from branchlab import version
from branchlab.domain import RunRecord, RunState, placeholders_of
from branchlab.errors import ConfigError
from branchlab.lab.branches import all_branches, main_branch
from branchlab.lab.dockerfile import Wanted, devcontainer, dockerfile
from branchlab.lab.project import Project
from branchlab.lab.run_environments import environment_of
from branchlab.lab.runs import branch_of_runs
from branchlab.run_folder import write_atomically
from branchlab.train.installed import Package, installed

_DOCKERFILE = "Dockerfile"
_IGNORE = "# The repository's objects are all that the image takes from it.\n*\n!.git\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What was made for a run: texts by path below the folder that was asked for, and the command that builds the image."""

    run_id: str
    files: Mapping[str, str]
    build: str


def container_of(
    project: Project, name: str | None, out: Path, *, with_devcontainer: bool = False
) -> Container:
    """Return the files for a run, or for a branch's latest run that is done.

    Args:
        project: Whose.
        name: Id of the run or a beginning of it, or a branch; None is the branch that is checked out.
        out: Folder that the files are meant for.
        with_devcontainer: Whether there is to be a devcontainer too.

    Raises:
        RepositoryError: There is no such run or branch.
        ConfigError: It has no run that recorded what it trained in.
    """
    record = _run_of(project, name)
    run_id = record.run.id
    environment = environment_of(project, run_id)
    if environment is None:
        raise ConfigError(
            f"{run_id} has not recorded what it trained in: it is older than that, or never began",
            hint=f"train it again: branchlab run {shlex.quote(record.run.branch)} --force",
        )
    ours = _branchlab()
    source = _source_of(ours)
    options = [f"--build-context=branchlab={source}"] if source else []
    build = ["docker", "build", *options, "-f", str(out / _DOCKERFILE), "-t", run_id]
    command = shlex.join([*build, str(project.repository.root)])
    share = project.config.run.share
    wanted = Wanted(
        run_id=run_id,
        branch=record.run.branch,
        commit=record.run.commit,
        checked_out=record.run.checked_out,
        plan=project.state.run(run_id).plan.read_text(),
        environment=environment,
        share=share,
        branchlab="" if source else _requirement(ours),
        build=command,
        mounts=[
            *(f'"$PWD/{path}:/work/{path}:ro"' for path in share),
            *(f"{path}:{path}:ro" for path in _places(record)),
        ],
    )
    files = {_DOCKERFILE: dockerfile(wanted), f"{_DOCKERFILE}.dockerignore": _IGNORE}
    if with_devcontainer:
        context = os.path.relpath(project.repository.root, out / ".devcontainer")
        files[".devcontainer/devcontainer.json"] = devcontainer(
            wanted, context=context, options=options
        )
    return Container(run_id=run_id, files=files, build=command)


def write_container(container: Container, out: Path, *, is_forced: bool = False) -> list[Path]:
    """Write the files; none where one is there already.

    Raises:
        ConfigError: One would be overwritten, or the folder cannot be written to.
    """
    places = {out / path: text for path, text in container.files.items()}
    there = [path for path, text in places.items() if path.exists() and path.read_text() != text]
    if there and not is_forced:
        raise ConfigError(
            f"{there[0]} is there already, and says something else",
            hint="write elsewhere: --out DIR, or over it: --force",
        )
    try:
        for path, text in places.items():
            write_atomically(path, text.encode())
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written to: {error.strerror}", hint="--out DIR"
        ) from None
    return list(places)


def _run_of(project: Project, name: str | None) -> RunRecord:
    records = project.index().runs()
    if name is None:
        current = project.repository.current_branch(at=project.here)
        main = main_branch(project, all_branches(project)).name
        ran = {record.run.branch for record in records}
        branch = current if current in ran else main
    else:
        exact = [record for record in records if record.run.id == name]
        found = exact or [record for record in records if record.run.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        branch = branch_of_runs(project, name)
    of_branch = [record for record in records if record.run.branch == branch]
    if not of_branch:
        raise ConfigError(
            f"{branch} has no runs yet", hint=f"train it: branchlab run {shlex.quote(str(branch))}"
        )
    done = [record for record in of_branch if record.state is RunState.DONE]
    return (done or of_branch)[0]


def _branchlab() -> Package:
    found = {package.name: package for package in installed(sys.path).packages}
    return found.get("branchlab", Package(name="branchlab", version=version.__version__))


def _source_of(ours: Package) -> str:
    """Return the folder that branchlab's source is in, where it was installed from one; "" else."""
    root = Path(version.__file__).parents[1]
    is_local = ours.url.startswith("file://") and not ours.url.endswith((".whl", ".gz"))
    return str(root) if is_local and (root / "pyproject.toml").exists() else ""


def _requirement(ours: Package) -> str:
    return f"branchlab @ {ours.url}@{ours.commit}" if ours.commit else ours.pin


def _places(record: RunRecord) -> list[str]:
    """Return the places of this machine that the run's arguments name, or the words of its script's command."""
    run = record.run
    values = {*run.arguments.values(), *run.flags.values()}
    command = run.script.command if run.script is not None else ()
    # The program itself is the image's own; a place with a placeholder is each run's own.
    words = [word for word in command[1:] if not placeholders_of([word])]
    values |= {part for word in words for part in (word, word.partition("=")[2])}
    return sorted(value for value in values if isinstance(value, str) and Path(value).is_absolute())

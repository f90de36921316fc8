"""``init``: freeze the reference, pin its commit, write ``.branchlab.toml``; it finds out what it can.

``repin`` accepts a reference that has moved, with a reason that stays in the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.config import CONFIG_NAME, Branches, is_task
from branchlab.domain import Branch
from branchlab.errors import ConfigError, RepositoryError, nearest
from branchlab.git.refs import preferred
from branchlab.git.repository import Repository
from branchlab.git.write import create_branch
from branchlab.lab.branches import reference_branch
from branchlab.lab.project import Project
from branchlab.run_folder import write_atomically
from branchlab.toml_file import read_toml_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What ``init`` did."""

    config: Path
    main: str
    reference: str
    reference_commit: str
    is_reference_new: bool
    task: str
    experiments: tuple[str, ...]


def init(
    start: Path,
    *,
    main: str | None = None,
    reference: str | None = None,
    experiments: Sequence[str] = (),
    task: str | None = None,
) -> Initialised:
    """Set a repository up.

    Raises:
        RepositoryError: No repository, no commits, no such branch.
        ConfigError: It is set up already, or the task is not written module:Class.
    """
    repository = Repository.find(start)
    repository.check_has_commits()
    path = repository.root / CONFIG_NAME
    if path.exists():
        raise ConfigError(f"{path} exists already", hint=f"edit it; to start over: rm {path}")
    if task is not None and not is_task(task):
        raise ConfigError(
            f"--task '{task}': expected module:Class",
            hint="for instance: --task fashion.task:FashionTask",
        )
    refs = repository.refs()
    branches = refs.local
    integration = _main(repository, branches, main)
    frozen = reference or Branches().reference
    remote = preferred(branch for branch in refs.remote.values() if branch.own_name == frozen)
    found = branches.get(frozen) or remote
    is_new = found is None
    commit = integration.tip if found is None else found.tip
    found_task = task or _find_task(repository, integration.tip)
    patterns = tuple(experiments) or Branches().experiments
    if is_new:
        create_branch(repository, frozen, commit)
    write_atomically(path, _render(integration.name, frozen, commit, patterns, found_task).encode())
    return Initialised(
        config=path,
        main=integration.name,
        reference=frozen,
        reference_commit=commit,
        is_reference_new=is_new,
        task=found_task,
        experiments=patterns,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repinned:
    """Where the reference was pinned, and where it is now."""

    reference: str
    before: str
    commit: str
    reason: str


def repin(project: Project, *, reason: str) -> Repinned:
    """Pin the reference where it is now, and write down why; comments and order of the config stay.

    Raises:
        ConfigError: No reason is given, or the pin is right already.
        RepositoryError: There is no reference branch.
    """
    import tomlkit

    known = project.config.branches
    if not reason.strip():
        raise ConfigError(
            "a frozen reference is moved for a reason only",
            hint='branchlab init --repin --reason "the published code had a bug in its evaluation"',
        )
    frozen = reference_branch(project, project.repository.refs())
    if frozen is None or frozen.is_gone:
        raise RepositoryError(
            f"the reference branch '{known.reference}' does not exist",
            hint=f"git branch {known.reference} {known.reference_commit or 'COMMIT'}",
        )
    if frozen.tip == known.reference_commit:
        raise ConfigError(
            f"'{frozen.name}' is where it is pinned, at {frozen.tip[:10]}", hint="branchlab status"
        )
    path = project.repository.root / CONFIG_NAME
    document = tomlkit.parse(read_toml_text(path, hint_when_missing="git switch to main"))
    table = document.setdefault("branches", tomlkit.table())
    table["reference_commit"] = frozen.tip
    table["reference_reason"] = reason.strip()
    write_atomically(path, tomlkit.dumps(document).encode())
    return Repinned(
        reference=frozen.name,
        before=known.reference_commit,
        commit=frozen.tip,
        reason=reason.strip(),
    )


def _main(repository: Repository, branches: Mapping[str, Branch], wanted: str | None) -> Branch:
    if wanted is not None and wanted not in branches:
        raise RepositoryError(
            f"there is no branch '{wanted}'",
            hint=f"{nearest(wanted, branches)}known: {', '.join(branches)}",
        )
    for name in (wanted, "main", "master", repository.current_branch()):
        if name is not None and name in branches:
            return branches[name]
    raise RepositoryError(
        "no branch is called main or master, and none is checked out",
        hint="say which: branchlab init --main NAME",
    )


def _find_task(repository: Repository, commit: str) -> str:
    """Return the only ``class X(branchlab.Task)`` of a commit as module:Class, or the empty string."""
    found = {
        f"{path.removesuffix('.py').replace('/', '.')}:{match[1]}"
        for path, line in repository.grep_lines(
            commit, r"^class +[A-Za-z_0-9]+\((branchlab\.)?Task\)"
        )
        if (match := re.match(r"class +(\w+)", line)) and "/" in path
    }
    usable = [task for task in found if is_task(task)]
    return usable[0] if len(usable) == 1 else ""


def _render(main: str, reference: str, commit: str, experiments: tuple[str, ...], task: str) -> str:
    quoted = {
        name: json.dumps(value, ensure_ascii=False)
        for name, value in {"main": main, "ref": reference}.items()
    }
    task_line = (
        f"task = {json.dumps(task)}"
        if task
        else '# task = "package.module:Class"   # a subclass of branchlab.Task, or a script of your own:\n'
        '# command = ["python", "train.py", "--seed", "{seed}", "--device", "{device}", "--out", "{run_dir}", "{flags}"]'
    )
    return f"""\
[branches]
main = {quoted["main"]}
reference = {quoted["ref"]}
reference_commit = "{commit}"  # pinned: branchlab says so if the branch ever moves
experiments = {json.dumps(list(experiments), ensure_ascii=False)}

[trainer]
{task_line}

[run]
metric = "val/accuracy"
goal = "max"
seeds = 3
share = []                       # ignored files that runs need, for instance ["data"]
device = "auto"

[sample]
fraction = 0.1
strategy = "stratified"
"""

"""``init``: freeze the reference, pin its commit, write ``.branchlab.toml``; it finds out what it can."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.config import CONFIG_NAME, Branches, is_task
from branchlab.domain import Branch
from branchlab.errors import ConfigError, RepositoryError, nearest
from branchlab.git.repository import Repository
from branchlab.git.write import create_branch
from branchlab.run_folder import write_atomically


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
    branches = {branch.name: branch for branch in repository.branches()}
    integration = _main(repository, branches, main)
    frozen = reference or Branches().reference
    is_new = frozen not in branches
    commit = integration.tip if is_new else branches[frozen].tip
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


def _main(repository: Repository, branches: dict[str, Branch], wanted: str | None) -> Branch:
    if wanted is not None and wanted not in branches:
        raise RepositoryError(
            f"there is no branch '{wanted}'",
            hint=f"{nearest(wanted, branches)}known: {', '.join(branches)}",
        )
    for name in (wanted, "main", "master", repository.current_branch()):
        if name in branches:
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
        else '# task = "package.module:Class"   # a subclass of branchlab.Task'
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

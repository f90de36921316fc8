"""``features main``: the flags of experiments that have landed, who switches them on, and which of them are ripe.

A flag needs an owner and an end. Its owner is the experiment whose file on main names it; it ends when every branch
switches it on (then it becomes the rule) or when nothing reads it any more (then it goes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePosixPath

from branchlab.analysis.features.uses import FlagUse, flag_use
from branchlab.errors import ConfigError
from branchlab.experiment import FOLDER, Experiment, parse_experiment
from branchlab.git.sources import TreeSources, introductions, paths_below
from branchlab.lab.branches import all_branches, experiments_of, is_experiment, main_branch
from branchlab.lab.project import Project


class Ripeness(StrEnum):
    """What is to be done with a flag on main."""

    KEEP = "keep"
    PERMANENT = "make-permanent"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedFlag:
    """A flag on main.

    Attributes:
        experiment: Name of the experiment that owns it; ``value``: what that sets it to.
        commit: Brought the experiment's file to main, at ``since``; None where history does not say.
        defaults: As source text, of everything on main that takes it.
        is_off: Whether main is without it by default; None where that cannot be read.
        used_by: Branches whose experiments switch it on.
        read_in: Files of main in which something asks for it.
    """

    name: str
    experiment: str
    value: str
    commit: str | None
    since: datetime | None
    defaults: tuple[str, ...]
    is_off: bool | None
    used_by: tuple[str, ...]
    read_in: tuple[str, ...]
    ripeness: Ripeness
    reason: str


def landed_flags(project: Project) -> list[LandedFlag]:
    """Return the flags that experiments on main own, by experiment.

    Raises:
        RepositoryError: Main is missing.
    """
    root = project.repository.root
    branches = all_branches(project)
    main = main_branch(project, branches)
    owned = _owned(project, main.tip)
    if not owned:
        return []
    born = introductions(root, main.tip, FOLDER)
    sources = TreeSources(root, main.tip)
    sources.expect(name for _, experiment in owned for name in experiment.flags)
    alive = [one for one in branches if is_experiment(project, one)]
    switched = _switched(experiments_of(project, alive))
    found: list[LandedFlag] = []
    for path, experiment in owned:
        for name, value in experiment.flags.items():
            uses = {
                place: flag_use(name, place, text)
                for place, text in sources.mentioning([name]).items()
            }
            by = tuple(branch for branch, names in switched.items() if name in names)
            found.append(_landed(name, str(value), path, uses, by, len(alive), born.get(path)))
    return found


def _owned(project: Project, tip: str) -> list[tuple[str, Experiment]]:
    paths = [
        path for path in paths_below(project.repository.root, tip, FOLDER) if path.endswith(".toml")
    ]
    texts = project.repository.read_files((tip, path) for path in paths)
    found = []
    for path in paths:
        try:
            found.append((path, parse_experiment(texts[tip, path] or "", where=path)))
        except ConfigError:
            continue
    return found


def _switched(experiments: Mapping[str, Experiment | ConfigError]) -> dict[str, set[str]]:
    """Return branch -> names of flags that its experiment switches on."""
    return {
        branch: {name for name, value in experiment.flags.items() if value}
        for branch, experiment in experiments.items()
        if isinstance(experiment, Experiment)
    }


def _landed(  # noqa: PLR0913, PLR0917  values of one row
    name: str,
    value: str,
    path: str,
    uses: Mapping[str, FlagUse],
    used_by: Sequence[str],
    num_branches: int,
    born: tuple[str, int] | None,
) -> LandedFlag:
    known = [use.is_off for use in uses.values() if use.defaults]
    read_in = tuple(place for place, use in uses.items() if use.num_reads)
    ripeness, reason = Ripeness.KEEP, f"{len(used_by)} of {num_branches} branches switch it on"
    if not read_in:
        ripeness, reason = Ripeness.REMOVE, "nothing on main reads it"
    elif num_branches and len(used_by) == num_branches:
        ripeness = Ripeness.PERMANENT
        reason = f"all {num_branches} branches switch it on"
    return LandedFlag(
        name=name,
        experiment=PurePosixPath(path).stem,
        value=value,
        commit=born[0] if born else None,
        since=datetime.fromtimestamp(born[1], UTC) if born else None,
        defaults=tuple(dict.fromkeys(text for use in uses.values() for text in use.defaults)),
        is_off=None if not known or None in known else all(known),
        used_by=tuple(used_by),
        read_in=read_in,
        ripeness=ripeness,
        reason=reason,
    )

"""``promote --halving``: many branches on growing parts of the sample; the best of each rung go on, the last ones to the full set.

Main runs on every rung beside them, with the same seeds, and a branch is worth its mean difference to main. Nothing is kept
but runs: the same command finds those that are known, decides the same again, and goes on where it was.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from branchlab.analysis.halving import check_installed, survivors
from branchlab.analysis.results import Subject
from branchlab.domain import Branch, Goal, RunRecord, RunState
from branchlab.errors import BranchlabError, ConfigError
from branchlab.experiment import Experiment
from branchlab.lab.branches import (
    all_branches,
    contents_of,
    experiments_of,
    find_branches,
    is_experiment,
    main_branch,
)
from branchlab.lab.project import Project
from branchlab.lab.run_request import Pinned, RunRequest

Carry = Callable[[RunRequest], Mapping[str, RunRecord]]
"""Carries a batch out and returns its runs by id."""

_NOT_OVER = {RunState.PLANNED, RunState.RUNNING, RunState.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A branch that did not go on: dropped is not worse, it did less well than others on little data."""

    branch: str
    gain: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What became of one rung. ``part`` is of the sample, ``fraction`` of the training set; ``gains`` favour the branch."""

    number: int
    part: float
    fraction: float
    gains: Mapping[str, float]
    kept: tuple[str, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Halving:
    """How far a halving has come. ``is_over``: every rung has run; ``survivors`` are to run on the full set."""

    eta: int
    rungs: tuple[Rung, ...]
    survivors: tuple[str, ...]
    is_over: bool


def candidates(project: Project, names: Sequence[str]) -> tuple[Pinned, list[Pinned], list[str]]:
    """Return main, the branches that take part, and notes on those that cannot.

    Raises:
        ConfigError: Optuna is not installed, or no branch takes part.
        RepositoryError: A branch is unknown.
    """
    check_installed()
    branches = all_branches(project)
    main = main_branch(project, branches)
    wanted = (
        find_branches(project, names, branches)
        if names
        else [branch for branch in branches if is_experiment(project, branch)]
    )
    wanted = [branch for branch in wanted if branch.name != main.name]
    experiments = experiments_of(project, wanted)
    notes, found = [], []
    for branch in wanted:
        experiment = experiments[branch.name]
        if isinstance(experiment, BranchlabError):
            notes.append(f"{branch.name} does not take part: {experiment.message}")
        elif experiment.given_up and not names:
            notes.append(
                f"{branch.name} was given up ({experiment.given_up}) and does not take part; to let it, name it"
            )
        else:
            found.append(_at_tip(branch, experiment))
    if not found:
        raise ConfigError(
            "no branch takes part: there is no experiment", hint="branchlab new-exp NAME"
        )
    return Pinned(branch=main), found, notes


def _at_tip(branch: Branch, experiment: Experiment) -> Pinned:
    return Pinned(branch=branch, flags=experiment.flags)


def first_rung(
    project: Project, main: Pinned, taking_part: Sequence[Pinned], asked: RunRequest
) -> RunRequest:
    """Return what the first rung runs."""
    part = project.config.promote.rungs[0]
    return _request(project, asked, part, [main, *taking_part])


def halve(
    project: Project, main: Pinned, taking_part: Sequence[Pinned], asked: RunRequest, carry: Carry
) -> Halving:
    """Run all rungs; ends early where a rung was not finished.

    Raises:
        ConfigError: Main failed, so that nothing can be held against it.
    """
    known = project.config.promote
    left = list(taking_part)
    rungs: list[Rung] = []
    for number, part in enumerate(known.rungs, 1):
        request = _request(project, asked, part, [main, *left])
        records = list(carry(request).values())
        if any(record.state in _NOT_OVER for record in records):
            break
        rung = _decided(project, records, main, left, number=number)
        rungs.append(rung)
        by_name = {one.branch.name: one for one in left}
        left = [by_name[name] for name in rung.kept]
        if not left:
            break
    is_over = len(rungs) == len(known.rungs) or not left
    return Halving(
        eta=known.eta,
        rungs=tuple(rungs),
        survivors=tuple(one.branch.name for one in left) if is_over else (),
        is_over=is_over,
    )


def _request(
    project: Project, asked: RunRequest, part: float, pinned: Sequence[Pinned]
) -> RunRequest:
    return replace(asked, fraction=project.config.sample.fraction * part, exactly=tuple(pinned))


def _decided(
    project: Project,
    records: Sequence[RunRecord],
    main: Pinned,
    left: Sequence[Pinned],
    *,
    number: int,
) -> Rung:
    """Decide who goes on. On the last rung, which is the whole sample, everybody does who has a result."""
    metric, known = project.config.run.metric, project.config.promote
    sign = 1 if project.config.run.goal is Goal.MAX else -1
    part, is_last = known.rungs[number - 1], number == len(known.rungs)
    contents = contents_of(project, [one.branch for one in (main, *left)])
    base = _values(records, _subject(main, contents), metric)
    if not base:
        raise ConfigError(
            f"{main.branch.name} has no {metric} on rung {number}: nothing can be held against it",
            hint=f"see why: branchlab runs {main.branch.name}",
        )
    gains: dict[str, float] = {}
    for one in left:
        values = _values(records, _subject(one, contents), metric)
        common = values.keys() & base.keys()
        if common:
            gains[one.branch.name] = sign * statistics.fmean(values[s] - base[s] for s in common)
    kept = sorted(gains, key=lambda n: -gains[n]) if is_last else survivors(gains, eta=known.eta)
    where = f"rung {number} ({part:.0%} of the sample)"
    dropped = [
        Dropped(
            branch=name,
            gain=gains.get(name),
            reason=f"{where}: {gains[name]:+.4f}, not among the best {len(kept)} of {len(gains)}"
            if name in gains
            else f"{where}: no result, its runs failed",
        )
        for name in (one.branch.name for one in left)
        if name not in kept
    ]
    return Rung(
        number=number,
        part=part,
        fraction=project.config.sample.fraction * part,
        gains=gains,
        kept=tuple(kept),
        dropped=tuple(dropped),
    )


def _subject(one: Pinned, contents: Mapping[str, str]) -> Subject:
    tree = one.branch.tree
    return Subject(branch=one.branch.name, tree=tree, content=contents[tree], flags=one.flags)


def _values(records: Sequence[RunRecord], subject: Subject, metric: str) -> dict[int, float]:
    """Return a metric by seed, of the runs of one content that are done; a run is shared by all branches of its content."""
    found = {
        r.run.seed: r.metrics[metric]
        for r in records
        if r.state is RunState.DONE
        and subject.is_of(r.run)
        and dict(r.run.flags) == dict(subject.flags)
        and metric in r.metrics
    }
    return {seed: value for seed, value in found.items() if value - value == 0}

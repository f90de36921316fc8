"""Whether a hypothesis stood before the first run of its branch.

The experiment file in the commit of the earliest recorded run is the registration: a ref keeps that commit for as long as the
run is recorded, whatever becomes of the branch. What counts is what a hypothesis says, not how the file is written: comments,
notes and blanks may change, and a rebase that keeps the hypotheses keeps them registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from branchlab.analysis.claims.hypotheses import same_hypothesis
from branchlab.domain import Branch, Hypothesis, Registration, Run, RunRecord
from branchlab.errors import ConfigError
from branchlab.experiment import Experiment, experiment_name, experiment_path, parse_experiment
from branchlab.lab.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A hypothesis, and whether it stood before the first run; ``original`` is how it stood, where that differs."""

    hypothesis: Hypothesis
    registration: Registration
    original: Hypothesis | None = None


def registered(
    project: Project,
    branches: Sequence[Branch],
    experiments: Mapping[str, Experiment | ConfigError],
    records: Sequence[RunRecord],
    renamed: Mapping[str, Run],
) -> dict[str, tuple[Registered, ...]]:
    """Return the hypotheses of branches, by branch; those that were withdrawn stand last.

    ``renamed`` gives the first run of branches that ran under another name: its file had that name, too.
    """
    first = _first_runs(records)
    places = {}
    for branch in branches:
        run = first.get(branch.name) or first.get(branch.own_name) or renamed.get(branch.name)
        if run is not None:
            own = run.branch if branch.name in renamed else branch.own_name
            name = experiment_name(own, project.config.branches.experiments)
            places[branch.name] = run.checked_out, experiment_path(name)
    tips = {branch.name: branch.tip for branch in branches}
    moved = {
        name: place for name, place in places.items() if place[0] != tips[name] or name in renamed
    }
    texts = project.repository.read_files(moved.values())
    found = {}
    for branch in branches:
        now = _hypotheses(experiments.get(branch.name))
        if branch.name not in places:
            then = None
        elif branch.name not in moved:
            then = now
        else:
            text = texts[moved[branch.name]]
            then = _hypotheses(_parsed(text, branch.name)) if text is not None else ()
        if one := _compared(now, then):
            found[branch.name] = one
    return found


def _first_runs(records: Sequence[RunRecord]) -> dict[str, Run]:
    """Return the earliest run of every branch, from records with the latest planned first."""
    return {record.run.branch: record.run for record in records}


def _parsed(text: str, branch: str) -> Experiment | ConfigError:
    try:
        return parse_experiment(text, where=branch)
    except ConfigError as error:
        return error


def _hypotheses(experiment: Experiment | ConfigError | None) -> tuple[Hypothesis, ...]:
    return experiment.hypotheses if isinstance(experiment, Experiment) else ()


def _compared(
    now: Sequence[Hypothesis], then: Sequence[Hypothesis] | None
) -> tuple[Registered, ...]:
    if then is None:
        return tuple(Registered(hypothesis=h, registration=Registration.NOT_RUN) for h in now)
    before = {one.id: one for one in then}
    found = []
    for one in now:
        original = before.pop(one.id, None)
        is_kept = original is not None and same_hypothesis(one, original)
        found.append(
            Registered(
                hypothesis=one,
                registration=Registration.BEFORE_RUNS if is_kept else Registration.POST_HOC,
                original=None if is_kept else original,
            )
        )
    withdrawn = Registration.WITHDRAWN
    return (*found, *(Registered(hypothesis=h, registration=withdrawn) for h in before.values()))

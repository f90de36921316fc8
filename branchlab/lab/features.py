"""``features``: what branches change in the code, and what each change needs before it may go back to main."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from branchlab.domain import Feature, FeatureVerdict, Landed, Standing
from branchlab.git.memo import Tell, silently
from branchlab.lab.branch_features import features_of_standings
from branchlab.lab.branches import all_branches, experiments_of, find_branches, is_experiment
from branchlab.lab.feature_reading import BranchFeatures
from branchlab.lab.project import Project
from branchlab.lab.survey import survey


def features_of_branches(
    project: Project, names: Sequence[str] = (), *, tell: Tell = silently
) -> list[BranchFeatures]:
    """Return the features of experiment branches since their merge base with main, all of them without names.

    A feature says on which other experiment branches it is too.

    Raises:
        RepositoryError: Main or a named branch is missing.
    """
    refs = project.repository.refs()
    known = all_branches(project, refs)
    experiments = [branch for branch in known if is_experiment(project, branch)]
    wanted = find_branches(project, names, known) if names else experiments
    asked = list({branch.name: branch for branch in [*wanted, *experiments]}.values())
    files = experiments_of(project, asked)
    seen = survey(project, refs, files, asked, tell=tell)
    found = features_seen(project, seen.standings, main=seen.main.name, tell=tell)
    shown = {one.name: one for one in found}
    return [shown[branch.name] for branch in wanted]


def features_seen(
    project: Project, standings: Sequence[Standing], *, main: str, tell: Tell = silently
) -> list[BranchFeatures]:
    """Return the features of branches whose standing is known; each says on which of the others it is too."""
    features = features_of_standings(project, standings, tell=tell)
    found = [
        _branch_features(standing, features.get(standing.branch.name, ()), main)
        for standing in standings
    ]
    return _with_also_on(found)


def _branch_features(standing: Standing, features: Sequence[Feature], main: str) -> BranchFeatures:
    problem = ""
    if standing.main.merge_base is None:
        problem = f"it has no history in common with {main} that is known here"
    found = tuple(features)
    if standing.landed in {Landed.MERGED, Landed.SQUASHED, Landed.REBASED}:
        there = f"is in {main} already ({standing.landed}); before that: "
        found = tuple(
            replace(one, verdict=FeatureVerdict.LANDED, reason=f"{there}{one.reason}")
            for one in found
        )
    return BranchFeatures(
        name=standing.branch.name,
        base=standing.main.merge_base or "",
        head=standing.branch.tip,
        features=found,
        problem=problem,
        is_landed=standing.landed in {Landed.MERGED, Landed.SQUASHED, Landed.REBASED},
    )


def _with_also_on(branches: Sequence[BranchFeatures]) -> list[BranchFeatures]:
    holders: dict[str, list[str]] = defaultdict(list)
    for branch in branches:
        for feature in branch.features:
            if feature.verdict is not FeatureVerdict.INERT:
                holders[feature.id].append(branch.name)
    return [
        replace(
            branch,
            features=tuple(
                replace(
                    one,
                    also_on=tuple(n for n in holders[one.id] if n != branch.name)
                    if one.id in holders
                    else (),
                )
                for one in branch.features
            ),
        )
        for branch in branches
    ]

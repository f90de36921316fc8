"""The features of many branches at once, from where they stand: what is known is taken, the rest is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from branchlab.domain import Feature, FeatureVerdict, Standing
from branchlab.git.memo import Tell, silently
from branchlab.lab.feature_reading import Pair, count_pairs, read_pairs
from branchlab.lab.project import Project


def features_of_standings(
    project: Project, standings: Sequence[Standing], *, tell: Tell = silently
) -> dict[str, tuple[Feature, ...]]:
    """Return the features of each branch since its merge base with main, by name."""
    pairs = _pairs(project, standings)
    found = read_pairs(project.repository.root, pairs, project.memo(), tell)
    return {one.name: one.features for one in found}


def feature_counts(
    project: Project, standings: Sequence[Standing], *, reading_max: int, tell: Tell = silently
) -> dict[str, Mapping[FeatureVerdict, int]]:
    """Return how many features of each branch have which verdict, by name; those not known are left out.

    They are read when they are at most ``reading_max``: all of them, or none.
    """
    pairs = _pairs(project, standings)
    root, memo = project.repository.root, project.memo()
    return count_pairs(root, pairs, memo, tell, reading_max=reading_max)


def _pairs(project: Project, standings: Sequence[Standing]) -> list[Pair]:
    changing = [one for one in standings if one.main.merge_base and one.has_content]
    trees = project.repository.trees_of([one.main.merge_base or "" for one in changing])
    return [
        Pair(
            name=one.branch.name,
            base=base,
            base_tree=trees[base],
            head=one.branch.tip,
            head_tree=one.branch.tree,
        )
        for one in changing
        if (base := one.main.merge_base) and base in trees
    ]

"""``features``: what branches change in the code, and what each change needs before it may go back to main.

Texts come from git's objects, verdicts from ``analysis.features``. A result depends on the two trees and the engine
alone, so it is kept under their ids where a memo is given.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from branchlab.analysis.features.changes import FileChange
from branchlab.analysis.features.engine import ENGINE_VERSION, find_features
from branchlab.analysis.landing import landed
from branchlab.domain import (
    Branch,
    Feature,
    FeatureVerdict,
    Landed,
    MergeBack,
    Standing,
    merge_back_of,
)
from branchlab.errors import RepositoryError
from branchlab.git.sources import (
    ChangedPath,
    Holding,
    TreeSources,
    merge_base,
    read_difference,
    resolve_revision,
)
from branchlab.git.standing import overview
from branchlab.lab.project import Project, find_branches, is_experiment, main_branch

_MEMO_KIND = "features"


class Memo(Protocol):
    """Keeps results that cost something to find again."""

    def get(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is kept under those of ``keys`` that are known."""
        ...

    def put(self, kind: str, items: Mapping[str, bytes]) -> None:
        """Keep ``items`` by key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchFeatures:
    """The features of one branch, or of one pair of revisions.

    Attributes:
        base: Commit that it is compared with; the empty string for a history that has none in common with main.
        problem: Why there is nothing to compare, in one sentence.
    """

    name: str
    base: str
    head: str
    features: tuple[Feature, ...]
    problem: str = ""

    @property
    def merge_back(self) -> MergeBack:
        return merge_back_of(self.features)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Commits and trees of one comparison."""

    name: str
    base: str
    base_tree: str
    head: str
    head_tree: str

    @property
    def key(self) -> str:
        return f"{ENGINE_VERSION}:{self.base_tree}:{self.head_tree}"


def features_between(
    root: Path, base: str, head: str, *, memo: Memo | None = None
) -> BranchFeatures:
    """Return the features that lead from one revision to another, of any repository.

    Raises:
        RepositoryError: A revision does not exist.
    """
    pair = _pair(root, head, base, head)
    return _read_all(root, [pair], [], memo)[0]


def features_of_branches(
    project: Project,
    names: Sequence[str] = (),
    *,
    memo: Memo | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[BranchFeatures]:
    """Return the features of experiment branches against their merge base with main, all of them without names.

    A feature says on which other experiment branches it is too.

    Args:
        project: Where.
        names: Branches, by full name or by the name of their experiment.
        memo: Keeps what was found.
        tell: Is called with the name of each branch before it is read.

    Raises:
        RepositoryError: Main or a named branch is missing.
    """
    root = project.repository.root
    branches = project.repository.branches()
    main = main_branch(project, branches)
    experiments = [one for one in branches if is_experiment(project, one.name)]
    wanted = find_branches(project, names, branches) if names else experiments
    shown = {one.name for one in wanted}
    asked = [*wanted, *(one for one in experiments if one.name not in shown)]
    standings = _standings(project)
    bases = {one.branch.name: one.main.merge_base for one in standings}
    found = _read_all(root, *_pairs(root, main, asked, bases), memo, tell)
    found = _with_landed(found, {one.branch.name: one.landed for one in standings})
    return [one for one in _with_also_on(found) if one.name in shown]


def _standings(project: Project) -> tuple[Standing, ...]:
    """Return where all experiment branches stand: merge bases, and by what road they are in main."""
    known = project.config.branches
    return overview(
        project.repository,
        main=known.main,
        reference=known.reference or None,
        pinned=known.reference_commit or None,
        experiments=known.experiments,
        landed=landed,
    ).standings


def _with_landed(
    branches: Iterable[BranchFeatures], landed_by: Mapping[str, Landed]
) -> list[BranchFeatures]:
    """Give every feature of a branch that is in main the verdict that it is there."""
    found: list[BranchFeatures] = []
    for branch in branches:
        road = landed_by.get(branch.name)
        if road not in {Landed.MERGED, Landed.SQUASHED, Landed.REBASED}:
            found.append(branch)
            continue
        features = tuple(
            replace(
                one,
                verdict=FeatureVerdict.LANDED,
                reason=f"is in main already ({road}); before that: {one.reason}",
            )
            for one in branch.features
        )
        found.append(replace(branch, features=features))
    return found


def _pairs(
    root: Path, main: Branch, branches: Iterable[Branch], bases: Mapping[str, str | None]
) -> tuple[list[_Pair], list[BranchFeatures]]:
    """Return what is to be compared, and the branches of which nothing can be."""
    pairs: list[_Pair] = []
    unrelated: list[BranchFeatures] = []
    trees: dict[str, str] = {}
    for branch in branches:
        start = bases.get(branch.name) or merge_base(root, main.tip, branch.tip)
        if start is None:
            said = f"{branch.name} has no history in common with {main.name}"
            unrelated.append(
                BranchFeatures(
                    name=branch.name, base="", head=branch.tip, features=(), problem=said
                )
            )
            continue
        if start not in trees:
            trees[start] = resolve_revision(root, start)[1]
        pairs.append(
            _Pair(
                name=branch.name,
                base=start,
                base_tree=trees[start],
                head=branch.tip,
                head_tree=branch.tree,
            )
        )
    return pairs, unrelated


def _pair(root: Path, name: str, base: str, head: str) -> _Pair:
    base_commit, base_tree = resolve_revision(root, base)
    head_commit, head_tree = resolve_revision(root, head)
    return _Pair(
        name=name, base=base_commit, base_tree=base_tree, head=head_commit, head_tree=head_tree
    )


def _read_all(
    root: Path,
    pairs: Sequence[_Pair],
    unrelated: Sequence[BranchFeatures],
    memo: Memo | None,
    tell: Callable[[str], None] | None = None,
) -> list[BranchFeatures]:
    kept = memo.get(_MEMO_KIND, [pair.key for pair in pairs]) if memo else {}
    found: list[BranchFeatures] = []
    for pair in pairs:
        features = _decoded(kept[pair.key]) if pair.key in kept else None
        if features is None:
            if tell is not None:
                tell(pair.name)
            features = _features(root, pair)
            if memo is not None:
                memo.put(_MEMO_KIND, {pair.key: _encoded(features)})
        found.append(
            BranchFeatures(name=pair.name, base=pair.base, head=pair.head, features=features)
        )
    return [*found, *unrelated]


def _features(root: Path, pair: _Pair) -> tuple[Feature, ...]:
    if pair.base_tree == pair.head_tree:
        return ()
    changed = read_difference(root, pair.base_tree, pair.head_tree)
    around = TreeSources(
        root,
        pair.base_tree,
        without={one.base.path for one in changed} | {one.head.path for one in changed},
    )
    return find_features([file_change(one) for one in changed], around)


def file_change(one: ChangedPath) -> FileChange:
    """Return a changed path as the features engine takes it."""
    is_added = one.base.holding is Holding.NOTHING
    is_deleted = one.head.holding is Holding.NOTHING
    sides = [side for side in (one.base, one.head) if side.holding is not Holding.NOTHING]
    is_text = all(side.holding is Holding.TEXT for side in sides)
    odd = next((side.holding for side in reversed(sides) if side.holding is not Holding.TEXT), None)
    return FileChange(
        base_path=one.base.path,
        head_path=one.head.path,
        base=one.base.text,
        head=one.head.text,
        is_added=is_added,
        is_deleted=is_deleted,
        what="text" if is_text else str(odd),
    )


def _encoded(features: Sequence[Feature]) -> bytes:
    return json.dumps([asdict(one) for one in features]).encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> tuple[Feature, ...] | None:
    """Return what was kept; None when it is not what this version writes."""
    try:
        rows = json.loads(content.decode("utf-8", "surrogatepass"))
        return tuple(
            Feature(
                **{
                    **row,
                    "verdict": FeatureVerdict(row["verdict"]),
                    "warnings": tuple(row["warnings"]),
                    "also_on": (),
                }
            )
            for row in rows
        )
    except (ValueError, TypeError, KeyError):
        return None


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


def check_revisions(base: str | None, head: str | None) -> tuple[str, str] | None:
    """Return both revisions, or None without any.

    Raises:
        RepositoryError: Only one of them was given.
    """
    if base and head:
        return base, head
    if base or head:
        missing = "--head" if base else "--base"
        raise RepositoryError(
            f"{missing} is missing: two revisions are compared",
            hint="branchlab features --base REV --head REV",
        )
    return None

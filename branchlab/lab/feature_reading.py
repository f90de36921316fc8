"""The features between two trees: texts from git's objects, verdicts from ``analysis.features``, kept by the ids of both.

A result depends on the two trees and the engine alone, so it holds for ever.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from branchlab.analysis.features import ENGINE_VERSION
from branchlab.domain import Feature, FeatureVerdict, MergeBack, merge_back_of
from branchlab.errors import RepositoryError
from branchlab.git.memo import Forgetful, Memo, Tell, silently
from branchlab.git.sources import (
    ChangedPath,
    Holding,
    TreeSources,
    read_difference,
    resolve_revision,
)

if TYPE_CHECKING:
    from branchlab.analysis.features.changes import FileChange

_MEMO_KIND, _COUNTS_KIND = "features", "feature-counts"


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
    is_landed: bool = False

    @property
    def merge_back(self) -> MergeBack:
        return (
            MergeBack.LANDED if self.is_landed else merge_back_of(f.verdict for f in self.features)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Commits and trees of one comparison."""

    name: str
    base: str
    base_tree: str
    head: str
    head_tree: str

    @property
    def key(self) -> str:
        return f"{ENGINE_VERSION}:{self.base_tree}:{self.head_tree}"


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


def features_between(
    root: Path, base: str, head: str, *, memo: Memo | None = None
) -> BranchFeatures:
    """Return the features that lead from one revision to another, of any repository.

    Raises:
        RepositoryError: A revision does not exist.
    """
    pair = _pair(root, head, base, head)
    return read_pairs(root, [pair], Forgetful() if memo is None else memo)[0]


def _pair(root: Path, name: str, base: str, head: str) -> Pair:
    base_commit, base_tree = resolve_revision(root, base)
    head_commit, head_tree = resolve_revision(root, head)
    return Pair(
        name=name, base=base_commit, base_tree=base_tree, head=head_commit, head_tree=head_tree
    )


def read_pairs(
    root: Path,
    pairs: Sequence[Pair],
    memo: Memo,
    tell: Tell = silently,
) -> list[BranchFeatures]:
    """Return the features of each pair, from what is kept or else by reading."""
    kept = memo.get(_MEMO_KIND, [pair.key for pair in pairs])
    known = {key: features for key, one in kept.items() if (features := _decoded(one)) is not None}
    to_read = [pair for pair in pairs if pair.key not in known]
    for number, pair in enumerate(to_read):
        tell("reading code", number, len(to_read))
        known[pair.key] = _features(root, pair)
        counts = Counter(str(feature.verdict) for feature in known[pair.key])
        memo.put(_MEMO_KIND, {pair.key: _encoded(known[pair.key])})
        memo.put(_COUNTS_KIND, {pair.key: json.dumps(counts).encode()})
    return [
        BranchFeatures(name=pair.name, base=pair.base, head=pair.head, features=known[pair.key])
        for pair in pairs
    ]


def count_pairs(
    root: Path,
    pairs: Sequence[Pair],
    memo: Memo,
    tell: Tell = silently,
    *,
    reading_max: int,
) -> dict[str, Mapping[FeatureVerdict, int]]:
    """Return, by name, how many features of each pair have which verdict; those that are not known are left out.

    They are read when they are at most ``reading_max``: all of them, or none.
    """
    kept = memo.get(_COUNTS_KIND, [pair.key for pair in pairs])
    found = {
        pair.name: counts
        for pair in pairs
        if pair.key in kept and (counts := _counted(kept[pair.key])) is not None
    }
    unknown = [pair for pair in pairs if pair.name not in found]
    if 0 < len(unknown) <= reading_max:
        for one in read_pairs(root, unknown, memo, tell):
            found[one.name] = Counter(feature.verdict for feature in one.features)
    return found


def _counted(content: bytes) -> Mapping[FeatureVerdict, int] | None:
    """Return what was kept; None when it is not what this version writes."""
    try:
        return {FeatureVerdict(name): int(num) for name, num in json.loads(content).items()}
    except (ValueError, TypeError, AttributeError):
        return None


def _features(root: Path, pair: Pair) -> tuple[Feature, ...]:
    # Its thirty modules take a tenth of a second to import, and are needed only where nothing is kept.
    from branchlab.analysis.features.engine import find_features

    if pair.base_tree == pair.head_tree:
        return ()
    changed = read_difference(root, pair.base_tree, pair.head_tree)
    around = TreeSources(
        root,
        pair.base_tree,
        without={one.base.path for one in changed} | {one.head.path for one in changed},
    )
    with _without_collector():
        return find_features([file_change(one) for one in changed], around)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Leave Python's search for cycles out: trees of nodes have none, are millions, and were a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def file_change(one: ChangedPath) -> FileChange:
    """Return a changed path as the features engine takes it."""
    from branchlab.analysis.features.changes import FileChange

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

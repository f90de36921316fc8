"""What a branch changes in the code, and what that needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class FeatureVerdict(StrEnum):
    """What a feature needs before it may go back to main, the most demanding first."""

    BROKEN = "broken"
    UNPARSED = "unparsed"
    BREAKING = "breaking"
    UNGUARDED = "unguarded"
    DEFAULT_CHANGED = "default-changed"
    DEFAULT_ON = "default-on"
    UNDECIDED = "undecided"
    GUARDED = "guarded"
    ADDITIVE = "additive"
    LANDED = "landed"
    INERT = "inert"

    @property
    def rank(self) -> int:
        """Place in the order of demand; 0 demands most."""
        return list(FeatureVerdict).index(self)

    @property
    def merge_back(self) -> MergeBack:
        """What a branch whose most demanding feature has this verdict needs."""
        return _MERGE_BACK[self]


class MergeBack(StrEnum):
    """What a branch needs before it is merged back."""

    BREAKS_BASE = "breaks-base"
    NEEDS_FLAG = "needs-flag"
    DEFAULT_ON = "default-on"
    NEEDS_PARITY = "needs-parity"
    READY = "ready"
    ADDITIVE = "additive"
    NOTHING = "nothing"
    LANDED = "landed"


_MERGE_BACK = {
    FeatureVerdict.BROKEN: MergeBack.BREAKS_BASE,
    FeatureVerdict.UNPARSED: MergeBack.BREAKS_BASE,
    FeatureVerdict.BREAKING: MergeBack.BREAKS_BASE,
    FeatureVerdict.UNGUARDED: MergeBack.NEEDS_FLAG,
    FeatureVerdict.DEFAULT_CHANGED: MergeBack.NEEDS_FLAG,
    FeatureVerdict.DEFAULT_ON: MergeBack.DEFAULT_ON,
    FeatureVerdict.UNDECIDED: MergeBack.NEEDS_PARITY,
    FeatureVerdict.GUARDED: MergeBack.READY,
    FeatureVerdict.ADDITIVE: MergeBack.ADDITIVE,
    FeatureVerdict.LANDED: MergeBack.LANDED,
    FeatureVerdict.INERT: MergeBack.NOTHING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One coherent change to the code, with what it needs before it may go back to main.

    Attributes:
        id: Digest of the change itself: the same change on two branches has the same id.
        kind: What changed: ``flag``, ``body``, ``signature``, ``option``, ``config``, ``class``, ``file`` …
        symbol: Qualified name of what changed first; the empty string for a whole file.
        path: Where it stands in head (in base where it is gone). ``line`` is 1-based, 0 for a whole file.
        flag: The new flag that reaches it; None without one. ``default`` is its default as source text.
        reason: One sentence that names what decided.
        warnings: What the verdict does not say and a run may show, in sentences.
        also_on: Other branches that bring the same feature.
    """

    id: str
    verdict: FeatureVerdict
    kind: str
    symbol: str
    path: str
    line: int
    flag: str | None
    default: str | None
    reason: str
    warnings: tuple[str, ...] = ()
    also_on: tuple[str, ...] = ()


def merge_back_of(verdicts: Iterable[FeatureVerdict]) -> MergeBack:
    """Return what the most demanding feature needs; without features there is nothing to merge back."""
    most = min(verdicts, key=lambda verdict: verdict.rank, default=FeatureVerdict.INERT)
    return most.merge_back

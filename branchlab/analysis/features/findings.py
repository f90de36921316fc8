"""What the comparison of one symbol, file or key found; features are joined from these."""

from __future__ import annotations

from dataclasses import dataclass, field

from branchlab.analysis.features.trees import NO_FLAGS
from branchlab.domain import FeatureVerdict


@dataclass(slots=True, kw_only=True)
class Finding:
    """One thing that differs.

    Attributes:
        flags: New flags that reach it. ``names``: new symbols that it mentions.
        reason: A sentence without a full stop.
        text: What changed, normalised: equal for the same change on two branches.
    """

    verdict: FeatureVerdict
    kind: str
    symbol: str
    path: str
    line: int
    reason: str
    flags: frozenset[str] = NO_FLAGS
    names: frozenset[str] = NO_FLAGS
    warnings: tuple[str, ...] = field(default_factory=tuple)
    text: str = ""

"""What a change of the code needs, as a mark and a word."""

from __future__ import annotations

from branchlab.domain import FeatureVerdict
from branchlab.tui.looks import Look, Piece

_MARKS = {
    FeatureVerdict.BROKEN: ("✗", Look.BAD),
    FeatureVerdict.UNPARSED: ("✗", Look.BAD),
    FeatureVerdict.BREAKING: ("✗", Look.BAD),
    FeatureVerdict.UNGUARDED: ("▲", Look.BAD),
    FeatureVerdict.DEFAULT_CHANGED: ("▲", Look.WARN),
    FeatureVerdict.DEFAULT_ON: ("▲", Look.WARN),
    FeatureVerdict.UNDECIDED: ("?", Look.WARN),
    FeatureVerdict.GUARDED: ("✓", Look.GOOD),
    FeatureVerdict.ADDITIVE: ("✓", Look.GOOD),
    FeatureVerdict.LANDED: ("◆", Look.DIM),
    FeatureVerdict.INERT: ("○", Look.DIM),
}


def feature_piece(verdict: FeatureVerdict) -> Piece:
    """Return a verdict on a change."""
    mark, look = _MARKS[verdict]
    return f"{mark} {verdict}", look

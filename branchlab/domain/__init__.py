"""The nouns of branchlab as frozen values; no behaviour beyond what follows from their own fields.

Every room speaks in these. They know nothing of git, SQLite, torch or a screen, so that each can be built by hand in
a test. Times are aware UTC; units and bounds stand last in a name.
"""

from branchlab.domain.branches import (
    Branch,
    CheckedOut,
    Counterpart,
    Departure,
    Drift,
    Landed,
    Landing,
    LandingEvidence,
    Overview,
    Pin,
    ReferenceState,
    Standing,
    Trace,
)
from branchlab.domain.features import Feature, FeatureVerdict, MergeBack, merge_back_of
from branchlab.domain.parity import (
    PARITY_STEPS,
    Divergence,
    Note,
    Noted,
    Parity,
    ParityCheck,
    ParityStatus,
    Recording,
)
from branchlab.domain.runs import (
    Flags,
    Goal,
    Origin,
    Run,
    RunRecord,
    RunState,
    Sample,
    Scale,
    WorkTree,
)
from branchlab.domain.verdicts import Action, Freshness, Outcome, Recommendation, Verdict

__all__ = [
    "PARITY_STEPS",
    "Action",
    "Branch",
    "CheckedOut",
    "Counterpart",
    "Departure",
    "Divergence",
    "Drift",
    "Feature",
    "FeatureVerdict",
    "Flags",
    "Freshness",
    "Goal",
    "Landed",
    "Landing",
    "LandingEvidence",
    "MergeBack",
    "Note",
    "Noted",
    "Origin",
    "Outcome",
    "Overview",
    "Parity",
    "ParityCheck",
    "ParityStatus",
    "Pin",
    "Recommendation",
    "Recording",
    "ReferenceState",
    "Run",
    "RunRecord",
    "RunState",
    "Sample",
    "Scale",
    "Standing",
    "Trace",
    "Verdict",
    "WorkTree",
    "merge_back_of",
]

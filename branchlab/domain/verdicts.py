"""What results say of a branch, and what to do with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from branchlab.domain.runs import Scale


class Outcome(StrEnum):
    """What a comparison says of a branch against main."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no-difference"
    UNDECIDED = "undecided"


class Freshness(StrEnum):
    """Whether a branch's results still speak of its tip and of today's main."""

    CURRENT = "current"
    BRANCH_MOVED = "branch-moved"
    MAIN_MOVED = "main-moved"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the seeds say of a branch against another.

    Attributes:
        difference: Mean over seeds of (branch - other), in the metric's own unit; None without common seeds.
        interval: Confidence interval of the difference. On one seed it supposes that the branch is as noisy as the others,
            and is provisional; None where nothing is known of the noise.
        p: Two-sided p value, adjusted for the comparisons (Holm) and the looks; None below two common seeds.
        p_better: Probability that the true difference favours the branch, under the model; printed, never decides.
        seeds_needed: Seeds that would show the difference that matters (``[run] min_effect``) with power 0.8; None when decided.
        sentence: All of it in words.
        is_interim: Whether declared runs are still to come.
        num_declared: Pairs of runs that were declared; 0 where that is not known.
        looks: Declarations so far: seeds that were added are another look.
        is_share: Whether the metric is a share, whose differences are said in points.
    """

    branch: str
    outcome: Outcome
    difference: float | None
    interval: tuple[float, float] | None
    confidence: float
    seeds: int
    p_better: float | None
    seeds_needed: int | None
    scale: Scale
    sentence: str
    is_interim: bool = False
    num_declared: int = 0
    looks: int = 1
    is_share: bool = False
    p: float | None = None


class Action(StrEnum):
    """What to do with a branch, the most urgent first."""

    MERGE_NOW = "merge-now"
    FLIP_DEFAULT = "flip-default"
    GUARD_FIRST = "guard-first"
    PROVE_FIRST = "prove-first"
    KEEP = "keep-experimenting"
    DROP = "drop"
    NOTHING = "nothing"

    @property
    def is_waiting(self) -> bool:
        """Whether the branch did well and waits for somebody to bring it back."""
        return self in {
            Action.MERGE_NOW,
            Action.FLIP_DEFAULT,
            Action.GUARD_FIRST,
            Action.PROVE_FIRST,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to do with a branch, and why, in one sentence."""

    action: Action
    reason: str

"""The nouns of branchlab as frozen values; no behaviour beyond what follows from their own fields.

Every room speaks in these. They know nothing of git, SQLite, torch or a screen, so that each can be built by hand in
a test. Times are aware UTC; units and bounds stand last in a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

Flags = Mapping[str, "bool | int | float | str"]
"""Keyword arguments of a task, by name."""


class RunState(StrEnum):
    """Where one training is in its life."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        """Whether no process works on the run any more."""
        return self in {RunState.DONE, RunState.FAILED, RunState.CANCELLED, RunState.LOST}


class Scale(StrEnum):
    """How much of the training set a run sees; results of two scales are never compared."""

    SAMPLE = "sample"
    FULL = "full"


class Goal(StrEnum):
    """Whether a larger or a smaller metric is better."""

    MAX = "max"
    MIN = "min"


class Outcome(StrEnum):
    """What a comparison says of a branch against main."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no-difference"
    UNDECIDED = "undecided"


class Landed(StrEnum):
    """Whether, and by which road, a branch's content is in main."""

    NO = "no"
    MERGED = "merged"
    SQUASHED = "squashed"
    REBASED = "rebased"
    PARTLY = "partly"
    REVERTED = "reverted"
    UNKNOWN = "unknown"

    @property
    def is_settled(self) -> bool:
        """Whether a merge into main has nothing more to bring, or was taken back: no forecast is of interest."""
        return self not in {Landed.NO, Landed.PARTLY, Landed.UNKNOWN}


class Freshness(StrEnum):
    """Whether a branch's results still speak of its tip and of today's main."""

    CURRENT = "current"
    BRANCH_MOVED = "branch-moved"
    MAIN_MOVED = "main-moved"
    NONE = "none"


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
class Branch:
    """A branch as git lists it.

    Attributes:
        name: ``exp/se``; one that lives only on a remote is called with it, ``origin/exp/se``.
        tip: Full object id, as is ``tree``.
        remote: The remote that it lives on; empty for a local branch.
        upstream: The remote-tracking branch that git compares a local one with, ``origin/exp/se``; mostly empty.
        base: Where ``new-exp`` started it; empty when that is not recorded.
        is_gone: It was deleted; the tip is what is still known of it.
    """

    name: str
    tip: str
    tree: str
    last_commit_at: datetime
    subject: str = ""
    remote: str = ""
    upstream: str = ""
    base: str = ""
    is_gone: bool = False

    @property
    def own_name(self) -> str:
        """The name without the remote: what patterns of experiments are about."""
        return self.name.removeprefix(f"{self.remote}/") if self.remote else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A tip against another branch: commits that only the tip has, and that only the other has.

    ``merge_base`` is None for unrelated histories; ``ahead`` and ``behind`` are None where git cannot know them (a
    shallow clone).
    """

    merge_base: str | None
    ahead: int | None
    behind: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What main's history shows of one change: the places of its first-parent chain at which it was made and undone.

    ``num_commits`` is how many of the branch's commits the change consists of.
    """

    num_commits: int
    made: tuple[int, ...] = ()
    undone: tuple[int, ...] = ()

    @property
    def is_in_main(self) -> bool:
        """Whether it was made, and not undone since."""
        return max(self.made, default=-1) > max(self.undone, default=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LandingEvidence:
    """What is known of a branch's content in main; the rule over it is ``analysis.landing``.

    Attributes:
        num_own: Commits that main has not; None where git cannot know.
        num_brought: Commits that main has by ancestry and that were once the branch's own.
        commits: A trace for each commit of the branch that changes something, oldest first; merges are left out.
        squashes: Traces of the branch's whole patch (the last one) and of its beginnings, as one change each.
        is_same_author_date: Whether main's version of a branch's only commit carries its author date, as a rebase or
            a cherry-pick keeps it and a squash does not.
        is_without_effect: Whether merging it would leave main's files as they are.
    """

    num_own: int | None
    num_brought: int = 0
    commits: tuple[Trace, ...] = ()
    squashes: tuple[Trace, ...] = ()
    is_same_author_date: bool = False
    is_without_effect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """By which road a branch is in main, and how many of its commits are."""

    road: Landed
    num_commits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """The remote-tracking branch of a local one: its name, and how far the two are apart; None where it is gone."""

    name: str
    ahead: int | None
    behind: int | None

    @property
    def is_gone(self) -> bool:
        return self.ahead is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedOut:
    """A work tree of the user's on a branch, and what is going on in it: ``rebase``, ``merge`` and so on, or nothing."""

    path: Path
    operation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one experiment branch stands in the commit graph.

    Attributes:
        base_branch: The experiment that it is stacked on, else main.
        num_own: Commits that its base branch has not; None where git cannot know.
        is_base_moved: The base branch was rewritten or went on since this one left it.
        num_merge_bases: More than one after a criss-cross merge, 0 for an unrelated history.
        has_content: Whether it changes any file since its merge base; None where git cannot know.
        conflicts: Files that a merge into main would leave in conflict; empty when clean; None when unknown.
        results_behind: Commits of the tip that its latest results have not seen; None where they are not in its history.
    """

    branch: Branch
    main: Drift
    reference: Drift | None
    base_branch: str
    landed: Landed
    landed_commits: int
    conflicts: tuple[str, ...] | None
    num_own: int | None = None
    is_base_moved: bool = False
    num_merge_bases: int | None = None
    merge_base_at: datetime | None = None
    has_content: bool | None = None
    counterpart: Counterpart | None = None
    checked_out: tuple[CheckedOut, ...] = ()
    results_behind: int | None = None


class Pin(StrEnum):
    """What has become of the pinned reference."""

    INTACT = "intact"
    ADVANCED = "advanced"
    REWOUND = "rewound"
    REPLACED = "replaced"
    DELETED = "deleted"
    UNPINNED = "unpinned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """What main has changed since the reference, in files and lines."""

    num_files: int
    num_insertions: int
    num_deletions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceState:
    """The frozen branch: where it is and where it was pinned.

    ``remote`` names the remote that it was found on where there is no local branch. A deleted one stands at its pin.
    """

    name: str
    tip: str
    pinned: str | None
    main_ahead: int | None
    main_behind: int | None
    pin: Pin = Pin.INTACT
    remote: str = ""
    departure: Departure | None = None

    @property
    def is_moved(self) -> bool:
        """Whether the branch no longer points at the commit that ``init`` pinned."""
        return self.pinned is not None and self.pinned != self.tip


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The whole repository at one moment: main, the reference, every experiment branch."""

    main: Branch
    reference: ReferenceState | None
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Which part of the training set a run sees. ``fraction`` is in (0, 1]; ``seed`` draws it."""

    fraction: float
    strategy: str = "stratified"
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training as planned: everything that decides its result, and where it shall happen.

    Attributes:
        id: Folder name, unique in the repository.
        key: Digest of all that decides the result; two runs of one key are the same experiment.
        branch: The branch it was planned for (a run belongs to its tree, this is a label).
        task: ``module:Class`` of the task, imported from the work tree.
        flags: What the experiment switches on. ``arguments``: what the config gives to every branch.
        epochs: Overrides the recipe's own number of epochs when not None.
        environment: Versions and kind of device that results depend on.
        threads: Threads of computation on a CPU; kept over a resume so that it is exact.
        batch: Name of the batch of runs that planned it.
    """

    id: str
    key: str
    branch: str
    commit: str
    tree: str
    task: str
    seed: int
    scale: Scale
    sample: Sample
    flags: Flags = field(default_factory=dict)
    arguments: Flags = field(default_factory=dict)
    epochs: int | None = None
    deterministic: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    batch: str = ""
    planned_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run and what is known of it so far.

    Attributes:
        metrics: Final values by name once done, the latest epoch's values before.
        epoch: Epochs finished. ``epochs`` is the number planned (0 until the run has started).
        reason: One line that says why it failed, was cancelled or lost.
    """

    run: Run
    state: RunState
    metrics: Mapping[str, float] = field(default_factory=dict)
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    images_per_s: float | None = None
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the seeds say of a branch against another.

    Attributes:
        difference: Mean over seeds of (branch - other), in the metric's own unit; None without common seeds.
        interval: Confidence interval of the difference; None below two seeds.
        p_better: Probability that the true difference favours the branch, under the model; printed, never decides.
        seeds_needed: Seeds that would decide a difference of the observed size with power 0.8; None when decided.
        sentence: All of it in words.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTree:
    """A checked-out commit that a run trains from."""

    path: Path
    commit: str


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


def merge_back_of(verdicts: Iterable[FeatureVerdict]) -> MergeBack:
    """Return what the most demanding feature needs; without features there is nothing to merge back."""
    most = min(verdicts, key=lambda verdict: verdict.rank, default=FeatureVerdict.INERT)
    return most.merge_back

"""Where branches are: in the commit graph, in main, on remotes, in work trees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path


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

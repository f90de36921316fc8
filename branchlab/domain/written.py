"""What people write down about experiments, and what experiments tell about each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Relation(StrEnum):
    """What one experiment tells of another."""

    BUILDS_ON = "builds-on"
    RELATES = "relates"
    CONTRADICTS = "contradicts"


class Fate(StrEnum):
    """What has become of an experiment."""

    OPEN = "open"
    LANDED = "landed"
    DROPPED = "dropped"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenNote:
    """One entry of the written track, as ``branchlab note`` appends it to an experiment's file.

    Attributes:
        at: When; None where somebody wrote it by hand without a time.
        relations: (relation, the other experiment by its name or its branch's), in the order written.
        drops: Whether the idea was given up with it (True), taken up again (False), or neither (None).
    """

    at: datetime | None
    text: str
    relations: tuple[tuple[Relation, str], ...] = ()
    drops: bool | None = None


def dropped(notes: tuple[WrittenNote, ...]) -> WrittenNote | None:
    """Return the note with which an idea was given up; None while it is open."""
    last = next((note for note in reversed(notes) if note.drops is not None), None)
    return last if last is not None and last.drops else None

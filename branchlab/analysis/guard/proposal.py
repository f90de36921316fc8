"""The values of a guard: what was asked, what came out, and what was refused with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from branchlab.domain import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A feature that is left as it is. ``by_hand`` says what to edit instead: file, function, parameter."""

    feature: Feature
    reason: str
    by_hand: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What the branch's files become.

    Attributes:
        flag: The new flag; the empty string where nothing is guarded.
        switched_on: Flags that the experiment has to set, so that it goes on with its change.
        files: New text by path; only those that differ.
        guarded: The features that the flag now holds.
    """

    flag: str
    switched_on: tuple[str, ...] = ()
    files: Mapping[str, str]
    guarded: tuple[Feature, ...]
    refused: tuple[Refusal, ...]


class CannotGuardError(Exception):
    """Raised inside this room alone where a change cannot be guarded soundly; becomes a ``Refusal``."""

    def __init__(self, reason: str, *, by_hand: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.by_hand = by_hand

"""The representative sample: what was drawn, what a run is told of it, and what was found when it was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from branchlab.domain.runs import Sample

Figures = Mapping[str, "int | float | str | bool | list[int] | list[str] | None"]
"""What a check rests on, by name."""


class Strata(StrEnum):
    """What a draw keeps the shares of."""

    CLASSES = "classes"
    LABELS = "labels"
    MASKS = "masks"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was drawn from a training set.

    Attributes:
        num: Examples drawn. ``of``: examples of the training set.
        digest: Of the ids, sorted. ``targets``: of what the draw saw of their targets.
        ids: Where a strategy of the project's own has drawn, the ids themselves; runs draw all others anew.
    """

    sample: Sample
    num: int
    of: int
    digest: str
    targets: str = ""
    ids: tuple[int, ...] = ()

    @property
    def data(self) -> str:
        """What a run that trains on it records as its data."""
        return f"{self.digest}:{self.targets}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCheck:
    """One thing that was looked at, in a sentence.

    Attributes:
        is_ok: None where it could not be looked at.
    """

    name: str
    is_ok: bool | None
    sentence: str
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The sample of the whole repository, drawn on main; every branch's runs are held against it.

    Attributes:
        drawn: With all its ids.
        strata: What the draw kept the shares of. ``num_groups``: of groups in it, 0 where there are none.
        epochs: Of main's recipe, as ``batch_size`` is.
        commit: Main's, whose code gave the data. ``content``: of its tree, without the descriptions of experiments.
        notes: What else the draw has to say, in sentences.
    """

    drawn: Drawn
    strata: Strata
    commit: str
    content: str
    made_at: datetime
    epochs: int
    batch_size: int
    num_groups: int = 0
    notes: tuple[str, ...] = ()
    checks: tuple[SampleCheck, ...] = ()


def is_other_data(one: str, other: str) -> bool:
    """Whether two runs are known to have trained on different examples, by their ``data``.

    Runs of earlier versions recorded no digest of targets: then the ids alone speak.
    """
    if not one or not other:
        return False
    (ids, _, targets), (other_ids, _, other_targets) = one.partition(":"), other.partition(":")
    return ids != other_ids or bool(targets and other_targets and targets != other_targets)

"""What a claim says, as values: an estimand, a relation, what it is held against, and a margin.

Printed, a claim reads back as the same claim; two that are written differently and say the same are equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from branchlab.domain import Goal

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\/@:-]*")
"""A name that needs no quotes. A dash belongs to it, so that a margin needs blanks: ``main - 1pt``."""
MAIN, REFERENCE = "main", "reference"
_FALLING = re.compile(r"loss|err(or)?s?\b|perplexity|_ms\b|seconds|fpr|fnr|ece\b|brier")

_NEITHER = re.compile(r"train/(lr|grad_norm|weight_norm)(\[.*)?")
"""What the trainer tells of itself: a large norm is no better than a small one."""


class Point(StrEnum):
    """At which point of a training an estimand is taken."""

    LAST = "last"
    BEST = "best"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"
    EPOCH = "epoch"
    EPOCH_TO = "epoch_to"


class Relation(StrEnum):
    """How an estimand is held against something."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="

    @property
    def is_upward(self) -> bool:
        """Whether the larger value is claimed."""
        return self in {Relation.ABOVE, Relation.AT_LEAST}

    @property
    def is_strict(self) -> bool:
        """Whether equal values refute it."""
        return self in {Relation.ABOVE, Relation.BELOW}


class Unit(StrEnum):
    """What an amount is counted in: the metric's own unit, hundredths of a share, percent of what it is held against."""

    OWN = ""
    POINTS = "pt"
    PERCENT = "%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number with its unit."""

    number: float
    unit: Unit = Unit.OWN

    @property
    def value(self) -> float:
        """The number in the metric's own unit; 0 for percent, which is taken of what it is held against."""
        if self.unit is Unit.PERCENT:
            return 0.0
        return self.number / 100 if self.unit is Unit.POINTS else self.number

    @property
    def percent(self) -> float:
        """The number where it counts percent, 0 otherwise."""
        return self.number if self.unit is Unit.PERCENT else 0.0

    def __str__(self) -> str:
        return f"{_number(self.number)}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimand:
    """What is measured of a run.

    Attributes:
        part: Part of the validation set, a class for instance; empty for all of it.
        number: The epoch of ``EPOCH``, or the level of ``EPOCH_TO``.
        relation: On which side of its level ``EPOCH_TO`` is; None as the metric has it.
    """

    metric: str
    part: str = ""
    point: Point = Point.LAST
    number: float = 0.0
    relation: Relation | None = None

    @property
    def name(self) -> str:
        """The metric as runs record it: of a part under its own name."""
        return f"{self.metric}[{self.part}]" if self.part else self.metric

    def __str__(self) -> str:
        head = _quoted_unless_plain(self.metric)
        if self.part:
            is_taken = self.part in set(Point) or self.part.startswith(("epoch=", '"'))
            head += f'["{self.part}"]' if is_taken else f"[{self.part}]"
        match self.point:
            case Point.LAST:
                return head
            case Point.EPOCH:
                return f"{head}[epoch={int(self.number)}]"
            case Point.EPOCH_TO:
                side = f"{self.relation} " if self.relation is not None else ""
                return f"epoch_to({side}{_number(self.number)}) {head}"
            case _:
                return f"{head}[{self.point}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a claim is held against, by name: another branch, or (where it ``may_be_metric``) another metric of the same runs."""

    name: str
    may_be_metric: bool = True

    def __str__(self) -> str:
        return _quoted_unless_plain(self.name) if self.may_be_metric else f'"{self.name}"'


Target = Named | Estimand | Amount
"""Another branch; another estimand of the same runs; a constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``val/accuracy[shirt] > main + 1pt``."""

    estimand: Estimand
    relation: Relation
    target: Target
    margin: Amount = Amount(number=0.0)

    def __str__(self) -> str:
        text = f"{self.estimand} {self.relation} {self.target}"
        if not self.margin.number:
            return text
        sign = "-" if self.margin.number < 0 else "+"
        size = Amount(number=abs(self.margin.number), unit=self.margin.unit)
        return f"{text} {sign} {size}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """``train/step_ms within 5% of main``."""

    estimand: Estimand
    within: Amount
    target: Target

    def __str__(self) -> str:
        return f"{self.estimand} within {self.within} of {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """``attn_entropy decreases``: the slope over the epochs of a training."""

    estimand: Estimand
    is_rising: bool

    def __str__(self) -> str:
        return f"{self.estimand} {'increases' if self.is_rising else 'decreases'}"


Claim = Comparison | Equivalence | Trend


def estimands_of(claim: Claim) -> tuple[Estimand, ...]:
    """Return what has to be recorded for a claim; a name that may be a branch is left out."""
    if isinstance(claim, Trend) or not isinstance(claim.target, Estimand):
        return (claim.estimand,)
    return (claim.estimand, claim.target)


def shifts_of(claim: Claim) -> tuple[float, ...]:
    """Return by how many percent the other side has to be moved to judge a claim; 0 is always among them."""
    match claim:
        case Comparison():
            return tuple(dict.fromkeys((0.0, claim.margin.percent)))
        case Equivalence():
            reach = claim.within.percent
            return tuple(dict.fromkeys((0.0, -reach, reach)))
        case Trend():
            return (0.0,)


def is_rising_better(metric: str, *, metric_of_run: str, goal: Goal) -> bool:
    """Whether a larger value of a metric is the better one: as the config says of its own metric, else by the name.

    Losses, errors and times are better when they are small; everything else when it is large.
    """
    if metric == metric_of_run:
        return goal is Goal.MAX
    return _FALLING.search(metric.lower()) is None


def has_better_side(metric: str, *, metric_of_run: str) -> bool:
    """Whether one value of a metric can be better than another; the project's own always can."""
    return metric == metric_of_run or _NEITHER.fullmatch(metric) is None


def first_epoch(
    values: Sequence[tuple[int, float]], level: float, *, is_upward: bool
) -> int | None:
    """Return the first epoch at which a curve reaches a level; None when it never does."""
    return next(
        (epoch for epoch, v in values if (v >= level if is_upward else v <= level)),
        None,
    )


def _quoted_unless_plain(name: str) -> str:
    is_plain = PLAIN_NAME.fullmatch(name) and name not in {"True", "False", "None", "epoch_to"}
    return name if is_plain else f'"{name}"'


def _number(value: float) -> str:
    text = repr(value)
    return text.removesuffix(".0")

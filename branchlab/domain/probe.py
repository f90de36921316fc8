"""What one batch showed on its way through a task and its model: every stage as numbers, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class StageKind(StrEnum):
    """The part of a step that a stage belongs to, in causal order."""

    STORED = "stored"
    PREPARED = "prepared"
    AUGMENTED = "augmented"
    ENTERS = "enters"
    MODULE = "module"
    OUTPUTS = "outputs"
    LOSS = "loss"
    GRADIENT = "gradient"
    UPDATE = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One tensor in numbers.

    Attributes:
        name: Its place in the value that it was found in: "" for a tensor by itself, ``0``, ``image``, ``0.boxes``.
        layout: ``contiguous``, ``channels_last``, ``expanded`` (one value seen many times) or ``strided``.
        low, high, mean, std: Of its finite values; None without any.
        zeros: Share of exact zeros. ``nan``, ``inf``: how many.
        distinct: Number of different values where all of them are whole numbers and there are few; else None.
        edges: Share of values at the lowest and at the highest one.
        channels: (mean, std) of each channel of a batch of images; empty for anything else.
        prints: Some of its values, evenly spread, by which two tensors are told apart.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    layout: str
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    zeros: float = 0.0
    nan: int = 0
    inf: int = 0
    distinct: int | None = None
    edges: tuple[float, float] = (0.0, 0.0)
    channels: tuple[tuple[float, float], ...] = ()
    prints: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One station of the batch.

    Attributes:
        name: Module, parameter or method.
        type: Class of the module.
        place: Line of the project that built the module, or where the method stands; "" where that is not known.
        call: How many times the module was called before in this step.
        inputs, outputs: What went in and what came out.
        measures: Further numbers by name: ``time_us``, ``dead`` (share of channels that are zero everywhere) …
    """

    kind: StageKind
    name: str = ""
    type: str = ""
    place: str = ""
    call: int = 0
    inputs: tuple[Seen, ...] = ()
    outputs: tuple[Seen, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An operation that looked suspicious while it ran: what it is, where in the project it stands, and what was seen."""

    what: str
    place: str
    scope: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """All that was seen.

    Attributes:
        facts: Branch, step, mode, device, batch size, number of parameters and so on.
        checks: What further looks at the live objects gave, by name.
        failure: Why the step could not be taken to its end; "" when it was.
    """

    facts: Mapping[str, Any]
    stages: tuple[Stage, ...]
    calls: tuple[Call, ...] = ()
    checks: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""

    def of(self, kind: StageKind) -> list[Stage]:
        """Return the stages of one kind, in order."""
        return [stage for stage in self.stages if stage.kind is kind]


class Severity(StrEnum):
    """How sure a finding is: what is certainly wrong, and what is worth a look."""

    FAULT = "fault"
    DOUBT = "doubt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong, or looks so.

    Attributes:
        id: Name of the rule, as ``normalised-twice``.
        where: Module, method or line.
        sentence: What is wrong, with the figures that show it.
        remedy: What to do; "" where that is plain.
    """

    id: str
    severity: Severity
    where: str
    sentence: str
    remedy: str = ""

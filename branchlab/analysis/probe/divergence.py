"""Where two probes that were walked in step first differ: stages aligned like the lines of two files, then value by value.

The bar is what the first one shows against itself: it is probed twice, and a stage that differs by no more than ten times that is
the same. On a CPU that is nothing at all, so that every bit counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from branchlab.domain import Probe, Seen, Stage, StageKind

_SLACK = 10.0
_OWN = {StageKind.PREPARED, StageKind.AUGMENTED, StageKind.MODULE, StageKind.LOSS}
"""Stages that can be the cause of a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One stage that differs.

    Attributes:
        kind: ``value``, ``shape``, ``dtype``, ``randomness``, ``only-here`` (the branch has it alone), ``only-there``, ``failure``.
        apart: Largest difference of sampled values over their spread; None where that has no meaning.
        is_caused_here: Whether it begins here: what went in was still the same.
    """

    where: str
    stage: StageKind
    kind: str
    sentence: str
    apart: float | None = None
    is_caused_here: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The answer.

    Attributes:
        first: Where they first differ, in causal order; None where they are the same.
        differences: All stages that differ, in order.
        num_stages: Stages that both have.
        renamed: Modules of the branch by what they are called on the other side.
        noise: Largest difference of the first one from itself, over the spread of the values.
    """

    first: Difference | None
    differences: tuple[Difference, ...]
    num_stages: int
    noise: float = 0.0
    renamed: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def divergence(ours: Probe, theirs: Probe, *, again: Probe | None = None, base: str) -> Divergence:
    """Return where a branch's probe differs from another one's.

    Args:
        ours: The branch's.
        theirs: What it is held against.
        again: The same as ``theirs`` once more: its noise.
        base: What that is called in sentences.
    """
    renamed = _modules_renamed(ours)
    floor = _floor(theirs, again) if again is not None else {}
    left = [_key(stage, renamed) for stage in ours.stages]
    right = [_key(stage, {}) for stage in theirs.stages]
    found: list[Difference] = []
    num, before = 0, ""
    for op, a1, a2, b1, b2 in SequenceMatcher(a=left, b=right, autojunk=False).get_opcodes():
        if op != "equal":
            found += [_alone(stage, base, is_here=True) for stage in ours.stages[a1:a2]]
            found += [_alone(stage, base, is_here=False) for stage in theirs.stages[b1:b2]]
            continue
        for mine, other in zip(ours.stages[a1:a2], theirs.stages[b1:b2], strict=True):
            num += 1
            difference = _compare(
                mine, other, floor.get(_key(other, {}), 0.0), base, before if not found else None
            )
            if difference is not None:
                found.append(difference)
            before = _where(mine)
    if ours.failure != theirs.failure:
        said = ours.failure or f"{base} fails where this branch does not: {theirs.failure}"
        found.append(
            Difference(where="the step", stage=StageKind.LOSS, kind="failure", sentence=said)
        )
    weights = ours.checks.get("weights") or {}
    return Divergence(
        first=next(iter(found), None),
        differences=tuple(found),
        num_stages=num,
        noise=max(floor.values(), default=0.0),
        renamed=renamed,
        added=tuple(weights.get("added") or ()),
        removed=tuple(weights.get("removed") or ()),
    )


def _modules_renamed(probe: Probe) -> dict[str, str]:
    renamed = (probe.checks.get("weights") or {}).get("renamed") or {}
    return {
        mine.rpartition(".")[0]: other.rpartition(".")[0]
        for mine, other in renamed.items()
        if mine.rpartition(".")[0] != other.rpartition(".")[0]
    }


def _key(stage: Stage, renamed: Mapping[str, str]) -> tuple[str, str, int]:
    name = stage.name
    if stage.kind is StageKind.MODULE:
        name = renamed.get(name, name)
    elif stage.kind in {StageKind.GRADIENT, StageKind.UPDATE}:
        owner, _, last = name.rpartition(".")
        name = f"{renamed.get(owner, owner)}.{last}" if owner else name
    return str(stage.kind), name, stage.call


def _floor(one: Probe, again: Probe) -> dict[tuple[str, str, int], float]:
    """Return how far each stage of a probe is from itself."""
    others = {_key(stage, {}): stage for stage in again.stages}
    found = {}
    for stage in one.stages:
        key = _key(stage, {})
        if key in others:
            found[key] = max(
                _apart(stage.outputs, others[key].outputs), _apart(stage.inputs, others[key].inputs)
            )
    return found


def _compare(
    mine: Stage, other: Stage, noise: float, base: str, before: str | None
) -> Difference | None:
    """Return how a stage differs, or None.

    Args:
        mine: The branch's.
        other: What it is held against.
        noise: How far that is from itself.
        base: What that is called.
        before: The last stage that was the same, while nothing has differed yet; None afterwards.
    """
    allowed = _SLACK * noise
    where, entering = _where(mine), _apart(mine.inputs, other.inputs)
    is_same_input = _mismatch(mine.inputs, other.inputs) is None and entering <= allowed
    # A module with others inside differs because one of them does; a gradient, because the loss does.
    is_own = is_same_input and mine.kind in _OWN and bool(mine.inputs)
    if before is not None and mine.inputs and not is_same_input:
        said = f"what enters {where} differs already ({entering:.2g} of its spread): it changed after {before or 'the start'}"
        return Difference(where=where, stage=mine.kind, kind="value", sentence=said, apart=entering)
    mismatch = _mismatch(mine.outputs, other.outputs)
    if mismatch is not None:
        kind, (own, there) = mismatch
        sentence = f"{where} gives {own}, on {base} {there}"
        return Difference(
            where=where, stage=mine.kind, kind=kind, sentence=sentence, is_caused_here=is_own
        )
    apart = _apart(mine.outputs, other.outputs)
    if apart <= allowed:
        return None
    is_random = mine.measures.get("draws") != other.measures.get("draws") and is_same_input
    said = "draws random numbers, and not on both sides" if is_random else "gives other values"
    return Difference(
        where=where,
        stage=mine.kind,
        kind="randomness" if is_random else "value",
        sentence=f"{where} {said}: {apart:.2g} of their spread away from {base}",
        apart=apart,
        is_caused_here=is_own,
    )


def _mismatch(mine: Sequence[Seen], other: Sequence[Seen]) -> tuple[str, tuple[str, str]] | None:
    """Return in which respect two values differ before any number is looked at."""
    if len(mine) != len(other):
        return "shape", (f"{len(mine)} tensors", f"{len(other)}")
    for a, b in zip(mine, other, strict=True):
        if a.shape != b.shape:
            return "shape", (_shape(a), _shape(b))
        if a.dtype != b.dtype:
            return "dtype", (a.dtype, b.dtype)
    return None


def _shape(look: Seen) -> str:
    return f"[{', '.join(map(str, look.shape))}]"


def _apart(mine: Sequence[Seen], other: Sequence[Seen]) -> float:
    """Return the largest difference of sampled values over the spread of all; infinite where one side is no number."""
    largest = 0.0
    for a, b in zip(mine, other, strict=False):
        scale = max(b.std or 0.0, abs(b.mean or 0.0) * 1e-3) or abs(b.high or 0.0) or 1.0
        pairs = [*zip(a.prints, b.prints, strict=False), *_moments(a, b)]
        for x, y in pairs:
            if x == y or (math.isnan(x) and math.isnan(y)):
                continue
            difference = abs(x - y) / scale
            largest = max(largest, math.inf if math.isnan(difference) else difference)
    return largest


def _moments(a: Seen, b: Seen) -> list[tuple[float, float]]:
    """Return numbers over all values, which see what the samples miss."""
    pairs = [(a.mean, b.mean), (a.std, b.std), (a.low, b.low), (a.high, b.high)]
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def _alone(stage: Stage, base: str, *, is_here: bool) -> Difference:
    where = _where(stage)
    sentence = (
        f"{where} runs here and not on {base}"
        if is_here
        else f"{where} runs on {base} and not here"
    )
    kind = "only-here" if is_here else "only-there"
    is_own = stage.kind in _OWN
    return Difference(
        where=where, stage=stage.kind, kind=kind, sentence=sentence, is_caused_here=is_own
    )


def _where(stage: Stage) -> str:
    match stage.kind:
        case StageKind.MODULE:
            name = f"{stage.name} ({stage.type})" if stage.name else f"the model ({stage.type})"
            return f"{name} at {stage.place}" if stage.place else name
        case StageKind.STORED:
            return "the stored batch"
        case StageKind.PREPARED | StageKind.AUGMENTED | StageKind.OUTPUTS | StageKind.LOSS:
            return f"{stage.name}()"
        case StageKind.ENTERS:
            return "what enters the model"
        case StageKind.GRADIENT:
            return f"the gradient of {stage.name}"
        case StageKind.UPDATE:
            return f"{stage.name} after the step"

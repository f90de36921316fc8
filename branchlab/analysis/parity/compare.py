"""Whether two recordings agree, note by note in causal order; where bits cannot be had twice, within a measured tolerance.

A note that only explains (a module was built, a seed was set) never decides: an extra module that holds nothing and draws
nothing leaves a training what it is. What the merge adds besides (new arguments with defaults, new metrics) is allowed.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from branchlab.analysis.parity.explain import explain, explain_failure
from branchlab.domain import Divergence, Note, Noted, Recording

_STRUCTURE = {Noted.SIGNATURE, Noted.RECIPE, Noted.GROUPS}
_SLACK = 2.0
"""Times the largest difference that main shows against itself."""
_WINDOW = 25
_INSIDE_A_STEP = {Noted.OUTPUTS, Noted.RANDOM, Noted.LOSS, Noted.WEIGHTS, Noted.GRADIENTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far main is from itself: the largest difference of losses up to each step, and of each metric."""

    losses: tuple[float, ...]
    metrics: dict[str, float]

    @property
    def largest(self) -> float:
        return max(self.losses, default=0.0)

    @property
    def allowed(self) -> float:
        """The largest difference of losses that is no difference."""
        return _SLACK * self.largest


def first_difference(
    main: Recording, other: Recording, *, base: str = "main", with_signature: bool = True
) -> Divergence | None:
    """Return where ``other`` first departs from ``main``; None where every bit that counts is the same.

    ``base`` is what the first is called in the reason. ``with_signature``: whether the task's arguments must be main's; they
    need not be where flags are on, and only the training counts.
    """
    found = _first(main, other, with_signature=with_signature)
    if found is not None:
        return explain(main, other, *found, base=base)
    if other.failure and not main.failure:
        return explain_failure(other)
    return None


def first_unequal(main: Recording, other: Recording) -> Note | None:
    """Return the first note of ``main`` that has no equal in ``other``; None where every one that counts has."""
    found = _first(main, other)
    return found[0] if found is not None else None


def steps_to_look_at(main: Recording, other: Recording) -> tuple[int, ...]:
    """Return the steps that must be recorded closely before the first difference can be placed; empty when it can be."""
    found = _first(main, other, with_signature=False)
    if found is None or found[0].step == 0 or found[0].kind not in _INSIDE_A_STEP:
        return ()
    step = found[0].step
    since = step - _WINDOW if found[0].kind is Noted.WEIGHTS else step - 1
    wanted = tuple(range(max(1, since), step + 1))
    seen = {note.step for note in main.notes if note.kind is Noted.ENTERS}
    return () if seen.issuperset(wanted) else wanted


def tolerance_of(recordings: Sequence[Recording]) -> Tolerance:
    """Return how far several recordings of one training are from each other."""
    spread: list[float] = []
    largest = 0.0
    for values in zip(*(one.losses() for one in recordings), strict=False):
        largest = max(largest, max(values) - min(values))
        spread.append(largest)
    metrics: dict[str, float] = defaultdict(float)
    for one, two in itertools.combinations(recordings, 2):
        theirs = _metrics(two)
        for key, value in _metrics(one).items():
            metrics[key] = max(metrics[key], abs(value - theirs.get(key, value)))
    return Tolerance(losses=tuple(spread), metrics=dict(metrics))


def first_difference_within(
    main: Recording,
    other: Recording,
    tolerance: Tolerance,
    *,
    base: str = "main",
    with_signature: bool = True,
) -> Divergence | None:
    """Return the first difference that is larger than main's from itself; names, shapes and settings must be equal."""
    found = _first(main, other, is_structural=True, with_signature=with_signature)
    if found is not None:
        return explain(main, other, *found, base=base)
    if other.failure and not main.failure:
        return explain_failure(other)
    allowed = [_SLACK * value for value in tolerance.losses]
    rows = zip(main.losses(), other.losses(), allowed, strict=False)
    for step, (ours, theirs, most) in enumerate(rows, 1):
        if not abs(ours - theirs) <= most and not (math.isnan(ours) and math.isnan(theirs)):
            reason = (
                f"the loss is {theirs:.6g}, on {base} {ours:.6g}: {abs(ours - theirs):.2g} apart, "
                f"and {base} is {most / _SLACK:.2g} from itself"
            )
            return Divergence(step=step, stage="loss", where="loss()", reason=reason)
    theirs_by_name = _metrics(other)
    for key, value in _metrics(main).items():
        most = _SLACK * tolerance.metrics.get(key, 0.0)
        apart = abs(value - theirs_by_name.get(key, math.inf))
        if not apart <= most and not (
            math.isnan(value) and math.isnan(theirs_by_name.get(key, 0.0))
        ):
            reason = f"it is {theirs_by_name.get(key, math.nan):.6g}, on {base} {value:.6g}"
            return Divergence(step=main.num_steps, stage="validation", where=key, reason=reason)
    return None


def _metrics(recording: Recording) -> dict[str, float]:
    return {f"{n.name} after step {n.step}": n.value[1] for n in recording.named(Noted.METRIC)}


def _first(
    main: Recording,
    other: Recording,
    *,
    is_structural: bool = False,
    with_signature: bool = True,
) -> tuple[Note, Note | None] | None:
    """Return main's note that has no equal, and what stands in its place; None in the second place where nothing does."""
    theirs: dict[tuple[Noted, int, str, int], Note] = {
        (note.kind, note.step, note.name, number): note for note, number in _numbered(other)
    }
    end = max((note.step for note in other.notes), default=0)
    modules = {row[0] for note in main.named(Noted.BUILT) for row in note.value}
    for note, number in _numbered(main):
        if note.kind.only_explains or (is_structural and not _is_structural(note)):
            continue
        if note.kind is Noted.SIGNATURE and not with_signature:
            continue
        found = theirs.get((note.kind, note.step, note.name, number))
        if found is None and other.failure and note.step >= end:
            return None  # it ended here: that is the difference
        if found is None or not _is_same(note, found, modules, is_structural=is_structural):
            return note, found
    return None


def _is_structural(note: Note) -> bool:
    return note.kind in _STRUCTURE or (note.step == 0 and note.kind in {Noted.STATE, Noted.DATA})


def _numbered(recording: Recording) -> list[tuple[Note, int]]:
    """Return each note with how many of its kind, step and name went before: batches of a validation have one name."""
    seen: dict[tuple[Noted, int, str], int] = defaultdict(int)
    found = []
    for note in recording.notes:
        key = note.kind, note.step, note.name
        found.append((note, seen[key]))
        seen[key] += 1
    return found


def _is_same(  # noqa: PLR0911  one arm a kind of note
    note: Note, other: Note, modules: set[str | None], *, is_structural: bool
) -> bool:
    ours, theirs = note.value, other.value
    match note.kind:
        case Noted.SIGNATURE:
            known = {row[0]: row for row in theirs}
            own = {row[0] for row in ours}
            added = [row for name, row in known.items() if name not in own]
            return all(known.get(row[0]) == row for row in ours) and all(
                row[2] is not None or row[1].startswith("VAR") for row in added
            )
        case Noted.RECIPE:
            return all(theirs.get(name) == value for name, value in ours.items())
        case Noted.METRIC:
            return bool(ours[0] == theirs[0])
        case Noted.MODES:
            return not (set(ours) ^ set(theirs)) & modules
        case Noted.DATA if is_structural:
            return bool(ours[:2] == theirs[:2])
        case Noted.STATE if is_structural:
            return [row[:4] for row in ours] == [row[:4] for row in theirs]
        case _:
            return bool(ours == theirs)

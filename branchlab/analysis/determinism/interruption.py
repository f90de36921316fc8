"""A training that was interrupted, against one that was not: put together step by step, and what a checkpoint lacks.

The attempts of the interrupted one overlap where its process was killed: a step counts as its last attempt took it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from branchlab.analysis.determinism.chance import parted
from branchlab.analysis.parity.compare import first_unequal
from branchlab.domain import AT_THE_END, Cause, Divergence, Note, Noted, Recording

_WITHOUT = "without an interruption"
_FIRST = re.compile(r"(?:on )?the first(?: training)?\b")
Row = list[str]
_REMEDIES = {
    "buffer": "register it with persistent=True, so that it is in the state_dict",
    "generator": "draw from the generator that augment() is given, or from torch's global one: both are in the checkpoint",
    "value": "let it follow from the batch (its ids) or the model's state: a buffer of the model is in the checkpoint",
}
_REASONS = {
    "buffer": "the buffer is not persistent, so no checkpoint holds it",
    "generator": "it is a generator of the project's own, and no checkpoint holds its state",
    "value": "it changes while training, and no checkpoint holds it",
}
_STAGES = {
    "random numbers": "something draws or seeds between a resume and the next step",
    "data order": "other examples come after a resume than without one",
    "preparation": "the same examples are others after a resume: the data are changed in place while training",
    "data": "data() gives something else when it is called again",
}
_UNKNOWN = (
    "something that the next step needs is in no checkpoint: a value in a closure, an iterator, a file, "
    "or state of a library"
)


def joined(attempts: Sequence[Recording]) -> Recording:
    """Return what an interrupted training noted, as if by one process: each step as it was taken last."""
    notes: list[Note] = []
    for attempt in attempts:
        steps = [note.step for note in attempt.notes if note.step]
        since = min(steps, default=0)
        if since:
            notes = [note for note in notes if _is_before(note, since, attempt)]
        started = bool(notes)
        notes += [note for note in attempt.notes if note.step or not started]
    failure = attempts[-1].failure if attempts else ""
    return Recording(notes=tuple(notes), failure=failure)


def _is_before(note: Note, since: int, attempt: Recording) -> bool:
    """Whether a note stands before what an attempt takes again; a validation of step ``since`` may be its only one."""
    if note.step != since:
        return note.step < since
    takes_it = any(n.kind is Noted.LOSS and n.step == since and not n.name for n in attempt.notes)
    return not takes_it


def interrupted_difference(whole: Recording, interrupted: Recording) -> Divergence | None:
    """Return where an interrupted training first parts from one that was not; None where it does not."""
    found = parted(whole, interrupted)
    if found is None:
        return None
    note = first_unequal(whole, interrupted)
    if note is not None and note.name.startswith(AT_THE_END):
        reason = "what is left at the end is another, although every step was the same"
        return Divergence(step=found.step, stage="end", where=note.name, reason=reason)
    where, reason = (_FIRST.sub(_WITHOUT, text) for text in (found.where, found.reason))
    return replace(found, where=where, reason=reason)


def lacking(whole: Recording, interrupted: Recording, found: Divergence) -> Cause:
    """Return what a checkpoint lacks: what the project held otherwise just after the last resume before a difference."""
    for step in _looks(interrupted, found.step):
        rows = _unlike(whole, interrupted, step)
        if rows:
            return _cause(rows)
    return Cause(
        operation="state outside the checkpoint",
        place="",
        reason=_STAGES.get(found.stage, _UNKNOWN),
        remedy="keep it in a buffer of the model, or let it follow from the batch",
    )


def _looks(interrupted: Recording, step: int) -> list[int]:
    """Return the steps before which all that is held was noted, the nearest at or before a step first."""
    looks = {note.step for note in interrupted.named(Noted.HELD)}
    return sorted((one for one in looks if one <= step), reverse=True)


def _unlike(whole: Recording, interrupted: Recording, step: int) -> list[tuple[Row, str]]:
    """Return what was held otherwise before a step, with its value after the interruption."""
    ours = whole.named(Noted.HELD, step)
    theirs = interrupted.named(Noted.HELD, step)
    if not ours or not theirs:
        return []
    after = {row[0]: row[2] for row in theirs[-1].value}
    return [
        (row, after.get(row[0], "gone")) for row in ours[-1].value if after.get(row[0]) != row[2]
    ]


def _cause(rows: list[tuple[Row, str]]) -> Cause:
    order = ["buffer", "generator", "value"]
    rows = sorted(rows, key=lambda found: order.index(found[0][1]))
    (name, kind, before, place), after = rows[0]
    values = (
        f": {before} without an interruption, {after} after one"
        if _is_readable(before) and _is_readable(after)
        else ""
    )
    others = ", ".join(row[0] for row, _ in rows[1:4])
    also = f"; so is it with {others}" if others else ""
    return Cause(
        operation=name, place=place, reason=_REASONS[kind] + values + also, remedy=_REMEDIES[kind]
    )


def _is_readable(value: str) -> bool:
    return not re.search(r"[0-9a-f]{16}", value)

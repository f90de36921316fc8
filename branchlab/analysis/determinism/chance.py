"""Two trainings of one key in two processes: where they part, and which of the things that no seed decides parts them.

Which kind of thing it is has been tried out, one at a time. Which call asks for it is read from the notes: the nearest one
before the first difference, and the one that is most likely to reach a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from branchlab.analysis.parity.compare import first_difference, first_unequal
from branchlab.domain import Cause, Divergence, Note, Noted, Outside, Recording

_MAIN = re.compile(r"\bmain\b")
_STOPWATCH = re.compile(r"monotonic|perf_counter")
_OWN_SEED = "give it a seed of its own, for instance torch.Generator().manual_seed(0) or np.random.default_rng(0); in augment() draw from the generator that it is given"
_KINDS: dict[str, tuple[Outside | None, str]] = {
    "the system's random numbers": (None, _OWN_SEED),
    "a random seed": (None, _OWN_SEED),
    "the clock": (Outside.CLOCK, "let nothing that is trained depend on the time"),
    "a thread": (Outside.THREADS, "put what threads give in the order of the examples, for instance by Executor.map, before it is used"),
    "the order of a folder": (Outside.LISTING, "sort what the folder holds: sorted(os.listdir(path))"),
    "an address": (Outside.ADDRESSES, "order objects by a name of theirs, not by id()"),
    "memory as it was found": (Outside.MEMORY, "fill it: torch.zeros instead of torch.empty, or write every element"),
    "a hash": (Outside.HASHES, "use hashlib instead of hash()"),
}  # fmt: skip
"""What a call asks for -> which of the things that can be varied that is, and what to do. The likeliest first."""
_OF_PLACES = ("an address", "memory as it was found")
_WORDS: dict[Outside, tuple[str, str, str]] = {
    Outside.CLOCK: ("the clock", "on another day it trains differently", "let nothing that is trained depend on the time"),
    Outside.LISTING: ("the order of a folder", "with a folder listed in another order it trains differently", "sort what the folder holds"),
    Outside.THREADS: ("threads", "with threads that take turns otherwise it trains differently", "put what threads give in a fixed order before it is used"),
    Outside.ADDRESSES: ("the order of a set", "with objects at other addresses it trains differently: it goes through a set of objects, or sorts by id()", "go through a list or a dict, or sort by a name"),
    Outside.MEMORY: ("uninitialised memory", "with other bytes in fresh memory it trains differently: something is read before it is written", "fill what is allocated with torch.empty, new_empty or np.empty"),
    Outside.HASHES: ("the order of a set", "with another hash seed it trains differently: it goes through a set of strings, or uses hash()", "go through sorted(the set)"),
}  # fmt: skip


def parted(one: Recording, two: Recording) -> Divergence | None:
    """Return where two trainings of one key first part; None where every bit that counts is the same."""
    found = first_difference(one, two, base="the first")
    if found is None:
        return None
    where, reason = (_MAIN.sub("the first training", text) for text in (found.where, found.reason))
    return replace(found, where=where, reason=reason, remedy="")


def cause_of(one: Recording, two: Recording, tried: Sequence[Outside]) -> Cause:
    """Return what parts two trainings.

    Args:
        one: The training as it is.
        two: The one that differs from it.
        tried: Things that part them by themselves; empty where two trainings part although nothing was changed.
    """
    suspects = _suspects(one, first_unequal(one, two), tried)
    if suspects:
        first, *others = suspects
        call, place = first.value
        also = ", ".join(dict.fromkeys(f"{n.value[0]} ({n.value[1]})" for n in others[:3]))
        return Cause(
            operation=call,
            place=place,
            reason=f"it asks for {first.name}, which no seed decides"
            + (f"; so do {also}" if also else ""),
            remedy=_KINDS[first.name][1],
        )
    if tried:
        operation, reason, remedy = _WORDS[tried[0]]
        return Cause(
            operation=operation, place=_nearest_place(one, two), reason=reason, remedy=remedy
        )
    difference = parted(one, two)
    return Cause(
        operation=difference.where if difference else "",
        place=_nearest_place(one, two),
        reason="it gives other bits each time, and no call was seen that asks for what no seed decides; likely "
        "a set of objects, whose order follows their addresses, or an operation that adds up in any order",
        remedy="go through a list or a dict instead of a set; then look for a deterministic form of the operation",
    )


def unfilled(recording: Recording) -> Divergence | None:
    """Return the first loss that is no number: torch fills memory that nobody has written with NaN."""
    for step, loss in enumerate(recording.losses(), 1):
        if not math.isfinite(loss):
            return Divergence(step=step, stage="loss", where="loss()", reason=f"it is {loss}")
    return None


def cause_of_unfilled(recording: Recording, step: int) -> Cause | None:
    """Return the memory that was asked for and may not have been written; None where none was."""
    found = [
        n
        for n in recording.named(Noted.CHANCE)
        if n.name == "memory as it was found" and n.step <= step
    ]
    if not found:
        return None
    call, place = found[-1].value
    return Cause(
        operation=call,
        place=place,
        reason="it gives memory as it was found, which torch fills with NaN where the same bits are asked for",
        remedy=_KINDS["memory as it was found"][1],
    )


def drawn_globally(recording: Recording) -> str | None:
    """Return the place of an ``augment`` that draws from a global generator; None where none does."""
    found = [n for n in recording.named(Noted.CHANCE) if n.name == "the global generator"]
    return found[0].value[1] if found else None


def _suspects(one: Recording, at: Note | None, tried: Sequence[Outside]) -> list[Note]:
    """Return calls that may have parted two trainings, the likeliest first."""
    notes = list(one.notes)
    end = notes.index(at) if at in notes else len(notes)
    kinds = list(_KINDS)
    before = [(place, n) for place, n in enumerate(notes[:end]) if n.kind is Noted.CHANCE]
    known = [(place, n) for place, n in before if _is_wanted(n, tried)]
    # Whatever a training does otherwise, objects and old bytes come to lie elsewhere.
    known = known or [(place, n) for place, n in before if n.name in _OF_PLACES]
    since = max((i for i, n in enumerate(notes[:end]) if not n.kind.only_explains), default=-1)

    def likelihood(found: tuple[int, Note]) -> tuple[bool, bool, int, int]:
        place, note = found
        is_stopwatch = bool(_STOPWATCH.search(note.value[0]))
        return is_stopwatch, place < since, kinds.index(note.name), -place

    return [note for _, note in sorted(known, key=likelihood)]


def _is_wanted(note: Note, tried: Sequence[Outside]) -> bool:
    if note.name not in _KINDS:
        return False
    outside = _KINDS[note.name][0]
    if tried:
        return outside in tried
    return outside in {None, Outside.CLOCK, Outside.THREADS}


def _nearest_place(one: Recording, two: Recording) -> str:
    """Return the place of the module at which two trainings part, or of what was built just there."""
    difference = parted(one, two)
    if difference is None:
        return ""
    path = difference.where.partition(" ")[0]
    built = {
        str(row[0]): str(row[2]) for note in one.named(Noted.BUILT) for row in note.value if row[0]
    }
    names = [name for name in built if path == name or path.startswith(f"{name}.")]
    if names:
        return built[max(names, key=len)]
    found = re.search(r"[\w./-]+\.py:\d+", difference.where)
    return found[0] if found else ""

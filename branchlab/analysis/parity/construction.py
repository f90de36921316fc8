"""What differs once the model is built: which module was added, moved or drew random numbers, and which tensors it brought."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from branchlab.analysis.parity.flags import if_off, remedy_of
from branchlab.domain import Noted, Recording

_ONLY_WHEN_ON = "build it only when {flag} is on, or after all the others"
_Row = list[Any]


def explain_construction(main: Recording, other: Recording) -> tuple[str, str, str]:
    """Return (where, reason, remedy) for random numbers that differ once the model is built."""
    ours, theirs = _built(main), _built(other)
    extra = _first_extra(main, other)
    if extra is not None:
        return extra
    moved = _moved(ours, theirs)
    if moved is not None:
        return moved
    reshaped = _reshaped(main, other)
    if reshaped is not None:
        return reshaped
    for number, (one, two) in enumerate(zip(ours, theirs, strict=False)):
        if one[3] != two[3] and number:
            return _drew(theirs[number - 1], main, other)
    if theirs:
        return _drew(theirs[-1], main, other)
    reason = f"it draws other random numbers than main{if_off(main, other)}"
    return "model()", reason, "draw only when the flag is on"


def explain_state(
    main: Recording,
    other: Recording,
    ours: Sequence[_Row],
    theirs: Sequence[_Row],
    *,
    is_start: bool,
) -> tuple[str, str, str]:
    """Return (where, reason, remedy) for the tensors of the model: names, order, shapes, whether trained, values."""
    old, new = {row[0]: row for row in ours}, {row[0]: row for row in theirs}
    added = [name for name in new if name not in old]
    gone = [name for name in old if name not in new]
    if added or gone:
        extra = _first_extra(main, other) if is_start else None
        if extra is not None:
            return extra
        return _added_or_gone(main, other, added, gone, new)
    if list(old) != list(new):
        moved = _moved(_built(main), _built(other))
        if moved is not None:
            return moved
        name = next(b for a, b in zip(old, new, strict=False) if a != b)
        reason = "parameters and buffers stand in another order: an optimiser's saved state would be given to others"
        return name, reason, "register them in main's order; what is new comes last"
    changed = _changed(main, other, ours, new)
    if changed is not None:
        return changed
    name = next(row[0] for row in ours if new[row[0]] != row)
    if is_start:
        what, remedy = "it starts from other values", "initialise it as main does"
    else:
        what, remedy = "it ends with other values", remedy_of(main, other)
    return name, what, remedy


def _reshaped(main: Recording, other: Recording) -> tuple[str, str, str] | None:
    """Return the first tensor of another shape or type, where both models hold the same names."""
    ours, theirs = (
        [row for note in one.named(Noted.STATE, 0) for row in note.value] for one in (main, other)
    )
    new = {row[0]: row for row in theirs}
    if [row[0] for row in ours] != list(new):
        return None
    return _changed(main, other, ours, new)


def _changed(
    main: Recording, other: Recording, ours: Sequence[_Row], new: dict[str, _Row]
) -> tuple[str, str, str] | None:
    for name, shape, kind, is_trained, _ in ours:
        found = new[name]
        if shape != found[1]:
            reason = f"its shape is {tuple(found[1])}, on main {tuple(shape)}"
        elif kind != found[2]:
            reason = f"its type is {found[2]}, on main {kind}"
        elif is_trained != found[3]:
            one, two = ("trained" if is_it else "frozen" for is_it in (is_trained, found[3]))
            reason = f"it is {two}, on main {one}"
        else:
            continue
        return name, reason, remedy_of(main, other)
    return None


def _added_or_gone(
    main: Recording, other: Recording, added: list[str], gone: list[str], new: dict[str, _Row]
) -> tuple[str, str, str]:
    if not added:
        return gone[0], "it is gone from the state_dict", "keep it while the flag is off"
    if new[added[0]][3] is None:
        reason = f"the buffer is registered{if_off(main, other)} and enters the state_dict"
        return added[0], reason, "register it with persistent=False, or only when the flag is on"
    reason = f"the parameter is created{if_off(main, other)} and enters the state_dict"
    return added[0], reason, "create it only when the flag is on"


def _built(recording: Recording) -> list[_Row]:
    return [row for note in recording.named(Noted.BUILT) for row in note.value]


def _label(row: _Row) -> tuple[str | None, str]:
    return row[0], row[1]


def _first_extra(main: Recording, other: Recording) -> tuple[str, str, str] | None:
    """Return the first module that main does not build and that leaves a trace: tensors, or random numbers."""
    ours, theirs = _built(main), _built(other)
    states = [
        {row[0] for note in one.named(Noted.STATE, 0) for row in note.value}
        for one in (main, other)
    ]
    matcher = difflib.SequenceMatcher(
        None, [_label(r) for r in ours], [_label(r) for r in theirs], autojunk=False
    )
    for kind, a, b, c, d in matcher.get_opcodes():
        if (
            kind == "replace"
            and b - a == d - c
            and [r[0] for r in ours[a:b]] == [r[0] for r in theirs[c:d]]
        ):
            row = theirs[c]
            reason = f"it is a {row[1]}, on main a {ours[a][1]}"
            return _where(row), reason, remedy_of(main, other)
        if kind not in {"insert", "replace"}:
            continue
        for number in range(c, d):
            row = theirs[number]
            if any(_label(row) == _label(one) for one in ours):
                continue  # built elsewhere on main: another order
            tensors = _tensors(row, states[1] - states[0])
            drew = _draws(theirs, number, d, at_end=_at_end(other)) or (
                b < len(ours) and d < len(theirs) and ours[b][3] != theirs[d][3]
            )
            if tensors or drew:
                return _extra(row, tensors, main, other, is_last=d == len(theirs), drew=drew)
    return None


def _tensors(row: _Row, added: set[str]) -> int:
    return sum(name.startswith(f"{row[0]}.") for name in added) if row[0] else 0


def _draws(rows: Sequence[_Row], number: int, end: int, *, at_end: str) -> bool:
    """Whether random numbers were drawn between the start of a module's construction and the end of the inserted ones."""
    after = rows[end][3] if end < len(rows) else at_end
    return bool(after != rows[number][3])


def _at_end(recording: Recording) -> str:
    """Return the digest of the generators once the model is built."""
    return next((n.value for n in recording.named(Noted.RANDOM, 0) if n.name == "model"), "")


def _extra(
    row: _Row, tensors: int, main: Recording, other: Recording, *, is_last: bool, drew: bool
) -> tuple[str, str, str]:
    does = []
    if tensors:
        does.append(
            f"adds {tensors} tensors to the state_dict"
            if tensors > 1
            else "adds a tensor to the state_dict"
        )
    if drew and not is_last:
        does.append(
            "draws random numbers, so that what is built after it starts from other weights"
        )
    elif drew or not tensors:
        does.append("draws random numbers")
    reason = f"{row[1]} is built{if_off(main, other)}: it {' and '.join(does)}"
    flag = (
        if_off(main, other)
        .removeprefix(" although ")
        .removesuffix(" is off")
        .removesuffix(" are off")
    )
    return _where(row), reason, _ONLY_WHEN_ON.format(flag=flag or "its flag")


def _moved(ours: Sequence[_Row], theirs: Sequence[_Row]) -> tuple[str, str, str] | None:
    """Return the first module that is built at another place of the order."""
    old, new = [_label(row) for row in ours], [_label(row) for row in theirs]
    if old == new or sorted(map(str, old)) != sorted(map(str, new)):
        return None
    at = next(n for n, (one, two) in enumerate(zip(old, new, strict=False)) if one != two)
    row = theirs[at]
    before = ours[at]
    reason = f"it is built before {before[0] or before[1]}, on main after it: weights and the order of parameters change"
    return _where(row), reason, "build the modules in main's order; what is new comes last"


def _drew(row: _Row, main: Recording, other: Recording) -> tuple[str, str, str]:
    reason = f"while or after it is built, other random numbers are drawn than on main{if_off(main, other)}"
    return (
        _where(row),
        reason,
        "draw only when the flag is on, or from a torch.Generator of its own",
    )


def _where(row: _Row) -> str:
    name = row[0] or ("the model" if row[0] == "" else "a module")
    place = f", {row[2]}" if row[2] else ""
    return f"{name} ({row[1]}{place})"

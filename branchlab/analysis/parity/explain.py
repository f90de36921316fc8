"""From the first note that differs to a sentence: which part of the training, where in the code, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from branchlab.analysis.parity.construction import explain_construction, explain_state
from branchlab.analysis.parity.flags import if_off, on_by_default, remedy_of
from branchlab.domain import Divergence, Note, Noted, Recording

_OWN_GENERATOR = "draw from a torch.Generator of its own, or only when the flag is on"
_PLACE = re.compile(r" \(([^()]+:\d+)\)$")
_STAGES = {
    Noted.SIGNATURE: "signature",
    Noted.RECIPE: "recipe",
    Noted.DATA: "data",
    Noted.STATE: "weights",
    Noted.GROUPS: "optimiser",
    Noted.ORDER: "data order",
    Noted.PREPARED: "preparation",
    Noted.AUGMENTED: "augmentation",
    Noted.DRAWS: "augmentation",
    Noted.RANDOM: "random numbers",
    Noted.OUTPUTS: "forward",
    Noted.LOSS: "loss",
    Noted.GRADIENTS: "gradient",
    Noted.LR: "optimiser",
    Noted.WEIGHTS: "optimiser",
    Noted.METRIC: "validation",
    Noted.MODES: "validation",
}


def explain(
    main: Recording, other: Recording, note: Note, found: Note | None, *, base: str = "main"
) -> Divergence:
    """Return the difference between a note of main's and what stands in its place, with its likely cause.

    ``base`` is what the first recording is called where it is not main's.
    """
    where, reason, remedy = _say(main, other, note, found)
    stage = _STAGES[note.kind]
    if note.name.startswith("val ") and note.step and note.kind is not Noted.DATA:
        stage = "validation"
    if note.step == 0 and note.kind in {Noted.STATE, Noted.RANDOM}:
        stage = "data" if note.name == "data" else "construction"
    if note.kind is Noted.RANDOM and note.step:
        stage = "forward"
    if note.kind is Noted.DATA and reason.startswith("the same rows"):
        stage = "data order"
    turned_on = on_by_default(main, other)
    if turned_on and note.kind not in {Noted.SIGNATURE, Noted.RECIPE}:
        remedy = turned_on
    return Divergence(
        step=note.step,
        stage=stage,
        where=where,
        reason=reason.replace("on main", f"on {base}"),
        remedy=remedy,
    )


def explain_failure(other: Recording) -> Divergence:
    """Return the difference of a training that ended early."""
    step = max((note.step for note in other.notes), default=0)
    place = _PLACE.search(other.failure)
    is_early = not any(note.kind is Noted.LOSS for note in other.notes)
    return Divergence(
        step=step,
        stage="construction" if step == 0 and is_early else "forward",
        where=place[1] if place else "the task",
        reason=f"it ends with {other.failure}",
        remedy="mend the branch, then try again",
    )


def _say(  # noqa: PLR0911, PLR0912, C901  one arm a kind of note
    main: Recording, other: Recording, note: Note, found: Note | None
) -> tuple[str, str, str]:
    if found is None:
        return _missing(note)
    ours, theirs = note.value, found.value
    match note.kind:
        case Noted.SIGNATURE:
            return _signature(note.name, ours, theirs)
        case Noted.RECIPE:
            name = next(name for name, value in ours.items() if theirs.get(name) != value)
            return (
                f"recipe.{name}",
                f"it is {theirs.get(name, 'gone')}, on main {ours[name]}",
                "set self.recipe in the constructor, only when the flag is on",
            )
        case Noted.RANDOM if note.step == 0:
            return _random_before_steps(main, other, note.name)
        case Noted.RANDOM:
            return _random_in_step(main, other, note.step)
        case Noted.DATA:
            return _data(note.name, ours, theirs, is_start=note.step == 0)
        case Noted.STATE:
            return explain_state(main, other, ours, theirs, is_start=note.step == 0)
        case Noted.GROUPS:
            return _groups(ours, theirs)
        case Noted.ORDER:
            return (
                "batch",
                "other examples are in the batch",
                "leave the data as main has it while the flag is off",
            )
        case Noted.PREPARED:
            return (
                "prepare()",
                "it gives other inputs for the same examples",
                remedy_of(main, other),
            )
        case Noted.AUGMENTED | Noted.DRAWS:
            return _augmentation(main, other, note)
        case Noted.OUTPUTS:
            return _forward(main, other, note)
        case Noted.LOSS:
            return (
                "loss()",
                f"it gives {float.fromhex(theirs):.9g} for the same outputs, on main {float.fromhex(ours):.9g}",
                remedy_of(main, other),
            )
        case Noted.LR:
            return (
                "learning rate",
                f"it is {theirs}, on main {ours}",
                "leave recipe and schedule alone",
            )
        case Noted.GRADIENTS:
            reason = "its gradient differs although the loss is the same to the bit"
            remedy = "look for a detach, a hook or an operation in place on the way back"
            return note.name, reason, remedy
        case Noted.WEIGHTS:
            reason = "the update gives other weights for the same gradients"
            remedy = "keep the order of parameters and groups: clipping and fused updates go through them in order"
            return note.name, reason, remedy
        case Noted.METRIC:
            changed = _changed_in_place(main, other)
            if changed is not None:
                return changed
            name = note.name.removeprefix("val ")
            return name, f"it is {theirs[1]:.6g}, on main {ours[1]:.6g}", remedy_of(main, other)
        case Noted.MODES:
            return _modes(ours, theirs)
        case _:
            return note.name, "it differs", ""


def _missing(note: Note) -> tuple[str, str, str]:
    name = note.name.removeprefix("val ")
    if note.kind is Noted.METRIC:
        return name, "the metric is gone", "keep it: runs of main are compared by it"
    if note.kind is Noted.DATA:
        remedy = "leave the data as main has it while the flag is off"
        return f"data(): {name}", "it is gone, or of another kind", remedy
    if note.kind is Noted.SIGNATURE:
        return name, "the task has another name", "keep main's name"
    if note.kind is Noted.GRADIENTS:
        return name, "it gets no gradient any more", "let it take part while the flag is off"
    what = f"{note.kind} of {name}" if name else str(note.kind)
    return name or str(note.kind), f"{what} was not reached", "keep what main calls"


def _signature(
    task: str, ours: Sequence[list[Any]], theirs: Sequence[list[Any]]
) -> tuple[str, str, str]:
    known = {row[0]: row for row in theirs}
    for name, kind, default in ours:
        where = f"{task}({name})"
        if name not in known:
            return where, f"the argument is gone; main's default is {default}", "keep it"
        if known[name][2] != default:
            reason = f"its default is {known[name][2]}, on main {default}"
            remedy = f"put {default} back, and let the experiment's file set {name} in its flags"
            return where, reason, remedy
        if known[name][1] != kind:
            return where, f"it is {known[name][1]}, on main {kind}", "take it as main does"
    own = {row[0] for row in ours}
    name = next(row[0] for row in theirs if row[0] not in own and row[2] is None)
    reason = "it has no default, so main's callers fail"
    return f"{task}({name})", reason, "give it a default that leaves main as it is"


def _seeded(main: Recording, other: Recording, upto: int) -> tuple[str, str, str] | None:
    """Return a call that seeds everybody's generators and that main has not."""
    ours = [(n.step, n.name) for n in main.named(Noted.SEEDED)]
    for note in other.named(Noted.SEEDED):
        if note.step > upto:
            break
        if (note.step, note.name) in ours:
            ours.remove((note.step, note.name))
            continue
        name = note.name.removeprefix("val ")
        return (
            note.value,
            f"{name} is called there{if_off(main, other)}: from then on everybody draws other random numbers",
            "seed a torch.Generator of its own instead of the global one",
        )
    return None


def _random_before_steps(main: Recording, other: Recording, name: str) -> tuple[str, str, str]:
    seeded = _seeded(main, other, 0)
    if seeded is not None:
        return seeded
    if name == "model":
        return explain_construction(main, other)
    what = {"task": "importing and constructing the task", "data": "data()"}.get(name, name)
    reason = f"it draws other random numbers than main{if_off(main, other)}"
    return what, reason, _OWN_GENERATOR


def _random_in_step(main: Recording, other: Recording, step: int) -> tuple[str, str, str]:
    seeded = _seeded(main, other, step)
    if seeded is not None:
        return seeded
    place = _first_in_walk(main, other, step, of_random=True)
    where = place[0] if place else "the step"
    reason = f"it draws random numbers that main does not{if_off(main, other)}"
    return where, reason, _OWN_GENERATOR


def _data(name: str, ours: list[Any], theirs: list[Any], *, is_start: bool) -> tuple[str, str, str]:
    if not is_start:
        return _in_place(name)
    where = f"data(): {name}"
    remedy = "leave the data as main has it while the flag is off"
    if ours[1] != theirs[1]:
        return where, f"the shape is {tuple(theirs[1])}, on main {tuple(ours[1])}", remedy
    if ours[0] != theirs[0]:
        return where, f"the type is {theirs[0]}, on main {ours[0]}", remedy
    if ours[2] and ours[2] == theirs[2]:
        return where, "the same rows stand in another order", "sort them as main does"
    return where, "the values are others", remedy


def _in_place(name: str) -> tuple[str, str, str]:
    return (
        name.removesuffix(" afterwards"),
        "they are changed in place while training, on main they stay what they were",
        "work on a copy: x = x * 2 instead of x.mul_(2), x.clone() before writing",
    )


def _changed_in_place(main: Recording, other: Recording) -> tuple[str, str, str] | None:
    """Return the data that is changed in place and that main leaves alone."""
    after = [
        {n.name: n.value for n in one.named(Noted.DATA) if n.name.endswith(" afterwards")}
        for one in (main, other)
    ]
    changed = [name for name, value in after[0].items() if after[1].get(name, value) != value]
    return _in_place(changed[0]) if changed else None


def _groups(ours: list[Any], theirs: list[Any]) -> tuple[str, str, str]:
    remedy = "leave the optimiser's groups as main has them while the flag is off"
    if ours[0] != theirs[0]:
        return "optimiser", f"it is {theirs[0]}, on main {ours[0]}", remedy
    for number, (one, two) in enumerate(zip(ours[1], theirs[1], strict=False)):
        where = f"optimiser, group {number}"
        for key, value in one[0].items():
            if two[0].get(key) != value:
                return where, f"{key} is {two[0].get(key, 'gone')}, on main {value}", remedy
        if one[1] != two[1]:
            moved = next(
                (name for name in [*one[1], *two[1]] if (name in one[1]) != (name in two[1])), ""
            )
            what = (
                f"{moved} has changed its group"
                if moved
                else "its parameters stand in another order"
            )
            return where, what, remedy
    return "optimiser", f"it has {len(theirs[1])} groups, on main {len(ours[1])}", remedy


def _augmentation(main: Recording, other: Recording, note: Note) -> tuple[str, str, str]:
    draws = [
        [n.value for n in one.named(Noted.DRAWS, note.step) if n.name == ""]
        for one in (main, other)
    ]
    if note.kind is Noted.AUGMENTED and draws[0] == draws[1]:
        return "augment()", "it gives another batch with the same draws", remedy_of(main, other)
    reason = f"it draws other random numbers from its generator than main{if_off(main, other)}"
    return "augment()", reason, "draw only when the flag is on, after all that main draws"


def _forward(main: Recording, other: Recording, note: Note) -> tuple[str, str, str]:
    seeded = _seeded(main, other, note.step)
    if seeded is not None:
        return seeded
    place = _first_in_walk(main, other, note.step, of_random=False)
    if place is None:
        what = "in validation" if note.name.startswith("val ") else "for the same inputs"
        return "forward()", f"the model gives other outputs {what}", remedy_of(main, other)
    return (*place, remedy_of(main, other))


def _first_in_walk(
    main: Recording, other: Recording, step: int, *, of_random: bool
) -> tuple[str, str] | None:
    """Walk both models' modules in step, and return the place of the first that differs and what differs there."""
    at = 1 if of_random else 0
    theirs: dict[tuple[Noted, str], Note] = {}
    for note in _walk(other, step):
        theirs.setdefault((note.kind, note.name), note)
    before: Note | None = None
    for note in _walk(main, step):
        found = theirs.get((note.kind, note.name))
        if found is None:
            continue
        if found.value[1] != note.value[1]:
            reason = f"it draws random numbers that main does not{if_off(main, other)}"
            return _place(main, note, before), reason
        if found.value[at] != note.value[at]:
            if note.kind is Noted.LEAVES:
                old, new = note.value[2], found.value[2]
                is_a = f"it is a {new}, on main a {old}, and " if old != new else "it "
                return _place(main, note, before), f"{is_a}gives other outputs for the same inputs"
            return _place(main, note, before), f"what enters {note.name} differs"
        before = note
    return None


def _walk(recording: Recording, step: int) -> list[Note]:
    return [
        note
        for note in recording.notes
        if note.step == step and note.kind in {Noted.ENTERS, Noted.LEAVES}
    ]


def _place(main: Recording, note: Note, before: Note | None) -> str:
    """Return the module that a note is of; for one about what enters it, the code of its parent just before."""
    if note.kind is Noted.LEAVES and (before is None or before.name == note.name):
        return f"{note.name} ({note.value[2]})"
    parent = note.name.rpartition(".")[0] if note.kind is Noted.ENTERS else note.name
    walk = _walk(main, note.step)
    kind = next((n.value[2] for n in walk if n.name == parent), walk[0].value[2])
    since = f"after {before.name}" if before is not None and before.kind is Noted.LEAVES else ""
    upto = f"before {note.name}" if note.kind is Noted.ENTERS else ""
    return (
        f"{kind}.forward, {' and '.join(part for part in (since, upto) if part) or 'at its start'}"
    )


def _modes(ours: list[str], theirs: list[str]) -> tuple[str, str, str]:
    changed = sorted(set(ours) ^ set(theirs))
    is_training = changed[0] in theirs
    name = changed[0] or "the model"
    reason = f"{name} is in {'train' if is_training else 'eval'} mode, on main in {'eval' if is_training else 'train'} mode"
    return "metrics()", reason, "leave model.train() and model.eval() to the trainer"

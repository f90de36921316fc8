"""Other values of the new flags at which every changed body comes to what it was: the default is on."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from branchlab.analysis.features import literals
from branchlab.analysis.features.flags import Flag, Pair
from branchlab.analysis.features.judge import (
    ClassReading,
    Compared,
)
from branchlab.analysis.features.options import ENUMS, fields_of
from branchlab.analysis.features.reading import Reading
from branchlab.analysis.features.syntax import Class, Function
from branchlab.analysis.features.trees import (
    NO_FLAGS,
    dotted,
    dump,
    last_name,
    walk,
)
from branchlab.analysis.features.world import World

_TRIALS_MAX = 48
_TRIALS_MIN = 3
_NODES_MAX = 40_000
"""Of the functions that are tried again, times the trials: about a second."""
_FAILING_MAX = 24
_FLAGS_MAX = 8
_VALUES_MAX = 10


@dataclass(slots=True, kw_only=True)
class Case:
    """One function on both sides, and what came of comparing it."""

    pair: Pair
    base: Function
    head: Function
    old_class: Class | None
    new_class: Class | None
    flags: frozenset[str] = NO_FLAGS
    found: Compared | None = None
    warnings: tuple[str, ...] = ()
    is_neutral_default: bool = False
    new_choices: tuple[str, ...] = ()
    new_attributes: frozenset[str] = NO_FLAGS


def flip(world: World, cases: list[Case], failing: Sequence[Case]) -> dict[str, ast.expr] | None:
    """Return other values of the new flags at which every changed body comes to the base; None without any."""
    wanted = frozenset().union(*(case.flags for case in failing))
    flagged = {(case.pair.change.head_path, case.head.owner) for case in cases if case.flags}
    if any(
        not case.flags
        and (not case.head.owner or (case.pair.change.head_path, case.head.owner) not in flagged)
        for case in failing
    ):
        return None
    if not wanted or len(failing) > _FAILING_MAX or any(c.found and c.found.shown for c in failing):
        return None
    flags = {
        flag.name: flag for flag in world.flags if flag.name in wanted and flag.default is not None
    }
    choices = {
        name: _other_values(world, flag, failing)
        for name, flag in sorted(flags.items())[:_FLAGS_MAX]
    }
    touched = [case for case in cases if case.flags]
    size = sum(len(walk(case.head.node)) for case in failing)
    trials = max(_TRIALS_MIN, min(_TRIALS_MAX, _NODES_MAX // max(size, 1)))
    failing = sorted(failing, key=lambda case: len(walk(case.head.node)))
    for values in itertools.islice(_assignments(choices), trials):
        reading = Reading(world, values)
        if all(is_equal(case, reading) for case in failing) and all(
            is_equal(case, reading) for case in touched if case not in failing
        ):
            return values
    return None


def is_equal(case: Case, reading: Reading) -> bool:
    """Whether a function comes to the base in a reading."""
    cls = ClassReading(reading, case.pair, case.old_class, case.new_class)
    return cls.compare(case.base, case.head).is_equal


def _assignments(choices: Mapping[str, list[ast.expr]]) -> Iterator[dict[str, ast.expr]]:
    """Yield one flag at another value, then two, then all of them."""
    for count in sorted({1, 2, len(choices)}):
        for names in itertools.combinations(choices, count):
            for values in itertools.product(*(choices[name] for name in names)):
                yield dict(zip(names, values, strict=True))


def _other_values(world: World, flag: Flag, failing: Sequence[Case]) -> list[ast.expr]:
    """Return values to try: the opposite, the neutral ones of a number, what the code compares the flag with."""
    default = flag.default
    value = default.value if isinstance(default, ast.Constant) else default
    tried: list[object]
    if isinstance(value, bool):
        tried = [not value]
    elif isinstance(value, int | float):
        tried = [None, 0, 1, 0.0, 1.0]
    elif value is None:
        tried = [True, False]
    else:
        tried = [None]
    made = [ast.Constant(one) for one in tried if one != value or one is None]  # type: ignore[arg-type]
    others = [
        one.default for one in world.flags if one.name == flag.name and one.default is not None
    ]
    unique = {
        dump(one): one
        for one in (
            *made,
            *others,
            *_siblings(world, default),
            *_asked_for(flag, failing),
            *_only_in_base(failing),
        )
        if {dump(one)} != {dump(other) for other in (default, *others)}
    }
    return list(unique.values())[:_VALUES_MAX]


def _siblings(world: World, default: ast.expr | None) -> Iterator[ast.expr]:
    """Yield the other members of the enumeration that a default is a member of."""
    if not isinstance(default, ast.Attribute):
        return
    for pair in world.pairs:
        for cls in pair.head.classes.values() if pair.head is not None else ():
            if cls.name == last_name(default.value) and set(cls.bases) & ENUMS:
                for name in fields_of(cls):
                    yield ast.Attribute(default.value, name, ast.Load())


def _asked_for(flag: Flag, failing: Iterable[Case]) -> Iterator[ast.expr]:
    """Yield what the code compares a flag with."""
    for case in failing:
        for node in walk(case.head.node):
            if isinstance(node, ast.Compare) and f"'{flag.name}'" in ast.dump(node):
                for other in (node.left, *node.comparators):
                    elements = (
                        other.elts if isinstance(other, ast.Tuple | ast.List | ast.Set) else [other]
                    )
                    yield from (one for one in elements if literals.is_constant(one))


def _only_in_base(failing: Iterable[Case]) -> Iterator[ast.expr]:
    """Yield values that the base names and head does not."""
    for case in failing:
        known = {dump(node) for node in walk(case.head.node)}
        for node in walk(case.base.node):
            if (
                isinstance(node, ast.Constant | ast.Attribute)
                and dump(node) not in known
                and (isinstance(node, ast.Constant) or dotted(node))
            ):
                yield node

"""Every function that both sides have: does its body come to the base at the defaults, at other values, or not at all?"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from branchlab.analysis.features import literals
from branchlab.analysis.features.choices import (
    alternatives,
    handed_values,
    new_choices,
    retyped_options,
)
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import module_constants
from branchlab.analysis.features.flips import Case, flip, is_equal
from branchlab.analysis.features.judge import (
    ClassReading,
    Compared,
    compared_as_they_stand,
    has_click_options,
    heads_differ,
    is_textually_equal,
    mentioned_flags,
    only_spelling_differs,
    signature_findings,
)
from branchlab.analysis.features.reading import Reading, default_reading
from branchlab.analysis.features.syntax import Function
from branchlab.analysis.features.trees import (
    NO_FLAGS,
    last_name,
    loaded_names,
    walk,
)
from branchlab.analysis.features.world import World
from branchlab.domain import FeatureVerdict

_HUGE = 4_000
_TOLD_APART_MAX = 6


def body_findings(world: World) -> list[Finding]:
    """Compare every common function that differs."""
    cases = list(_cases(world))
    reading = default_reading(world)
    _compare_all(cases, reading)
    failing = [case for case in cases if case.found is not None and not case.found.is_equal]
    constant = [case for case in failing if _names_other_constants(case)]
    if constant:
        _compare_all(constant, Reading(world, with_constants=True), only_better=True)
        failing = [case for case in failing if case.found is not None and not case.found.is_equal]
    for case in failing:
        _try_harder(world, case)
    failing = [case for case in failing if case.found is not None and not case.found.is_equal]
    _check_alternatives(world, cases)
    failing = [case for case in cases if case.found is not None and not case.found.is_equal]
    flipped = flip(world, cases, failing) if failing else None
    found: list[Finding] = []
    for case in cases:
        if not case.is_neutral_default:
            found += signature_findings(world, case.pair, case.head.symbol, case.head.node.lineno)
        found += _of_case(world, case, flipped)
    return found


def _cases(world: World) -> Iterator[Case]:
    for pair, base, head in world.common_functions():
        if is_textually_equal(base, head):
            continue
        assert pair.base is not None
        assert pair.head is not None
        yield Case(
            pair=pair,
            base=base,
            head=head,
            old_class=pair.base.classes.get(base.owner),
            new_class=pair.head.classes.get(head.owner),
        )


def _compare_all(cases: Iterable[Case], reading: Reading, *, only_better: bool = False) -> None:
    classes: dict[tuple[str, str], ClassReading] = {}
    for case in cases:
        key = case.pair.change.head_path, case.head.owner
        if key not in classes:
            classes[key] = ClassReading(reading, case.pair, case.old_class, case.new_class)
        found = _at_once(reading, case) or classes[key].compare(case.base, case.head)
        if only_better and not found.is_equal:
            continue
        case.found = found
        cls = case.new_class
        attributes = reading.attributes(case.pair, cls) if cls else {}
        helpers = reading.setting(case.pair, case.head, side="head").methods
        case.flags = mentioned_flags(reading.world, case.head, attributes, helpers)
        if case.head.name == "__init__":
            case.warnings = classes[key].warnings
            case.new_attributes = classes[key].dropped if found.is_equal else NO_FLAGS


def _names_other_constants(case: Case) -> bool:
    """Whether one side names a constant of its module that the other side does not."""
    sides = (
        loaded_names(function.node) & module_constants(module).keys()
        for function, module in ((case.base, case.pair.base), (case.head, case.pair.head))
        if module is not None
    )
    return len({frozenset(side) for side in sides}) > 1


def _try_harder(world: World, case: Case) -> None:
    """Look whether only the spelling of a default changed, or only a choice was added that raised before."""
    change = world.signatures.get((case.pair.change.head_path, case.head.symbol))
    if change is not None and change.defaults and not change.problems:
        num_equal = _num_equal(world, case, change.defaults)
        if num_equal:
            # Equal for every value: another spelling. Equal at the defaults alone: the default is all that changed.
            case.is_neutral_default = num_equal > 1
            case.found = Compared(is_equal=True)
    if (
        case.head.name.startswith("_")
        and not case.head.name.endswith("__")
        and _is_equal_as_called(world, case)
    ):
        case.found = Compared(is_equal=True)
        return
    choices = new_choices(world, case.pair, case.base, case.head) if not case.flags else None
    if choices:
        case.new_choices = tuple(choices)
        case.found = Compared(is_equal=True)


def _is_equal_as_called(world: World, case: Case) -> bool:
    """Whether a private function does the same for the values that all its callers give it."""
    if world.elsewhere.mentioning([case.head.name]):
        return False
    fixed = {
        (side, case.pair.change.head_path, one.symbol): handed_values(world, one, side=side)
        for side, one in (("base", case.base), ("head", case.head))
    }
    names = set(world.flag_names())
    flags = frozenset(
        node.id
        for pair in world.pairs
        if pair.head is not None
        for call in pair.head.calls
        if last_name(call.func) == case.head.name
        for node in walk(call)
        if isinstance(node, ast.Name) and node.id in names
    )
    if not all(fixed.values()) or not flags:
        return False
    if not is_equal(case, Reading(world, fixed=fixed)):
        return False
    case.flags |= flags
    return True


def _num_equal(world: World, case: Case, defaults: Mapping[str, tuple[ast.expr, ast.expr]]) -> int:
    """Return 1 where a function does the same at old and new default, 2 where it does for every other value too."""
    symbol = case.head.symbol
    keys = (
        ("base", case.pair.change.head_path, symbol),
        ("head", case.pair.change.head_path, symbol),
    )
    given = {name: literals.marked(name) for name in defaults}
    num_equal = 0
    for old, new in (
        (
            {name: one for name, (one, _) in defaults.items()},
            {n: o for n, (_, o) in defaults.items()},
        ),
        (given, given),
    ):
        if not all(
            literals.is_value(one) or literals.without_mark(one) is not one
            for one in (*old.values(), *new.values())
        ):
            return num_equal
        reading = Reading(world, fixed={keys[0]: old, keys[1]: new})
        if not is_equal(case, reading):
            return num_equal
        num_equal += 1
    return num_equal


def _check_alternatives(world: World, cases: Iterable[Case]) -> None:
    """Where one name has several defaults and a value flows from one to the other, hold each against the base."""
    for name, values in alternatives(world).items():
        concerned = [
            c for c in cases if name in c.flags and c.found is not None and c.found.is_equal
        ]
        for value in values:
            reading = Reading(world, {name: value})
            _compare_all(concerned, reading)
            concerned = [c for c in concerned if c.found is not None and c.found.is_equal]


def _at_once(reading: Reading, case: Case) -> Compared | None:
    """Return the answer where no reduction is needed: the spelling alone differs, or a huge body has no flag to put in."""
    change = reading.world.signatures.get((case.pair.change.head_path, case.head.symbol))
    if change is None or change.new:
        return None
    if only_spelling_differs(case.base, case.head):
        return Compared(is_equal=True)
    if len(walk(case.head.node)) < _HUGE or mentioned_flags(reading.world, case.head, {}):
        return None
    return compared_as_they_stand(case.base, case.head)


def _of_case(world: World, case: Case, flipped: Mapping[str, ast.expr] | None) -> Iterator[Finding]:
    differ = heads_differ(case.base, case.head)
    if differ and not (has_click_options(case.head) and not differ.startswith("is no")):
        yield _finding(case, FeatureVerdict.UNGUARDED, f"{case.head.symbol} {differ}", NO_FLAGS)
    found = case.found
    assert found is not None
    change = world.signatures.get((case.pair.change.head_path, case.head.symbol))
    new = frozenset(change.new) if change else NO_FLAGS
    symbol = case.head.symbol
    retyped = retyped_options(case.base, case.head)
    if retyped:
        yield _finding(
            case, FeatureVerdict.UNGUARDED, f"{symbol} reads {retyped} as another type", NO_FLAGS
        )
    if case.new_choices:
        reason = f"{symbol} takes {', '.join(case.new_choices)} besides what it took, which raised before"
        yield _finding(case, FeatureVerdict.ADDITIVE, reason, NO_FLAGS)
        return
    if found.is_equal:
        flags = case.flags | new
        if case.new_attributes and not flags and not case.warnings:
            names = ", ".join(f"self.{name}" for name in sorted(case.new_attributes))
            reason = f"{symbol} stores {names} besides, which nothing reads"
            yield _finding(case, FeatureVerdict.ADDITIVE, reason, NO_FLAGS)
        elif case.warnings and not flags:
            reason = (
                f"{symbol} builds what it did not: {case.warnings[0].partition(' although')[0]}"
            )
            yield _finding(case, FeatureVerdict.UNGUARDED, reason, NO_FLAGS)
        elif flags:
            yield from _guarded(world, case, flags)
        elif not differ and not (change and (change.defaults or change.problems)):
            yield _finding(case, FeatureVerdict.INERT, f"{symbol} does what it did", NO_FLAGS)
        return
    if flipped is not None:
        values = ", ".join(f"{name}={ast.unparse(value)}" for name, value in flipped.items())
        reason = f"{symbol} comes to what it was at {values}, not at the default"
        yield _finding(case, FeatureVerdict.DEFAULT_ON, reason, frozenset(flipped))
        return
    yield _difference(world, case, found, case.flags | new)


def _guarded(world: World, case: Case, flags: frozenset[str]) -> Iterator[Finding]:
    """Yield a finding a flag; one that does nothing while the others are off belongs to the first of them."""
    if len(flags) > _TOLD_APART_MAX:
        reason = f"with {_shown(world, flags)} {case.head.symbol} comes to what it was"
        yield _finding(case, FeatureVerdict.GUARDED, reason, flags)
        return
    texts = {flag: _text_of(world, case, flag) for flag in sorted(flags)}
    at_defaults = _text_of(world, case, "") if len(flags) > 1 else ""
    alone = [flag for flag, text in texts.items() if text != at_defaults] or sorted(flags)[:1]
    for flag in alone:
        own = {flag} if flag != alone[0] else {flag} | (flags - set(alone))
        reason = f"with {_shown(world, frozenset(own))} {case.head.symbol} comes to what it was"
        text = f"{flag} {texts[flag]}"
        yield _finding(case, FeatureVerdict.GUARDED, reason, frozenset(own), text=text)


def _text_of(world: World, case: Case, flag: str) -> str:
    """Return what head comes to with every flag at its default but one."""
    key = "left", flag
    if key not in world.shared:
        left = frozenset({flag})
        world.shared[key] = Reading(world, left=left) if flag else default_reading(world)
    reading: Reading = world.shared[key]
    try:
        return reading.reduce(case.pair, case.head, side="head").text
    except RecursionError:
        return ""


def _difference(world: World, case: Case, found: Compared, flags: frozenset[str]) -> Finding:
    symbol = case.head.symbol
    where = f"line {found.line}" if found.line else "its body"
    if found.shown:
        return _finding(case, FeatureVerdict.UNGUARDED, f"{symbol} {found.shown}", flags)
    if found.switched:
        names = ", ".join(sorted(found.switched))
        reason = f"{symbol} now gives {names} a value of its own in {where}"
        return _finding(case, FeatureVerdict.UNGUARDED, reason, flags & found.switched)
    if not flags:
        reason = f"{symbol} changed in {where}, and no new flag reaches it"
        return _finding(case, FeatureVerdict.UNGUARDED, reason, NO_FLAGS)
    if not found.is_reached:
        reason = f"{symbol} changed in {where} whatever {_names(flags)} is"
        return _finding(case, FeatureVerdict.UNGUARDED, reason, NO_FLAGS)
    reason = (
        f"{symbol} mentions {_names(flags)}, but with {_shown(world, flags)} {where} "
        f"cannot be shown to do what it did"
    )
    return _finding(case, FeatureVerdict.UNDECIDED, reason, flags)


def _finding(
    case: Case, verdict: FeatureVerdict, reason: str, flags: frozenset[str], *, text: str = ""
) -> Finding:
    found = case.found
    line = found.line if found is not None and found.line else case.head.node.lineno
    return Finding(
        verdict=verdict,
        kind="body",
        symbol=case.head.symbol,
        path=case.pair.change.head_path,
        line=line,
        reason=reason,
        flags=flags,
        names=_mentioned(case.head),
        warnings=case.warnings if verdict is FeatureVerdict.GUARDED else (),
        text=text or (found.text if found is not None else "") or case.head.text,
    )


def _mentioned(function: Function) -> frozenset[str]:
    return frozenset(
        node.id if isinstance(node, ast.Name) else node.attr
        for node in walk(function.node)
        if isinstance(node, ast.Name | ast.Attribute)
    )


def _names(flags: frozenset[str]) -> str:
    return ", ".join(sorted(flags))


def _shown(world: World, flags: frozenset[str]) -> str:
    """Return ``a=False, b=None`` for the defaults of flags."""
    known = {flag.name: flag for flag in world.flags if flag.name in flags}
    defaults = {name: flag.shown_default for name, flag in known.items()}
    return ", ".join(f"{name}={defaults.get(name) or '?'}" for name in sorted(flags))

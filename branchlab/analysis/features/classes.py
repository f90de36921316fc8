"""Classes that both sides have: bases, decorators, fields, statements in the body, methods that come and go."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from branchlab.analysis.features.clean import clean_block, same
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Pair, attributes_stored
from branchlab.analysis.features.judge import PLAIN_BASES, mentioned_flags, signature_findings
from branchlab.analysis.features.options import ENUMS, Field, fields_of, is_made_of_fields
from branchlab.analysis.features.reading import Reading, default_reading
from branchlab.analysis.features.syntax import Class, Function, Module
from branchlab.analysis.features.trees import alike, dotted, dump, loaded_names, parameters
from branchlab.analysis.features.world import World
from branchlab.domain import FeatureVerdict

_HOOKS = {
    *("forward", "train", "eval", "state_dict", "load_state_dict", "parameters", "named_parameters"),
    *("children", "modules", "apply", "to", "cuda", "half", "float", "zero_grad", "extra_state"),
    *("get_extra_state", "set_extra_state", "_load_from_state_dict", "_save_to_state_dict"),
    *("_apply", "requires_grad_", "training_step", "validation_step", "configure_optimizers"),
    *("reset_parameters_", "register_buffer", "named_modules", "step", "buffers", "_init_weights"),
}  # fmt: skip
_HOOK_PREFIXES = ("on_", "configure_", "training_", "validation_", "test_", "optimizer_")


def class_findings(world: World) -> list[Finding]:
    """Compare every common class that differs, its common methods aside."""
    found: list[Finding] = []
    reading = default_reading(world)
    for pair, base, head in world.common_classes():
        if alike(base.node, head.node):
            continue
        found += _heads(pair, base, head)
        found += _fields(world, pair, base, head)
        found += _statements(pair, base, head)
        found += _new_methods(world, pair, base, head, reading)
        found += _gone_methods(world, pair, base, head)
    return found


def _heads(pair: Pair, base: Class, head: Class) -> Iterator[Finding]:
    for what, old, new in (
        ("bases", base.node.bases, head.node.bases),
        ("decorators", base.node.decorator_list, head.node.decorator_list),
        ("keywords", base.node.keywords, head.node.keywords),
    ):
        before = [dump(one) for one in old if dump(one) != "Name(id='object')"]
        after = [dump(one) for one in new if dump(one) != "Name(id='object')"]
        if before != after:
            reason = f"the {what} of {head.symbol} changed"
            yield finding(pair, head.symbol, head.node.lineno, FeatureVerdict.UNGUARDED, reason)


def _fields(world: World, pair: Pair, base: Class, head: Class) -> Iterator[Finding]:
    old, new = fields_of(base), fields_of(head)
    is_constructor = is_made_of_fields(head) and is_made_of_fields(base)
    if is_constructor:
        yield from signature_findings(world, pair, head.symbol, head.node.lineno)
    for name, one in new.items():
        if name not in old:
            yield from _new_field(world, pair, base, head, one)
            continue
        before, after = old[name].default, one.default
        is_changed = before is not None and after is not None and not same(before, after)
        if is_changed and before and after and not is_constructor:
            shown = f"was {ast.unparse(before)[:60]} and is now {ast.unparse(after)[:60]}"
            yield finding(
                pair,
                head.symbol,
                one.line,
                FeatureVerdict.DEFAULT_CHANGED,
                f"{head.symbol}.{name} {shown}",
                kind="default",
            )
        if old[name].rest != one.rest:
            reason = f"{head.symbol}.{name} takes other values than it took"
            yield finding(pair, head.symbol, one.line, FeatureVerdict.UNGUARDED, reason, "field")
    if not is_constructor:
        stored = attributes_stored(head.methods.values())
        for name in old.keys() - new.keys() - stored:
            if not name.startswith("_") and name not in head.methods:
                reason = f"{head.symbol}.{name} is gone"
                yield finding(pair, head.symbol, head.node.lineno, FeatureVerdict.BREAKING, reason)


def _new_field(world: World, pair: Pair, base: Class, head: Class, one: Field) -> Iterator[Finding]:
    name, symbol = one.name, head.symbol
    if name in attributes_stored(base.methods.values()):
        return
    default = "no default" if one.default is None else ast.unparse(one.default)[:60]
    reason = f"{symbol} has a new field {name} ({default})"
    verdict, flags = FeatureVerdict.GUARDED, frozenset({name})
    shadowed = world.kin.shadowed(head, name)
    is_last = list(fields_of(head)).index(name) >= len(fields_of(base))
    if shadowed:
        reason = f"{reason}, which takes the place of {shadowed}"
        verdict, flags = FeatureVerdict.DEFAULT_CHANGED, frozenset()
        if any(f.name == name and f.owner != symbol and f.kind == "field" for f in world.flags):
            verdict = FeatureVerdict.UNGUARDED
    elif set(head.bases) & {"NamedTuple"}:
        reason = f"{reason}, so it no longer unpacks into as many values"
        verdict = FeatureVerdict.BREAKING
    elif set(head.bases) & ENUMS:
        is_counted = "auto" in default and not is_last
        verdict = FeatureVerdict.UNGUARDED if is_counted else FeatureVerdict.ADDITIVE
        reason += ", so those after it count on from another number" if is_counted else ""
        flags = frozenset()
    elif name.startswith("__"):
        verdict, flags = FeatureVerdict.UNGUARDED, frozenset()
        reason = f"{symbol} now sets {name}, which Python itself reads"
    elif is_made_of_fields(head):
        heir = world.kin.heir_of_fields(head) if not one.is_keyword and one.is_given else ""
        if heir:
            verdict = FeatureVerdict.BREAKING
            reason = f"{reason}, so the positions of {heir}'s own fields shift"
    elif not world.is_read(name):
        verdict, flags = FeatureVerdict.ADDITIVE, frozenset()
        reason = f"{reason} that nothing reads"
    made = finding(pair, symbol, one.line, verdict, reason, kind="field")
    made.flags = flags
    yield made


def _statements(pair: Pair, base: Class, head: Class) -> Iterator[Finding]:
    """Compare what stands in a class's body and is neither a field nor a method."""
    old, new = (
        [
            dump(one)
            for one in clean_block(
                s
                for s in cls.statements
                if not isinstance(s, ast.AnnAssign)
                and not (isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name))
            )
        ]
        for cls in (base, head)
    )
    if old != new:
        reason = f"statements in the body of {head.symbol} changed"
        yield finding(pair, head.symbol, head.node.lineno, FeatureVerdict.UNGUARDED, reason)


def _new_methods(
    world: World, pair: Pair, base: Class, head: Class, reading: Reading
) -> Iterator[Finding]:
    for name, method in head.methods.items():
        if name in base.methods or "#" in name:
            continue
        line, symbol = method.node.lineno, method.symbol
        taken = _takes_place(world, head, method)
        if not taken:
            reason = f"{symbol} is new and nothing on the base calls it"
            made = finding(pair, symbol, line, FeatureVerdict.ADDITIVE, reason, kind="method")
        elif _does_nothing(reading, pair, method):
            flags = mentioned_flags(world, method, reading.attributes(pair, head))
            verdict = FeatureVerdict.GUARDED if flags else FeatureVerdict.INERT
            reason = f"{symbol} is new and {taken}, and does nothing of its own at the defaults"
            made = finding(pair, symbol, line, verdict, reason, kind="method")
            made.flags = flags
        else:
            reason = f"{symbol} is new and {taken}, so what called that now gets here"
            made = finding(pair, symbol, line, FeatureVerdict.UNGUARDED, reason, kind="method")
        made.names = frozenset(loaded_names(method.node))
        yield made


def _does_nothing(reading: Reading, pair: Pair, method: Function) -> bool:
    """Whether a new method only hands on to the one that it overrides."""
    rest = reading.reduce(pair, method, side="head").statements
    if not rest:
        return not method.name.startswith("__") or method.name == "__post_init__"
    if len(rest) != 1 or not isinstance(rest[0], ast.Return | ast.Expr):
        return False
    call = rest[0].value
    given = [one.arg for one in parameters(method.node.args)][1:]
    match call:
        case ast.Call(
            func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=attr),
            args=args,
            keywords=[],
        ):
            return attr == method.name and [dotted(one) for one in args] == given
        case _:
            return False


def _takes_place(world: World, cls: Class, method: Function) -> str:
    """Say what a new method takes the place of, or who asks for it; the empty string when nobody does."""
    name = method.name
    if name.startswith("__") and name.endswith("__"):
        return f"Python itself calls {name}"
    shadowed = world.kin.shadowed(cls, name)
    if shadowed:
        return f"takes the place of {shadowed}"
    asked = world.kin.asks_for(name)
    if asked:
        return f"{asked} asks whether there is one"
    outside = world.kin.outside(cls)
    if outside and name in _HOOKS:
        return f"overrides {name} of {min(outside)}"
    if outside - PLAIN_BASES and name.startswith(_HOOK_PREFIXES):
        return f"looks like a hook of {min(outside - PLAIN_BASES)}"
    return ""


def _gone_methods(world: World, pair: Pair, base: Class, head: Class) -> Iterator[Finding]:
    assert pair.head is not None
    for name, method in base.methods.items():
        if name in head.methods or "#" in name:
            continue
        inherited = _inherited(pair.head, head, name)
        if inherited is not None:
            if dump(inherited.node) != dump(method.node):
                reason = f"{method.symbol} is gone, and {inherited.symbol} takes its place"
                yield finding(pair, head.symbol, head.node.lineno, FeatureVerdict.UNGUARDED, reason)
            continue
        is_special = name.startswith("__") or (name in _HOOKS and world.kin.outside(base))
        if is_special:
            reason = (
                f"{method.symbol} is gone, so what it did is left to the bases of {head.symbol}"
            )
            yield finding(pair, head.symbol, head.node.lineno, FeatureVerdict.UNGUARDED, reason)
        elif not name.startswith("_") or _is_mentioned(pair.head, name):
            reason = f"{method.symbol} is gone"
            yield finding(pair, head.symbol, head.node.lineno, FeatureVerdict.BREAKING, reason)


def _inherited(module: Module, cls: Class, name: str) -> Function | None:
    for base in cls.bases:
        known = module.classes.get(base)
        if known is not None and known is not cls and name in known.methods:
            return known.methods[name]
    return None


def _is_mentioned(module: Module, name: str) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == name for node in module.nodes)


def finding(
    pair: Pair,
    symbol: str,
    line: int,
    verdict: FeatureVerdict,
    reason: str,
    kind: str = "class",
) -> Finding:
    """Return a finding of one file."""
    return Finding(
        verdict=verdict,
        kind=kind,
        symbol=symbol,
        path=pair.change.head_path,
        line=line,
        reason=reason,
        text=reason,
    )

"""Classes that both sides have: bases, decorators, fields, statements in the body, methods that come and go."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from branchlab.analysis.features.clean import clean_block, same
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.judge import signature_findings
from branchlab.analysis.features.options import ENUMS, fields_of, is_made_of_fields
from branchlab.analysis.features.syntax import Class, Function, Module
from branchlab.analysis.features.trees import dump, last_name
from branchlab.analysis.features.world import Pair, World, attributes_stored
from branchlab.domain import FeatureVerdict

_PLAIN_BASES = {
    "object",
    "Module",
    "ABC",
    "Dataset",
    "IterableDataset",
    "Enum",
    "Exception",
    "Protocol",
    "Generic",
}
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
    for pair, base, head in world.common_classes():
        if dump(base.node) == dump(head.node):
            continue
        found += _heads(pair, base, head)
        found += _fields(world, pair, base, head)
        found += _statements(pair, base, head)
        found += _new_methods(pair, base, head)
        found += _gone_methods(pair, base, head)
    return found


def _heads(pair: Pair, base: Class, head: Class) -> Iterator[Finding]:
    for what, old, new in (
        ("bases", base.node.bases, head.node.bases),
        ("decorators", base.node.decorator_list, head.node.decorator_list),
        ("keywords", base.node.keywords, head.node.keywords),
    ):
        before = [dump(one) for one in old if dump(one) != "Name(id='object', ctx=Load())"]
        after = [dump(one) for one in new if dump(one) != "Name(id='object', ctx=Load())"]
        if before != after:
            reason = f"the {what} of {head.symbol} changed"
            yield finding(pair, head.symbol, head.node.lineno, FeatureVerdict.UNGUARDED, reason)


def _fields(world: World, pair: Pair, base: Class, head: Class) -> Iterator[Finding]:
    old, new = fields_of(base), fields_of(head)
    is_constructor = is_made_of_fields(head) and is_made_of_fields(base)
    if is_constructor:
        yield from signature_findings(world, pair, head.symbol, head.node.lineno)
    is_enum = bool(set(head.bases) & ENUMS)
    for name, one in new.items():
        if name not in old:
            is_flag = not is_enum and not name.startswith("__")
            verdict = FeatureVerdict.GUARDED if is_flag else FeatureVerdict.ADDITIVE
            is_stored = name in attributes_stored(base.methods.values())
            if is_stored and one.default is not None:
                continue
            default = "no default" if one.default is None else ast.unparse(one.default)[:60]
            reason = f"{head.symbol} has a new field {name} ({default})"
            made = finding(pair, head.symbol, one.line, verdict, reason, kind="field")
            made.flags = frozenset({name}) if is_flag else frozenset()
            yield made
        elif not is_constructor and not same(one.default, old[name].default):
            if one.default is None or old[name].default is None:
                continue
            before, after = (ast.unparse(d)[:60] for d in (old[name].default, one.default) if d)
            reason = f"{head.symbol}.{name} was {before} and is now {after}"
            yield finding(
                pair, head.symbol, one.line, FeatureVerdict.DEFAULT_CHANGED, reason, kind="default"
            )
    if not is_constructor:
        for name in old:
            stored = attributes_stored(head.methods.values())
            if name not in new and name not in stored and not name.startswith("_"):
                reason = f"{head.symbol}.{name} is gone"
                yield finding(pair, head.symbol, head.node.lineno, FeatureVerdict.BREAKING, reason)


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


def _new_methods(pair: Pair, base: Class, head: Class) -> Iterator[Finding]:
    assert pair.head is not None
    for name, method in head.methods.items():
        if name in base.methods:
            continue
        overridden = _overrides(pair.head, head, method)
        line = method.node.lineno
        if overridden:
            reason = f"{method.symbol} is new and {overridden}, so what called that now gets here"
            yield finding(
                pair, method.symbol, line, FeatureVerdict.UNGUARDED, reason, kind="method"
            )
        else:
            reason = f"{method.symbol} is new and nothing on the base calls it"
            yield finding(pair, method.symbol, line, FeatureVerdict.ADDITIVE, reason, kind="method")


def _overrides(module: Module, cls: Class, method: Function) -> str:
    """Say what a new method takes the place of; the empty string when nothing."""
    name = method.name
    if name.startswith("__") and name.endswith("__"):
        return f"Python itself calls {name}"
    seen = [cls]
    for one in seen:
        for base in one.bases:
            known = module.classes.get(base)
            if known is not None and known not in seen:
                seen.append(known)
                if name in known.methods:
                    return f"overrides {known.symbol}.{name}"
    outside = {base for one in seen for base in one.bases if base not in module.classes}
    if not outside:
        return ""
    if name in _HOOKS:
        return f"overrides {name} of {sorted(outside)[0]}"
    if outside - _PLAIN_BASES and name.startswith(_HOOK_PREFIXES):
        return f"looks like a hook of {sorted(outside - _PLAIN_BASES)[0]}"
    return ""


def _gone_methods(pair: Pair, base: Class, head: Class) -> Iterator[Finding]:
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
        is_special = name.startswith("__") or name in _HOOKS
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
    return any(
        isinstance(node, ast.Attribute) and node.attr == name for node in ast.walk(module.tree)
    )


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


__all__ = ["class_findings", "finding", "last_name"]

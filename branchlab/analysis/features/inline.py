"""Helpers written out where they are called, so that an extracted function is the same as the code it was cut from.

Only functions that one side alone has are written out, and only where that surely means the same: every argument is
bound to one parameter, nothing is yielded, no decorator stands in between, and the helper returns at its end alone.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from branchlab.analysis.features import literals
from branchlab.analysis.features.clean import clean_body, is_pure
from branchlab.analysis.features.setting import Setting
from branchlab.analysis.features.syntax import Class, Function
from branchlab.analysis.features.trees import (
    FunctionNode,
    Transformer,
    all_flags,
    clone,
    dotted,
    parameters,
    self_attribute,
    stored_names,
    walk,
    walk_scope,
    with_flags,
)

_STATEMENTS_MAX = 60
_counter = itertools.count()


class Reduces(Protocol):
    """What is needed of the reducer that calls."""

    setting: Setting
    depth: int

    def block(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]: ...


def bound(node: FunctionNode, call: ast.Call, *, is_method: bool) -> dict[str, ast.expr] | None:
    """Return parameter -> argument or default of a call; None where that cannot be told."""
    arguments = node.args
    if (
        arguments.vararg
        or arguments.kwarg
        or any(isinstance(one, ast.Starred) for one in call.args)
    ):
        return None
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(
        zip([one.arg for one in reversed(positional)], reversed(arguments.defaults), strict=False)
    )
    for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if value is not None:
            defaults[one.arg] = value
    is_static = any(dotted(one) == "staticmethod" for one in node.decorator_list)
    names = [one.arg for one in positional][1 if is_method and not is_static else 0 :]
    if len(call.args) > len(names):
        return None
    found = dict(zip(names, call.args, strict=False))
    known = {one.arg for one in parameters(arguments)}
    for word in call.keywords:
        if word.arg is None or word.arg in found or word.arg not in known:
            return None
        found[word.arg] = word.value
    for name in (*names, *(one.arg for one in arguments.kwonlyargs)):
        if name not in found:
            if name not in defaults:
                return None
            found[name] = clone(defaults[name])
    return found


def _is_writable(node: FunctionNode) -> bool:
    if isinstance(node, ast.AsyncFunctionDef):
        return False
    if any(dotted(one) not in {"staticmethod", "property"} for one in node.decorator_list):
        return False
    return not any(
        isinstance(one, ast.Yield | ast.YieldFrom | ast.Await | ast.Global | ast.Nonlocal)
        for one in walk_scope(node)
    )


def _reduced(
    helper: Function, call: ast.Call, caller: Reduces
) -> tuple[list[ast.stmt], list[ast.stmt]] | None:
    """Return the assignments that hold arguments, and the helper's reduced body."""
    given = bound(helper.node, call, is_method=bool(helper.owner))
    if given is None or not _is_writable(helper.node):
        return None
    if sum(1 for _ in walk_scope(helper.node)) > _STATEMENTS_MAX * 30:
        return None
    body = clean_body(helper)
    own = stored_names(body)
    prefix = f"{helper.name}·{next(_counter)}·"
    before: list[ast.stmt] = []
    known: dict[str, ast.expr] = {}
    rename = {name: prefix + name for name in own}
    for name, value in given.items():
        if name not in own and _is_simple(value):
            known[name] = value
        else:
            rename[name] = prefix + name
            target = ast.Name(prefix + name, ast.Store())
            before.append(ast.copy_location(ast.Assign([target], value), call))
    renamed = [_Renamed(rename).visit(one) for one in body]
    # A name of the module that the caller hides has to mean the module's own here; the caller's is not known by it.
    names = {**caller.setting.names, **known}
    setting = replace(caller.setting, names=names)
    make: Any = type(caller)
    held = [
        (one.targets[0].id, one.value)
        for one in before
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
    ]
    setting.names = {**names, **{name: value for name, value in held if literals.is_value(value)}}
    inner = make(setting, [*before, *renamed], depth=caller.depth + 1)
    flags = _flags_read(helper, caller.setting)
    body_left = inner.block(renamed)
    for one in (*before, *body_left):
        for node in walk(one) if flags else ():
            if isinstance(node, ast.stmt):
                with_flags(node, flags)
    return before, body_left


def _flags_read(helper: Function, setting: Setting) -> frozenset[str]:
    """Return the flags that a helper reads through ``self``: code that was moved into it is theirs to rearrange."""
    read = {self_attribute(node) for node in walk(helper.node)} & setting.attributes.keys()
    return frozenset().union(*(all_flags(setting.attributes[name]) for name in read))


def _is_simple(value: ast.expr) -> bool:
    if literals.is_value(value):
        return True
    return bool(dotted(value))


class _Renamed(Transformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node


def written_out(
    helper: Function, call: ast.Call, caller: Reduces, *, is_returned: bool
) -> tuple[list[ast.stmt], ast.expr] | None:
    """Return the statements that a call stands for and the value that it has after them."""
    reduced = _reduced(helper, call, caller)
    if reduced is None or len(reduced[1]) > _STATEMENTS_MAX:
        return None
    before, body = reduced
    nothing: ast.expr = ast.copy_location(ast.Constant(None), call)
    num_returns = sum(
        isinstance(node, ast.Return) for one in body for node in (one, *walk_scope(one))
    )
    last = body[-1] if body else None
    if isinstance(last, ast.Return) and num_returns == 1:
        return [*before, *body[:-1]], last.value or nothing
    if not num_returns:
        return [*before, *body], nothing
    return ([*before, *body], nothing) if is_returned else None


def returned_expression(helper: Function, call: ast.Call, caller: Reduces) -> ast.expr | None:
    """Return the one expression that a helper comes to; None for a helper that does more."""
    reduced = _reduced(helper, call, caller)
    if reduced is None:
        return None
    before, body = reduced
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return None
    given = {
        one.targets[0].id: one.value
        for one in before
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
    }
    return one_expression(body[0].value, given)


def one_expression(body: ast.expr, given: Mapping[str, ast.expr]) -> ast.expr | None:
    """Put arguments into an expression, where none of them is evaluated twice, not at all, or out of order."""
    counts = dict.fromkeys(given, 0)
    for node in walk(body):
        if isinstance(node, ast.Name) and node.id in counts:
            counts[node.id] += 1
        if isinstance(node, ast.Lambda) and given:
            return None
    impure = [name for name, value in given.items() if not is_pure(value)]
    if any(counts[name] != 1 for name in impure) or len(impure) > 1:
        return None
    if any(counts[name] > 1 and not _is_simple(value) for name, value in given.items()):
        return None
    made: ast.expr = _Put(given).visit(clone(body))
    return made


class _Put(Transformer):
    def __init__(self, given: Mapping[str, ast.expr]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return clone(self.given[node.id]) if node.id in self.given else node


def is_identity_class(cls: Class, call: ast.Call, caller: Reduces) -> bool:
    """Whether a new class, constructed like this, returns its first argument as it is."""
    make, forward = cls.methods.get("__init__"), cls.methods.get("forward")
    if make is None or forward is None or forward.node.decorator_list:
        return False
    given = bound(make.node, call, is_method=True)
    if given is None or not all(map(_is_simple, given.values())):
        return False
    reducer: Any = type(caller)
    body = clean_body(make)
    setting = replace(caller.setting, names=given, attributes={}, methods={})
    stored = reducer(setting, body, depth=caller.depth + 1).block(body)
    attributes: dict[str, ast.expr] = {}
    for one in stored:
        match one:
            case ast.Assign(targets=[ast.Attribute() as target], value=value):
                name = self_attribute(target)
                if not name or not literals.is_value(value):
                    return False
                attributes[name] = value
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="__init__"), args=[])):
                continue
            case _:
                return False
    first = [one.arg for one in forward.node.args.args][1:2]
    steps = clean_body(forward)
    inside = replace(caller.setting, names={}, attributes=attributes, methods={})
    left = reducer(inside, steps, depth=caller.depth + 1).block(steps)
    match left:
        case [ast.Return(value=ast.Name(id=name))]:
            return [name] == first
        case _:
            return False

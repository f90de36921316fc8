"""Blocks that branch, in one form: no empty branch, no ``else`` after a way out, what is before what is not."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from branchlab.analysis.features import fold, literals
from branchlab.analysis.features.clean import impure_calls, is_pure
from branchlab.analysis.features.trees import (
    dump,
    flags_of,
    loaded_names,
    with_flags,
)

_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def terminates(statements: Sequence[ast.stmt]) -> bool:
    """Whether the end of a block is never reached."""
    if not statements:
        return False
    last = statements[-1]
    if isinstance(last, ast.If):
        return terminates(last.body) and terminates(last.orelse)
    if isinstance(last, ast.With):
        return terminates(last.body) and not isinstance(last.body[-1], ast.Raise)
    return isinstance(last, _ENDS)


def normal_if(
    node: ast.If, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]
) -> list[ast.stmt]:
    """Return an ``if`` without empty branches, ``else`` after a way out, or a test that could be joined."""
    if not body and not orelse:
        return [ast.copy_location(ast.Expr(one), node) for one in impure_calls(test)]
    if [dump(one) for one in body] == [dump(one) for one in orelse] and is_pure(test):
        return body
    if not body or (terminates(orelse) and not terminates(body)):
        negated = ast.copy_location(ast.UnaryOp(ast.Not(), test), test)
        test, body, orelse = fold.fold_not(negated), orelse, body
    elif orelse and (positive := fold.negated(test)) is not None:
        test, body, orelse = positive, orelse, body
    if terminates(body) and orelse:
        return [ast.copy_location(ast.If(test, body, []), node), *orelse]
    if len(body) == 1 and isinstance(body[0], ast.If) and not orelse and not body[0].orelse:
        parts = [*_conjuncts(test), *_conjuncts(body[0].test)]
        return [ast.copy_location(ast.If(ast.BoolOp(ast.And(), parts), body[0].body, []), node)]
    return [ast.copy_location(ast.If(test, body, orelse), node)]


def _conjuncts(test: ast.expr) -> list[ast.expr]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return test.values
    return [test]


def hoisted(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Drop what follows a way out; ask what is before what is not; give a name its other value in an ``else``."""
    for at, one in enumerate(statements):
        if terminates([one]):
            statements = statements[: at + 1]
            break
    for at in reversed(range(len(statements))):
        one = statements[at]
        if not isinstance(one, ast.If) or one.orelse:
            continue
        rest = statements[at + 1 :]
        positive = fold.negated(one.test)
        if positive is not None and rest and terminates(one.body) and terminates(rest):
            turned = ast.copy_location(ast.If(positive, rest, []), one)
            statements = [*statements[:at], with_flags(turned, flags_of(one)), *one.body]
    return _with_other_value(statements)


def _with_other_value(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Write ``x = 1`` before ``if c: x = 2`` as its ``else``."""
    found: list[ast.stmt] = []
    for one in statements:
        match (found[-1] if found else None, one):
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value) as first,
                ast.If(
                    test=test,
                    body=[ast.Assign(targets=[ast.Name(id=other)], value=then)],
                    orelse=[],
                ),
            ) if name == other and literals.is_constant(value):
                if name not in loaded_names(test) | loaded_names(then) and is_pure(test):
                    found.pop()
                    whole = ast.copy_location(ast.If(test, one.body, [first]), one)
                    found += normal_if(whole, test, whole.body, whole.orelse)
                    continue
        found.append(one)
    return found

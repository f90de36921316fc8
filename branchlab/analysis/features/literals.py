"""Values that can be read off the source: what they are, whether they count as true, whether they are None."""

from __future__ import annotations

import ast

from branchlab.analysis.features.trees import (
    all_flags,
    dotted,
    last_name,
    with_flags,
)

_GIVEN = "·given"


def constant(value: object, *, like: ast.AST) -> ast.expr:
    """Return a constant that remembers the flags of what it stands for."""
    made = ast.copy_location(ast.Constant(value), like)  # type: ignore[arg-type]
    return with_flags(made, all_flags(like))


def is_constant(node: ast.AST | None) -> bool:
    """Whether a node is one plain value that nothing can change: also ``-1`` and a tuple of plain values."""
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            return True
        case ast.Tuple(elts=elts):
            return all(is_constant(one) for one in elts)
        case _:
            return False


def is_value(node: ast.AST | None) -> bool:
    """Whether a node is worth putting in place of a name: a plain value, an identity, an empty or plain literal."""
    match node:
        case ast.Dict(keys=keys, values=values):
            return all(is_constant(one) for one in (*keys, *values) if one is not None)
        case ast.List(elts=elts):
            return all(is_constant(one) for one in elts)
        case ast.Call():
            return is_identity(node)
        case ast.Lambda():
            return True
        case _:
            return is_constant(node)


def is_identity(node: ast.AST | None) -> bool:
    """Whether a node makes a module that returns what it is given: ``nn.Identity()``, dropout of nothing."""
    if not isinstance(node, ast.Call):
        return False
    name = last_name(node.func)
    if name == "Identity":
        return True
    given = [
        *node.args[:1],
        *(word.value for word in node.keywords if word.arg in {"p", "drop_prob"}),
    ]
    if name not in {"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "DropPath", "AlphaDropout"}:
        return False
    return bool(given) and isinstance(given[0], ast.Constant) and given[0].value == 0


def truth(node: ast.AST) -> bool | None:  # noqa: PLR0911  one arm a kind of value
    """Return whether a value counts as true, where that is known."""
    match node:
        case ast.Constant(value=value):
            return bool(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)):
            return bool(value)
        case ast.Tuple(elts=elts) | ast.List(elts=elts) | ast.Set(elts=elts):
            return None if any(isinstance(one, ast.Starred) for one in elts) else bool(elts)
        case ast.Dict(keys=keys):
            return None if None in keys else bool(keys)
        case ast.Lambda():
            return True
        case ast.Call():
            return True if is_identity(node) else None
        case _:
            return None


def marked(name: str) -> ast.expr:
    """Return a name that stands for some value other than None."""
    return ast.Call(ast.Name(_GIVEN, ast.Load()), [ast.Name(name, ast.Load())], [])


def without_mark(node: ast.expr) -> ast.expr:
    """Return the name that ``marked`` stands for, and anything else as it is."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _GIVEN:
        return node.args[0]
    return node


def is_none(node: ast.AST) -> bool | None:
    """Return whether a value is None, where that is known."""
    if isinstance(node, ast.Call) and dotted(node.func) == _GIVEN:
        return False
    if isinstance(node, ast.Constant):
        return node.value is None
    known = (
        *(ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Lambda, ast.JoinedStr, ast.ListComp),
        *(ast.BinOp, ast.Compare),
    )
    if isinstance(node, known) or is_identity(node):
        return False
    if isinstance(node, ast.UnaryOp):
        return False
    return None


def literal(node: ast.AST) -> object:
    """Return the value of a node for which ``is_constant`` holds."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(operand=ast.Constant(value=int() | float() | complex() as number)):
            return -number
        case ast.Tuple(elts=elts):
            return tuple(literal(one) for one in elts)
        case _:
            return None

"""Lists that are built step by step as one literal, and loops that count for nobody."""

from __future__ import annotations

import ast
from collections import Counter

from branchlab.analysis.features.trees import (
    clone,
    loaded_names,
)


def without_counter(node: ast.For, loads: Counter[str]) -> None:
    """Write ``for _, x in enumerate(xs)`` as ``for x in xs``."""
    match node:
        case ast.For(
            target=ast.Tuple(elts=[ast.Name(id=name), item]),
            iter=ast.Call(func=ast.Name(id="enumerate"), args=[given], keywords=[]),
        ) if not loads[name]:
            node.target, node.iter = item, given
        case _:
            pass


def collected(before: ast.stmt, after: ast.stmt) -> ast.stmt | None:
    """Return the list that ``xs = [a]`` and then ``xs.append(b)``, ``xs += [b]`` or ``xs.extend([b])`` make."""
    match before:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=elts)):
            pass
        case _:
            return None
    more: list[ast.expr]
    match after:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner), attr="append"), args=[one], keywords=[]
            )
        ):
            more = [one]
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner), attr="extend"),
                args=[ast.List(elts=more)],
                keywords=[],
            )
        ):
            pass
        case ast.AugAssign(target=ast.Name(id=owner), op=ast.Add(), value=ast.List(elts=more)):
            pass
        case _:
            return None
    if owner != name or any(name in loaded_names(one) for one in more):
        return None
    made = clone(before)
    assert isinstance(made, ast.Assign)
    made.value = ast.copy_location(ast.List([*elts, *more], ast.Load()), before)
    return made

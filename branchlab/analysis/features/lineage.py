"""What a module tells about its classes, its one-line helpers and its dictionaries."""

from __future__ import annotations

import ast

from branchlab.analysis.features.syntax import Class, Function, Module
from branchlab.analysis.features.trees import (
    dotted,
)


def lineage(module: Module, cls: Class) -> list[Class]:
    """Return a class and those of its bases that stand in the same file, nearest first."""
    found = [cls]
    for one in found:
        for name in one.bases:
            base = module.classes.get(name)
            if base is not None and base not in found:
                found.append(base)
    return found


def is_one_liner(function: Function) -> bool:
    """Whether a function returns one expression, after one statement at most."""
    body = [
        one
        for one in function.node.body
        if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
    ]
    return bool(body) and isinstance(body[-1], ast.Return) and len(body) <= 2  # noqa: PLR2004


def tables(module: Module) -> dict[str, ast.expr]:
    """Return dictionaries at module level that are written once."""
    found = {
        one.targets[0].id: one.value
        for one in module.statements
        if isinstance(one, ast.Assign)
        and isinstance(one.targets[0], ast.Name)
        and isinstance(one.value, ast.Dict)
    }
    if not found:
        return {}
    changed = {
        dotted(node.value)
        for node in module.nodes
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
    }
    changed |= {
        dotted(node.func.value)
        for node in module.nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"update", "setdefault", "pop", "clear", "register"}
    }
    return {name: value for name, value in found.items() if name not in changed}

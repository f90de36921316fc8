"""Whether two bodies may share one function: names that are local in one and global in the other forbid it."""

from __future__ import annotations

import ast

from branchlab.analysis.features.trees import (
    FunctionNode,
    all_parameter_names,
    loaded_names,
    stored_names,
    walk,
    walk_scope,
)


def scope_conflict(base: FunctionNode, head: FunctionNode) -> str:
    """Return why the bodies cannot stand in one function; the empty string when they can."""
    if isinstance(base, ast.AsyncFunctionDef) is not isinstance(head, ast.AsyncFunctionDef):
        return "one of the two is async"
    if _yields(base) is not _yields(head):
        return "one of the two is a generator"
    if _declared(base) != _declared(head):
        return "they declare other names global or nonlocal"
    old, new = _locals(base), _locals(head)
    for own, other, node in ((new - old, "base", base), (old - new, "head", head)):
        clash = own & {name for statement in node.body for name in loaded_names(statement)}
        if clash:
            return f"'{min(clash)}' is a local name in one and a global one in the {other}"
    return ""


def lost_parameters(base: FunctionNode, head: FunctionNode) -> list[str]:
    """Return the parameters of the base that head no longer has."""
    kept = all_parameter_names(head.args)
    return sorted(all_parameter_names(base.args) - kept)


def is_generator(node: FunctionNode) -> bool:
    """Whether calling it gives an iterator."""
    return _yields(node)


def _yields(node: FunctionNode) -> bool:
    return any(isinstance(one, ast.Yield | ast.YieldFrom) for one in walk_scope(node))


def _locals(node: FunctionNode) -> set[str]:
    return all_parameter_names(node.args) | stored_names(node.body)


def _declared(node: FunctionNode) -> set[str]:
    return {
        name
        for one in walk(node)
        if isinstance(one, ast.Global | ast.Nonlocal)
        for name in one.names
    }

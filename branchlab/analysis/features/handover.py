"""Locals that only hand a value over: ``t = f(x); t = g(t); x = t`` is ``x = f(x); x = g(x)``.

Helpers that are written out where they are called bring names of their own; where such a name ends by being given to
another one, and that other is not needed meanwhile, the two are one.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence

from branchlab.analysis.features.trees import loaded_names, walk


def mentions(statements: Sequence[ast.stmt]) -> Counter[str]:
    """Count how often each name stands in statements."""
    return Counter(
        node.id for one in statements for node in walk(one) if isinstance(node, ast.Name)
    )


def closed_over(statements: Sequence[ast.stmt]) -> set[str]:
    """Return names that functions and lambdas inside of statements read."""
    return {
        name
        for one in statements
        for node in walk(one)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for name in loaded_names(node)
    }


def without_handovers(
    block: list[ast.stmt], everywhere: Counter[str], kept: frozenset[str] | set[str]
) -> list[ast.stmt]:
    """Return a block in which every name that is only handed over bears the name that it is handed to.

    Args:
        block: Statements one after the other; changed in place.
        everywhere: Mentions in the whole function.
        kept: Names that others may read.
    """
    at = 0
    while at < len(block):
        match block[at]:
            case ast.Assign(targets=[ast.Name(id=new)], value=ast.Name(id=old)) if (
                new != old and not {new, old} & kept
            ):
                first = _start(block, at, new, old, everywhere)
                if first is not None:
                    for one in block[first:at]:
                        _rename(one, old, new)
                    everywhere[new] += everywhere.pop(old) - 2
                    del block[at]
                    continue
            case _:
                pass
        at += 1
    return block


def _start(
    block: Sequence[ast.stmt], end: int, new: str, old: str, everywhere: Counter[str]
) -> int | None:
    """Return where the life of ``old`` begins, if it ends at ``end`` and ``new`` is not needed in between."""
    first = next((i for i in range(end) if mentions([block[i]])[old]), None)
    if first is None or mentions(block[first : end + 1])[old] != everywhere[old]:
        return None
    begin = block[first]
    is_begun = isinstance(begin, ast.Assign) and isinstance(begin.targets[0], ast.Name)
    if not is_begun or not isinstance(begin, ast.Assign) or old in loaded_names(begin.value):
        return None
    if mentions([begin])[old] != 1 or mentions(block[first + 1 : end])[new]:
        return None
    return first if isinstance(begin.targets[0], ast.Name) and begin.targets[0].id == old else None


def _rename(statement: ast.stmt, old: str, new: str) -> None:
    for node in walk(statement):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = new

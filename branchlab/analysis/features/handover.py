"""Locals that only hand a value over: ``t = f(x); t = g(t); x = t`` is ``x = f(x); x = g(x)``.

Helpers that are written out where they are called bring names of their own; where such a name ends by being given to
another one, and that other is not needed meanwhile, the two are one.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Sequence

from branchlab.analysis.features.clean import is_pure
from branchlab.analysis.features.trees import (
    COMPREHENSIONS,
    Transformer,
    below,
    loaded_names,
    stored_names,
    walk,
)

_NODES_MAX = 200


def mentions(nodes: Iterable[ast.AST]) -> Counter[str]:
    """Count how often each name is among nodes."""
    return Counter(node.id for node in nodes if isinstance(node, ast.Name))


def closed_over(nodes: Iterable[ast.AST]) -> set[str]:
    """Return names that the functions and lambdas among nodes read."""
    return {
        name
        for node in nodes
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
    first = next((i for i in range(end) if mentions(walk(block[i]))[old]), None)
    if first is None or mentions(below(block[first : end + 1]))[old] != everywhere[old]:
        return None
    begin = block[first]
    is_begun = isinstance(begin, ast.Assign) and isinstance(begin.targets[0], ast.Name)
    if not is_begun or not isinstance(begin, ast.Assign) or old in loaded_names(begin.value):
        return None
    if mentions(walk(begin))[old] != 1 or mentions(below(block[first + 1 : end]))[new]:
        return None
    return first if isinstance(begin.targets[0], ast.Name) and begin.targets[0].id == old else None


def with_values_put_in(
    block: list[ast.stmt], loads: Counter[str], kept: frozenset[str] | set[str]
) -> int:
    """Put a value without effects where its name is read, when that is once and nothing in between could change it.

    Args:
        block: Statements one after the other; changed in place.
        loads: How often each name is read in the whole function.
        kept: Names that others may read.

    Returns:
        How many names are gone.
    """
    num_gone = 0
    at = 0
    while at < len(block):
        place = _only_reader(block, at, loads, kept)
        if place is None:
            at += 1
            continue
        begin = block[at]
        assert isinstance(begin, ast.Assign)
        assert isinstance(begin.targets[0], ast.Name)
        put = _Put(begin.targets[0].id, begin.value)
        block[place] = put.visit(block[place])
        del block[at]
        num_gone += 1
    return num_gone


def _only_reader(
    block: Sequence[ast.stmt], at: int, loads: Counter[str], kept: frozenset[str] | set[str]
) -> int | None:
    """Return the place of the one simple statement that reads what the one at ``at`` assigns."""
    match block[at]:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in kept and is_pure(
            value
        ):
            pass
        case _:
            return None
    needed = loaded_names(value)
    if needed & kept or len(walk(value)) > _NODES_MAX:
        return None
    own = sum(isinstance(one, ast.Name) and one.id == name for one in walk(value))
    for place in range(at + 1, len(block)):
        one = block[place]
        if not isinstance(one, ast.Assign | ast.Return) or not _is_plain(one):
            return None
        read = [n for n in walk(one) if isinstance(n, ast.Name) and n.id == name]
        stored = stored_names([one])
        num_read = sum(isinstance(n.ctx, ast.Load) for n in read)
        if num_read:
            is_last = name in stored or isinstance(one, ast.Return) or loads[name] - own == 1
            return place if num_read == 1 and is_last and not _is_nested(one, name) else None
        if name in stored or stored & needed:
            return None
    return None


def _is_plain(one: ast.Assign | ast.Return) -> bool:
    """Whether a statement does nothing but give names values without effects."""
    targets = one.targets if isinstance(one, ast.Assign) else []
    return all(isinstance(target, ast.Name) for target in targets) and (
        one.value is None or is_pure(one.value)
    )


def _is_nested(one: ast.stmt, name: str) -> bool:
    """Whether a name is read where it may be read several times, or not at all."""
    return any(
        name in loaded_names(node)
        for node in walk(one)
        if isinstance(node, (ast.Lambda, ast.IfExp, ast.BoolOp, *COMPREHENSIONS))
    )


class _Put(Transformer):
    def __init__(self, name: str, value: ast.expr) -> None:
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> ast.AST:
        is_read = node.id == self.name and isinstance(node.ctx, ast.Load)
        return self.value if is_read else node


def _rename(statement: ast.stmt, old: str, new: str) -> None:
    for node in walk(statement):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = new

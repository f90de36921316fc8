"""How a body uses its names: what is only looked up, what begins as a number, what belongs to an outer scope."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from branchlab.analysis.features.trees import (
    loaded_names,
    walk,
)

_LOOKING = {ast.Subscript, ast.Call, ast.Compare, ast.keyword, ast.Starred}


def read_only_tables(nodes: Iterable[ast.AST]) -> set[str]:
    """Return names that are only ever looked up: ``x[k]``, ``x.get(k)``, ``k in x``, ``**x``."""
    looked_up: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for node in nodes:
        if isinstance(node, ast.Name):
            seen[node.id] += 1
        elif type(node) in _LOOKING:
            looked_up.update(_looked_up(node))
    # One more sight of the name is the assignment itself.
    return {name for name, count in looked_up.items() if seen[name] == count + 1}


def _looked_up(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Load()):
            return (name,)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get" | "keys")):
            return (name,)
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id=name)]):
            return (name,)
        case ast.keyword(arg=None, value=ast.Name(id=name)) | ast.Starred(value=ast.Name(id=name)):
            return (name,)
        case _:
            return ()


def numbers(nodes: Iterable[ast.AST]) -> set[str]:
    """Return names that begin as a plain number or text: adding to one makes a new value, whatever is added."""
    begun: dict[str, bool] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            if isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                is_plain = isinstance(node.value, ast.Constant) and node.value.value is not None
                begun[name] = begun.get(name, True) and (
                    is_plain or name in loaded_names(node.value)
                )
        elif isinstance(node, ast.For | ast.withitem | ast.comprehension):
            target = node.optional_vars if isinstance(node, ast.withitem) else node.target
            for inner in walk(target) if target is not None else ():
                if isinstance(inner, ast.Name):
                    begun[inner.id] = False
    return {name for name, is_number in begun.items() if is_number}


def leaves_loop(body: Sequence[ast.stmt]) -> bool:
    """Whether a loop body has a ``break`` or ``continue``."""
    return any(isinstance(node, ast.Break | ast.Continue) for one in body for node in walk(one))


def kept_names(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield names that are declared global or nonlocal: they are not the function's own."""
    for one in statements:
        for node in walk(one):
            if isinstance(node, ast.Global | ast.Nonlocal):
                yield from node.names

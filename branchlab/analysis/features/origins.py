"""Where imported names come from, as one absolute dotted path, whatever way the import is written."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from branchlab.analysis.features.syntax import Module
from branchlab.analysis.features.trees import Transformer

_ROOTS = {"src", "lib"}


def dotted_module(path: str) -> str:
    """Return the dotted name under which a file is imported."""
    parts = list(PurePosixPath(path).with_suffix("").parts)
    if parts and parts[-1] == "__init__":
        parts.pop()
    while parts and parts[0] in _ROOTS:
        parts.pop(0)
    return ".".join(parts)


def has_star(module: Module) -> bool:
    """Whether a module takes names that cannot be seen in it."""
    return any(alias.name == "*" for one in module.imports for alias in one.names)


def origins(
    path: str, imports: Iterable[ast.Import | ast.ImportFrom], moves: Mapping[str, str]
) -> dict[str, str]:
    """Return local name -> absolute dotted origin; ``moves`` maps old places of this pair of revisions to new ones."""
    found: dict[str, str] = {}
    for one in imports:
        for alias in one.names:
            if alias.name == "*":
                continue
            if isinstance(one, ast.ImportFrom):
                origin = f"{_absolute(path, one)}.{alias.name}".lstrip(".")
                found[alias.asname or alias.name] = _moved(origin, moves)
            elif alias.asname:
                found[alias.asname] = _moved(alias.name, moves)
    return found


def _moved(origin: str, moves: Mapping[str, str]) -> str:
    if origin in moves:
        return moves[origin]
    head, _, last = origin.rpartition(".")
    return f"{moves[head]}.{last}" if head in moves else origin


def _absolute(path: str, one: ast.ImportFrom) -> str:
    if not one.level:
        module = one.module or ""
        return ".".join(module.split(".")[1:]) if module.split(".")[0] in _ROOTS else module
    folder = PurePosixPath(path).parent
    for _ in range(one.level - 1):
        folder = folder.parent
    package = dotted_module(str(folder / "__init__.py"))
    return ".".join(part for part in (package, one.module or "") if part)


class Qualified(Transformer):
    """Writes imported names as the dotted path that they stand for."""

    def __init__(self, places: Mapping[str, str], own: set[str]) -> None:
        self.places = {name: place for name, place in places.items() if name not in own}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        place = self.places.get(node.id)
        if place is None or not isinstance(node.ctx, ast.Load):
            return node
        parts = place.split(".")
        made: ast.expr = ast.copy_location(ast.Name(parts[0], ast.Load()), node)
        for part in parts[1:]:
            made = ast.copy_location(ast.Attribute(made, part, ast.Load()), node)
        return made


def qualified(
    statements: Iterable[ast.stmt], places: Mapping[str, str], own: set[str]
) -> list[ast.stmt]:
    """Return statements with imported names written out; the ones given are used up."""
    writer = Qualified(places, own)
    return [writer.visit(one) for one in statements] if writer.places else list(statements)

"""How one file calls what another defines: ``ConvNet``, ``Net`` after ``import … as``, ``models.ConvNet``."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath

from branchlab.analysis.features.syntax import Module
from branchlab.analysis.guard.files import HeadFiles

_DEPTH_MAX = 4


def spellings(files: HeadFiles, module: Module, path: str, name: str, depth: int = 0) -> set[str]:
    """Return the dotted names under which ``module`` knows ``name`` of the file ``path``."""
    found = {name} if module.path == path else set()
    if depth > _DEPTH_MAX:
        return found
    imports = [node for node in module.nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imports:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if path in _places(module.path, alias.name, 0):
                    found.add(f"{alias.asname or alias.name}.{name}")
            continue
        source = node.module or ""
        for alias in node.names:
            local = alias.asname or alias.name
            inner = f"{source}.{alias.name}" if source else alias.name
            if path in _places(module.path, inner, node.level):
                found.add(f"{local}.{name}")
            if alias.name in {name, "*"} and _leads_to(files, module, node, path, name, depth):
                found.add(name if alias.name == "*" else local)
    return found


def aliases_of_file(module: Module, path: str) -> set[str]:
    """Return the names under which ``module`` knows the file ``path`` itself."""
    found = set()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            found |= {
                a.asname or a.name for a in node.names if path in _places(module.path, a.name, 0)
            }
        elif isinstance(node, ast.ImportFrom):
            source = f"{node.module}." if node.module else ""
            found |= {
                a.asname or a.name
                for a in node.names
                if path in _places(module.path, source + a.name, node.level)
            }
    return found


def _leads_to(
    files: HeadFiles, module: Module, node: ast.ImportFrom, path: str, name: str, depth: int
) -> bool:
    places = _places(module.path, node.module or "", node.level)
    if path in places:
        return True
    between = files.first_of(place for place in places if place != module.path)
    other = files.module(between) if between else None
    return other is not None and name in spellings(files, other, path, name, depth + 1)


def _places(importer: str, dotted: str, level: int) -> list[str]:
    """Return the files that an import may mean, the likeliest first."""
    parts = [part for part in dotted.split(".") if part]
    folder = PurePosixPath(importer).parent
    if level:
        for _ in range(level - 1):
            folder = folder.parent
        starts = [folder]
    else:
        starts = [PurePosixPath(), *(up for up in (folder, *folder.parents) if up.parts)]
        starts.insert(1, PurePosixPath("src"))
    found = []
    for start in starts:
        place = start.joinpath(*parts)
        if parts:
            found.append(f"{place}.py")
        found.append(str(place / "__init__.py"))
    return found

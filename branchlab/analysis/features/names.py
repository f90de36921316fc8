"""Names that exist nowhere: read in a head file and bound in none of its scopes, or imported from where they are not."""

from __future__ import annotations

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterable
from pathlib import PurePosixPath

from branchlab.analysis.features.syntax import Module, top_names
from branchlab.analysis.features.trees import walk, walk_scope

_KNOWN = {
    *dir(builtins),
    *("__file__", "__name__", "__doc__", "__path__", "__package__", "__spec__", "__loader__"),
    *("__builtins__", "__class__", "__annotations__", "__version__", "__module__", "__qualname__"),
    *("WindowsError", "unicode", "reveal_type", "__debug__", "get_ipython", "profile"),
}
_DYNAMIC = {"globals", "exec", "locals"}


def undefined_names(module: Module, text: str) -> dict[str, int]:
    """Return names that a file reads and nobody binds, with the line of the first sight.

    A file that binds names in ways that cannot be read (a star import, ``globals()``) has none.
    """
    if any(alias.name == "*" for one in module.imports for alias in one.names):
        return {}
    read = {node.id for node in module.nodes if isinstance(node, ast.Name)}
    if read & _DYNAMIC:
        return {}
    try:
        table = symtable.symtable(text, module.path, "exec")
        free = _free(table)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    missing = free - _bound(module) - _KNOWN
    if not missing:
        return {}
    guarded = _guarded(module)
    return {
        node.id: node.lineno
        for node in sorted(_names(module), key=lambda one: -one.lineno)
        if node.id in missing and node.id not in guarded
    }


def _names(module: Module) -> Iterable[ast.Name]:
    annotations = {
        id(inner)
        for node in module.nodes
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if part is not None
        for inner in walk(part)
    }
    return [
        node
        for node in module.nodes
        if isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and id(node) not in annotations
    ]


def _free(table: symtable.SymbolTable) -> set[str]:
    found: set[str] = set()
    # Most names of a function are its own and need no closer look.
    names = table.get_globals() if isinstance(table, symtable.Function) else table.get_identifiers()
    for name in names:
        symbol = table.lookup(name)
        is_outer = symbol.is_global() or (table.get_type() == "module" and not symbol.is_assigned())
        if symbol.is_referenced() and is_outer and not symbol.is_imported():
            found.add(name)
    for child in table.get_children():
        found |= _free(child)
    return found


def _bound(module: Module) -> set[str]:
    declared = {
        name for node in module.nodes if isinstance(node, ast.Global) for name in node.names
    }
    walrus = {node.target.id for node in module.nodes if isinstance(node, ast.NamedExpr)}
    return top_names(module) | declared | walrus


def _guarded(module: Module) -> set[str]:
    """Return names that are read below ``try: … except NameError``."""
    return {
        inner.id
        for node in module.nodes
        if isinstance(node, ast.Try)
        and any(
            "NameError" in ast.dump(h.type) or "Exception" in ast.dump(h.type)
            for h in node.handlers
            if h.type
        )
        for one in node.body
        for inner in walk(one)
        if isinstance(inner, ast.Name)
    }


def import_targets(path: str, one: ast.ImportFrom) -> list[str]:
    """Return the files of the tree that ``from x import y`` may mean."""
    parts = (one.module or "").split(".") if one.module else []
    prefixes = [PurePosixPath()]
    if one.level:
        folder = PurePosixPath(path).parent
        for _ in range(one.level - 1):
            folder = folder.parent
        prefixes = [folder]
    else:
        prefixes += [PurePosixPath("src")]
    found: list[str] = []
    for prefix in prefixes:
        place = prefix.joinpath(*parts)
        found += [f"{place}.py"] if parts else []
        found.append(str(place / "__init__.py"))
    return list(dict.fromkeys(found))


def given_names(module: Module) -> set[str] | None:
    """Return the names that a module gives; None where that cannot be read."""
    if any(alias.name == "*" for one in module.imports for alias in one.names):
        return None
    names = top_names(module)
    if "__getattr__" in names or any(
        isinstance(node, ast.Name) and node.id in _DYNAMIC for node in module.nodes
    ):
        return None
    nested = {
        name
        for statement in module.statements
        for node in walk(statement)
        for name in ([node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else [])
    }
    return names | nested


def out_of_order(module: Module) -> dict[str, int]:
    """Return functions and classes that the module uses while it is imported, before they are defined."""
    defined = {
        one.name: one.lineno
        for one in module.tree.body
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    found: dict[str, int] = {}
    for one in module.tree.body:
        for node in _at_import(one):
            line = defined.get(node.id, 0)
            if line > one.lineno and node.id not in module.imported_names():
                found[node.id] = one.lineno
    return found


def _at_import(statement: ast.stmt) -> Iterable[ast.Name]:
    """Return the names that a statement of a module reads at once."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        parts: list[ast.AST] = [*statement.decorator_list, *statement.args.defaults]
    elif isinstance(statement, ast.ClassDef):
        parts = [*statement.decorator_list, *statement.bases]
    elif isinstance(statement, ast.If | ast.Try):
        return []
    else:
        parts = [statement]
    return [
        node
        for part in parts
        for node in (part, *walk_scope(part))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ]


def refused(text: str) -> tuple[str, int] | None:
    """Return why Python refuses to compile a text that parses, and where."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "head", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.msg or "syntax error", error.lineno or 0
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return None
    return None

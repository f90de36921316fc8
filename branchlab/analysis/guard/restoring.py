"""Names that the base's code needs and head has let go: imports, functions, classes, constants, methods come back."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import libcst as cst

from branchlab.analysis.features.syntax import Module, top_names
from branchlab.analysis.features.trees import dump, loaded_names, walk
from branchlab.analysis.guard.bodies import Site
from branchlab.analysis.guard.code import definition, exchange, is_docstring
from branchlab.analysis.guard.proposal import CannotGuardError

_ROUNDS_MAX = 20


def restore_names(module: cst.Module, site: Site) -> cst.Module:
    """Return the module with what the base's body of a function needs.

    Raises:
        CannotGuardError: A name means something else in head.
    """
    needed = {
        name for statement in site.old_node.body for name in loaded_names(statement)
    } & top_names(site.base)
    _check_meanings(site, needed)
    base = cst.parse_module(site.change.base or "")
    for _ in range(_ROUNDS_MAX):
        there = top_names_of(module)
        missing = sorted(needed - there)
        if not missing:
            break
        module = _bring_back(module, base, missing[0], before=site.symbol.partition(".")[0])
        known = site.base.functions.get(missing[0]) or site.base.classes.get(missing[0])
        if known is not None:
            needed |= loaded_names(known.node) & top_names(site.base)
    return _bring_methods_back(module, base, site)


def top_names_of(module: cst.Module) -> set[str]:
    """Return every name that a module binds at its top level."""
    return top_names(Module(path="", tree=ast.parse(module.code)))


def _check_meanings(site: Site, needed: set[str]) -> None:
    old, new = _imported(site.base), _imported(site.head)
    for name in sorted(needed):
        if name in old and name in new and old[name] != new[name]:
            raise CannotGuardError(
                f"'{name}' was {old[name]} and is {new[name]} now, and the code of both needs its own",
                by_hand=f"import one of them in {site.path} under another name",
            )
        if name in old and name not in new and name in top_names(site.head):
            raise CannotGuardError(
                f"'{name}' was imported from {old[name]} and is defined in {site.path} now",
                by_hand=f"give the new {name} in {site.path} a name of its own",
            )


def _imported(module: Module) -> dict[str, str]:
    found = {}
    for node in module.imports:
        source = ""
        if isinstance(node, ast.ImportFrom):
            source = f"{'.' * node.level}{node.module or ''}:"
        for alias in node.names:
            local = alias.asname or alias.name.partition(".")[0]
            found[local] = source + alias.name
    return found


def _bring_back(module: cst.Module, base: cst.Module, name: str, *, before: str) -> cst.Module:
    for statement in base.body:
        if name not in top_names(Module(path="", tree=ast.parse(base.code_for_node(statement)))):
            continue
        body = list(module.body)
        if isinstance(statement, cst.SimpleStatementLine) and isinstance(
            statement.body[0], cst.Import | cst.ImportFrom
        ):
            made: cst.BaseStatement = _one_import(statement, name)
            at = _after_imports(body)
        else:
            made = statement
            at = next((i for i, one in enumerate(body) if _name_of(one) == before), len(body))
        return module.with_changes(body=[*body[:at], made, *body[at:]])
    raise CannotGuardError(
        f"'{name}', which the base's code needs, is bound in a way that cannot be copied",
        by_hand=f"bring {name} back",
    )


def _one_import(statement: cst.SimpleStatementLine, name: str) -> cst.SimpleStatementLine:
    """Return an import of one name alone."""
    first = statement.body[0]
    assert isinstance(first, cst.Import | cst.ImportFrom)
    plain = statement.with_changes(leading_lines=[])
    if isinstance(first.names, cst.ImportStar):
        return plain
    kept = [
        one.with_changes(comma=cst.MaybeSentinel.DEFAULT)
        for one in first.names
        if name in {_local(one), _local(one).partition(".")[0]}
    ]
    made = first.with_changes(names=kept)
    if isinstance(made, cst.ImportFrom):
        made = made.with_changes(lpar=None, rpar=None)
    return plain.with_changes(body=[made])


def _local(alias: cst.ImportAlias) -> str:
    named = alias.asname.name if alias.asname else alias.name
    return cst.Module([]).code_for_node(named)


def _after_imports(body: Sequence[cst.BaseStatement]) -> int:
    at = 1 if body and is_docstring(body[0]) else 0
    for i, one in enumerate(body):
        if isinstance(one, cst.SimpleStatementLine) and isinstance(
            one.body[0], cst.Import | cst.ImportFrom
        ):
            at = i + 1
    return at


def _name_of(statement: cst.BaseStatement) -> str:
    return statement.name.value if isinstance(statement, cst.FunctionDef | cst.ClassDef) else ""


def _bring_methods_back(module: cst.Module, base: cst.Module, site: Site) -> cst.Module:
    if not site.owner or site.owner not in site.base.classes:
        return module
    old = site.base.classes[site.owner].methods
    new = site.head.classes[site.owner].methods
    wanted = _methods_read(site.old_node) & (old.keys() - new.keys())
    for _ in range(_ROUNDS_MAX):
        more = {n for w in wanted for n in _methods_read(old[w].node)} & (old.keys() - new.keys())
        if more <= wanted:
            break
        wanted |= more
    there = {
        node.name
        for node in ast.walk(ast.parse(module.code))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    kept: list[cst.CSTNode] = []
    for name in sorted(wanted - there):
        found = definition(base, f"{site.owner}.{name}")
        kept += [found] if found is not None else []
    if not kept:
        return module

    def added(node: cst.CSTNode) -> cst.CSTNode:
        assert isinstance(node, cst.ClassDef)
        body = node.body
        assert isinstance(body, cst.IndentedBlock)
        return node.with_changes(body=body.with_changes(body=[*body.body, *kept]))

    return exchange(module, site.owner, added)


def _methods_read(node: ast.AST) -> set[str]:
    return {one.attr for one in walk(node) if isinstance(one, ast.Attribute) and dump(one.value)}

"""A new flag that is on by default: turned off, for its own guard stands already."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

import libcst as cst

from branchlab.analysis.features.changes import FileChange
from branchlab.analysis.features.syntax import Module, parse_module
from branchlab.analysis.guard.code import exchange
from branchlab.analysis.guard.proposal import CannotGuardError
from branchlab.domain import Feature


def turn_off(
    modules: dict[str, cst.Module], changes: Iterable[FileChange], feature: Feature
) -> dict[str, cst.Module]:
    """Return the modules with ``flag: bool = True`` turned to False wherever the branch has added it.

    Raises:
        CannotGuardError: The flag is no new boolean parameter.
    """
    flag = feature.flag or ""
    found = dict(modules)
    places = list(_takers(changes, flag)) if flag else []
    for change, symbol in places:
        module = found.get(change.head_path) or cst.parse_module(change.head or "")

        def off(node: cst.CSTNode) -> cst.CSTNode:
            assert isinstance(node, cst.FunctionDef)
            params = node.params
            fields = {
                name: [_off(one, flag) for one in getattr(params, name)]
                for name in ("posonly_params", "params", "kwonly_params")
            }
            return node.with_changes(params=params.with_changes(**fields))

        found[change.head_path] = exchange(module, symbol, off)
    if not places:
        raise CannotGuardError(
            f"'{flag or 'it'}' is no new parameter that is True by default: {feature.reason}",
            by_hand=f"change the default of '{flag}' in {feature.path} to the value that keeps the base",
        )
    return found


def _takers(changes: Iterable[FileChange], flag: str) -> Iterator[tuple[FileChange, str]]:
    for change in changes:
        if change.head is None or not change.head_path.endswith(".py"):
            continue
        head = parse_module(change.head_path, change.head)
        base = parse_module(change.base_path, change.base) if change.base is not None else None
        for symbol, one in head.functions.items() if isinstance(head, Module) else ():
            old = base.functions.get(symbol) if isinstance(base, Module) else None
            if _is_on(one.node.args, flag) and not (old and flag in _names(old.node.args)):
                yield change, symbol


def _names(args: ast.arguments) -> set[str]:
    return {one.arg for one in (*args.posonlyargs, *args.args, *args.kwonlyargs)}


def _is_on(args: ast.arguments, flag: str) -> bool:
    plain = [*args.posonlyargs, *args.args]
    pairs: list[tuple[ast.arg, ast.expr | None]] = [
        *zip(plain[len(plain) - len(args.defaults) :], args.defaults, strict=True),
        *zip(args.kwonlyargs, args.kw_defaults, strict=True),
    ]
    return any(
        one.arg == flag and isinstance(value, ast.Constant) and value.value is True
        for one, value in pairs
    )


def _off(param: cst.Param, flag: str) -> cst.Param:
    return param.with_changes(default=cst.Name("False")) if param.name.value == flag else param

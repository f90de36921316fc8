"""A changed function with both bodies: merged line by line, or the old one beside it where names would clash."""

from __future__ import annotations

import ast
from dataclasses import dataclass

import libcst as cst

from branchlab.analysis.features.changes import FileChange
from branchlab.analysis.features.syntax import Module
from branchlab.analysis.features.trees import FunctionNode, dump, last_name
from branchlab.analysis.guard.blocks import Merging, merge_blocks
from branchlab.analysis.guard.chain import is_unbound
from branchlab.analysis.guard.code import (
    body_of,
    code_of,
    definition,
    exchange,
    width_of,
    with_body,
)
from branchlab.analysis.guard.proposal import CannotGuardError
from branchlab.analysis.guard.scopes import is_generator, lost_parameters, scope_conflict
from branchlab.analysis.guard.uses import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A function that differs. ``symbol`` is its name on both sides."""

    change: FileChange
    base: Module
    head: Module
    symbol: str

    @property
    def path(self) -> str:
        return self.change.head_path

    @property
    def owner(self) -> str:
        return self.head.functions[self.symbol].owner

    @property
    def node(self) -> FunctionNode:
        return self.head.functions[self.symbol].node

    @property
    def old_node(self) -> FunctionNode:
        return self.base.functions[self.symbol].node

    @property
    def is_method(self) -> bool:
        return bool(self.owner) and not is_unbound(self.node)

    @property
    def place(self) -> Place:
        """What has to take the flag."""
        if self.is_method:
            return Place(path=self.path, symbol=self.owner, is_class=True)
        return Place(path=self.path, symbol=self.symbol, is_class=False)

    def condition(self, flag: str) -> cst.BaseExpression:
        """Return what the flag is called in the function's body."""
        return condition_in(self.node, flag, is_method=self.is_method)


def condition_in(node: FunctionNode, flag: str, *, is_method: bool) -> cst.BaseExpression:
    """Return the flag as a function reads it: its own parameter, or an attribute of its object."""
    if not is_method or node.name == "__init__":
        return cst.Name(flag)
    known = [*node.args.posonlyargs, *node.args.args]
    if not known:
        raise CannotGuardError(
            f"{node.name} takes no self to read the flag from",
            by_hand=f"give {node.name} a self parameter",
        )
    return cst.Attribute(value=cst.Name(known[0].arg), attr=cst.Name(flag))


def site_of(change: FileChange, base: Module | None, head: Module | None, symbol: str) -> Site:
    """Return the two sides of a function.

    Raises:
        CannotGuardError: One of them is missing, or reading cannot tell which definition holds.
    """
    if base is None or head is None or symbol not in base.functions:
        raise CannotGuardError(
            f"{symbol} has no version on the base to put beside it",
            by_hand=f"call {symbol} in {change.head_path} only where a new argument is on",
        )
    if symbol not in head.functions or f"{symbol}#2" in head.functions or "#" in symbol:
        raise CannotGuardError(
            f"{symbol} is defined more than once in {change.head_path}",
            by_hand="leave one definition of that name",
        )
    return Site(change=change, base=base, head=head, symbol=symbol)


def merge_site(module: cst.Module, site: Site, flag: str) -> cst.Module:
    """Return the head's module with both bodies of a function in it.

    Raises:
        CannotGuardError: They cannot stand side by side.
    """
    lost = lost_parameters(site.old_node, site.node)
    if lost:
        raise CannotGuardError(
            f"{site.symbol} no longer takes '{lost[0]}', which the base's code reads",
            by_hand=f"keep the parameter `{lost[0]}` of {site.symbol} in {site.path}",
        )
    if _decorators(site.old_node) != _decorators(site.node):
        raise CannotGuardError(
            f"the decorators of {site.symbol} changed, and they run before any flag is known",
            by_hand=f"restore the decorators of {site.symbol} in {site.path}, and decide inside it",
        )
    old = _old_definition(site)
    condition = site.condition(flag)
    conflict = scope_conflict(site.old_node, site.node)
    if conflict:
        return _beside(module, site, old, flag=flag, conflict=conflict)

    columns = width_of(site.change.head or "") - 4 * (1 + site.symbol.count("."))
    how = Merging(condition=condition, columns=columns)

    def merged(node: cst.CSTNode) -> cst.CSTNode:
        assert isinstance(node, cst.FunctionDef)
        return with_body(node, merge_blocks(body_of(old)[1], body_of(node)[1], how))

    return exchange(module, site.symbol, merged)


def _old_definition(site: Site) -> cst.FunctionDef:
    found = definition(cst.parse_module(site.change.base or ""), site.symbol)
    if not isinstance(found, cst.FunctionDef):
        raise CannotGuardError(
            f"{site.symbol} does not stand at the top of {site.change.base_path}",
            by_hand=f"put both versions of {site.symbol} behind a new argument",
        )
    return found


def _decorators(node: FunctionNode) -> list[str]:
    return [dump(one) for one in node.decorator_list]


def _beside(
    module: cst.Module, site: Site, old: cst.FunctionDef, *, flag: str, conflict: str
) -> cst.Module:
    """Keep the base's function under a private name, and turn to it first."""
    by_hand = f"rename the local name in {site.symbol} in {site.path}, then ask again"
    kinds = {last_name(one) for one in site.node.decorator_list}
    is_async = isinstance(site.node, ast.AsyncFunctionDef)
    if (
        is_async is not isinstance(site.old_node, ast.AsyncFunctionDef)
        or is_generator(site.node)
        or is_generator(site.old_node)
        or site.node.name.startswith("__")
        or kinds - {"staticmethod", "no_grad"}
    ):
        raise CannotGuardError(
            f"the two bodies of {site.symbol} cannot share a function: {conflict}", by_hand=by_hand
        )
    name = f"_{site.node.name.lstrip('_')}_without_{flag}"
    owner = site.owner.rpartition(".")[2]
    call = _forwarding(site.old_node, name, site, owner)
    given = f"await {call}" if is_async else call
    test = code_of(site.condition(flag))
    first = cst.parse_statement(f"if not {test}:\n    return {given}\n")

    def both(node: cst.CSTNode) -> cst.CSTNode:
        assert isinstance(node, cst.FunctionDef)
        kept = old.with_changes(name=cst.Name(name), leading_lines=_blank_lines(node, site))
        return cst.FlattenSentinel([with_body(node, [first, *body_of(node)[1]]), kept])  # type: ignore[return-value]

    return exchange(module, site.symbol, both)


def _blank_lines(node: cst.FunctionDef, site: Site) -> list[cst.EmptyLine]:
    return [cst.EmptyLine(indent=False)] * (1 if site.owner else 2)


def _forwarding(node: FunctionNode, name: str, site: Site, owner: str) -> str:
    """Return the call of the kept function with the arguments of this one."""
    args = node.args
    given = [one.arg for one in (*args.posonlyargs, *args.args)]
    target = name
    if site.is_method:
        target = f"{given.pop(0)}.{name}"
    elif owner:
        target = f"{owner}.{name}"
    if args.vararg:
        given.append(f"*{args.vararg.arg}")
    given += [f"{one.arg}={one.arg}" for one in args.kwonlyargs]
    if args.kwarg:
        given.append(f"**{args.kwarg.arg}")
    return f"{target}({', '.join(given)})"

"""What one file has to do with a flag that is on main already: the defaults that it gives it, and where it reads it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from branchlab.analysis.features.literals import truth
from branchlab.analysis.features.options import click_options, fields_of, options_in
from branchlab.analysis.features.signatures import parameters_of
from branchlab.analysis.features.syntax import Failure, Module, parse_module


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagUse:
    """A flag in one file.

    Attributes:
        defaults: As source text, one for each parameter, field or option of that name that has one.
        is_off: Whether all of these count as false; None where one of them cannot be told.
        num_reads: How often something asks for the flag, beyond taking it and handing it on under its own name.
    """

    defaults: tuple[str, ...] = ()
    is_off: bool | None = None
    num_reads: int = 0


def flag_use(name: str, path: str, text: str) -> FlagUse:
    """Return what a file has to do with a flag; nothing for a file that does not parse."""
    module = parse_module(path, text)
    if isinstance(module, Failure):
        return FlagUse()
    defaults = [one for one in _defaults(name, module) if one is not None]
    known = [truth(one) for one in defaults]
    is_off = None if not known or None in known else not any(known)
    return FlagUse(
        defaults=tuple(dict.fromkeys(ast.unparse(one) for one in defaults)),
        is_off=is_off,
        num_reads=_num_reads(name, module),
    )


def _defaults(name: str, module: Module) -> Iterator[ast.expr | None]:
    for function in module.functions.values():
        taken = parameters_of(function.node, is_method=bool(function.owner))
        if name in taken.defaults:
            yield taken.defaults[name]
        for options in (click_options(function.node), options_in(function.node.body).found):
            if name in options:
                yield options[name].default
    for cls in module.classes.values():
        fields = fields_of(cls)
        if name in fields:
            yield fields[name].default
    found = options_in(module.statements).found
    if name in found:
        yield found[name].default


def _num_reads(name: str, module: Module) -> int:
    """Count reads; ``self.x = x`` and ``f(x=x)`` only hand on."""
    handed: set[int] = set()
    for node in module.nodes:
        if isinstance(node, ast.keyword) and node.arg == name:
            handed.add(id(node.value))
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Attribute)
            and node.targets[0].attr == name
        ):
            handed.add(id(node.value))
    return sum(
        isinstance(node, ast.Name | ast.Attribute)
        and (node.id if isinstance(node, ast.Name) else node.attr) == name
        and isinstance(node.ctx, ast.Load)
        and id(node) not in handed
        for node in module.nodes
    )

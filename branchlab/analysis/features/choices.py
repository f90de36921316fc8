"""Values that reach a function besides its own default: choices that raised before, defaults that others hand in."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping

from branchlab.analysis.features import literals
from branchlab.analysis.features.branches import terminates
from branchlab.analysis.features.clean import clean_block, same
from branchlab.analysis.features.flags import Pair
from branchlab.analysis.features.inline import bound
from branchlab.analysis.features.reading import Reading, default_reading
from branchlab.analysis.features.syntax import Function
from branchlab.analysis.features.trees import (
    all_parameter_names,
    clone,
    dotted,
    dump,
    last_name,
    walk,
)
from branchlab.analysis.features.world import World

_CHOICES_MAX = 12


def new_choices(world: World, pair: Pair, base: Function, head: Function) -> list[str]:
    """Return values of a parameter that the base refused and head takes; empty where anything else differs too.

    Only ``if name == 'value':`` blocks that leave the function are seen, in functions that raise for what they do not know.
    """
    names = all_parameter_names(base.node.args)
    old = {dump(one) for one in walk(base.node) if isinstance(one, ast.Compare)}
    found: list[tuple[str, ast.expr]] = []
    without = Function(name=head.name, symbol=head.symbol, owner=head.owner, node=clone(head.node))
    without.node.body = _stripped(without.node.body, names, old, found)
    if not found or len(found) > _CHOICES_MAX or not without.node.body:
        return []
    reading = default_reading(world)
    before = reading.reduce(pair, base, side="base")
    if not reading.reduce(pair, without, side="head").is_equal(before):
        return []
    for name, value in found:
        key = "base", pair.change.head_path, base.symbol
        at_value = Reading(world, fixed={key: {name: value}}).reduce(pair, base, side="base")
        if not at_value.statements or not isinstance(at_value.statements[-1], ast.Raise):
            return []
        if any(not isinstance(one, ast.Assign | ast.Raise) for one in at_value.statements):
            return []
    return [ast.unparse(value) for _, value in found]


def _stripped(
    body: list[ast.stmt], names: set[str], old: set[str], found: list[tuple[str, ast.expr]]
) -> list[ast.stmt]:
    """Return a body without blocks for one value of a parameter; what they ask for is added to ``found``."""
    kept: list[ast.stmt] = []
    for one in body:
        asked = _asked(one, names, old) if isinstance(one, ast.If) else None
        if asked is None or not isinstance(one, ast.If):
            if isinstance(one, ast.If):
                one.orelse = _stripped(one.orelse, names, old, found)
            kept.append(one)
            continue
        if not one.orelse and not terminates(clean_block(one.body)):
            kept.append(one)
            continue
        found += asked
        kept += _stripped(one.orelse, names, old, found)
    return kept


def _asked(node: ast.If, names: set[str], old: set[str]) -> list[tuple[str, ast.expr]] | None:
    test = node.test
    if dump(test) in old:
        return None
    match test:
        case ast.Compare(
            left=ast.Name(id=name), ops=[ast.Eq()], comparators=[ast.Constant() as one]
        ):
            return [(name, one)] if name in names else None
        case ast.Compare(
            left=ast.Name(id=name),
            ops=[ast.In()],
            comparators=[ast.Tuple(elts=elts) | ast.List(elts=elts) | ast.Set(elts=elts)],
        ) if all(isinstance(one, ast.Constant) for one in elts):
            return [(name, one) for one in elts] if name in names else None
        case _:
            return None


def alternatives(world: World) -> Mapping[str, list[ast.expr]]:
    """Return the further defaults of flags that several owners take under one name and hand to one another."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    kinds: dict[str, set[str]] = defaultdict(set)
    for flag in world.flags:
        kinds[flag.name].add(flag.kind)
        if flag.default is not None and not any(
            same(flag.default, one) for one in found[flag.name]
        ):
            found[flag.name].append(flag.default)
    handed = set(_handed_on(world))
    return {
        name: values
        for name, values in found.items()
        if len(values) > 1 and (name in handed or kinds[name] & {"option", "config", "key"})
    }


def _handed_on(world: World) -> Iterator[str]:
    """Yield names of flags that some function gives as an argument to another."""
    names = world.flag_names()
    for pair in world.pairs:
        for call in pair.head.calls if pair.head is not None else ():
            for word in call.keywords:
                if word.arg in names:
                    yield str(word.arg)
            for one in call.args:
                name = last_name(one)
                if name in names and dotted(one):
                    yield name


def retyped_options(base: Function, head: Function) -> str:
    """Return a parameter whose annotation tells a command line how to read it, and did so otherwise before."""
    is_command = any(
        last_name(one.func if isinstance(one, ast.Call) else one) == "command"
        for one in head.node.decorator_list
    )
    before, after = (
        {one.arg: dump(one.annotation) for one in (*f.node.args.args, *f.node.args.kwonlyargs)}
        for f in (base, head)
    )
    defaults = [*head.node.args.defaults, *head.node.args.kw_defaults]
    is_typer = any(
        isinstance(one, ast.Call) and last_name(one.func) in {"Option", "Argument"}
        for one in defaults
    )
    if not (is_command or is_typer):
        return ""
    return next((name for name in after if name in before and before[name] != after[name]), "")


def handed_values(world: World, function: Function, *, side: str) -> dict[str, ast.expr]:
    """Return the parameters of a private function that every caller gives the same plain value, or a flag that has it."""
    defaults = {flag.name: flag.default for flag in world.flags if flag.kind == "parameter"}
    given: dict[str, list[ast.expr | None]] = defaultdict(list)
    num_calls = 0
    for pair in world.pairs:
        module = pair.head if side == "head" else pair.base
        for call in module.calls if module is not None else ():
            if last_name(call.func) != function.name:
                continue
            num_calls += 1
            arguments = bound(function.node, call, is_method=bool(function.owner))
            for name in all_parameter_names(function.node.args):
                value = arguments.get(name) if arguments else None
                if isinstance(value, ast.Name) and side == "head":
                    value = defaults.get(value.id)
                given[name].append(value)
    return {
        name: values[0]
        for name, values in given.items()
        if values[0] is not None
        and len(values) == num_calls
        and all(
            one is not None and literals.is_constant(one) and same(values[0], one) for one in values
        )
    }

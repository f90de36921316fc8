"""What existing callers, heirs and command lines do with a changed signature: what reading one function cannot tell."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from branchlab.analysis.features.classes import finding
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Pair
from branchlab.analysis.features.names import import_targets
from branchlab.analysis.features.options import click_options
from branchlab.analysis.features.signatures import Parameters, parameters_of
from branchlab.analysis.features.syntax import Failure, Function, Module, parse_tree
from branchlab.analysis.features.trees import calls_in, dotted, dump, last_name
from branchlab.analysis.features.world import World, constructor
from branchlab.domain import FeatureVerdict

_FILES_MAX = 60


def caller_findings(world: World) -> list[Finding]:
    """Return what goes wrong between changed signatures and those who call them."""
    found: list[Finding] = []
    for pair, base, head in world.common_functions():
        change = world.signatures[pair.change.head_path, head.symbol]
        if change.new:
            found += _caught(world, pair, base, head)
            found += _not_known_below(world, pair, head)
    for pair in world.pairs:
        if pair.head is not None:
            found += _unknown_arguments(world, pair, pair.head)
            found += _unknown_options(pair, pair.head)
    return found


def _called_as(pair: Pair, function: Function) -> str:
    """Return the name under which a function is called: a constructor by that of its class."""
    return function.owner.rpartition(".")[2] if function.name == "__init__" else function.name


def _caught(world: World, pair: Pair, base: Function, head: Function) -> Iterator[Finding]:
    """Yield new parameters that callers gave before and that were passed through ``**kwargs``."""
    if base.node.args.kwarg is None:
        return
    new = world.signatures[pair.change.head_path, head.symbol].new
    name = _called_as(pair, base)
    handed = _handed_on(head)
    for path, text in list(world.mentioning([name]).items())[:_FILES_MAX]:
        tree = parse_tree(text)
        if isinstance(tree, Failure):
            continue
        for call in calls_in(tree):
            given = {word.arg for word in call.keywords if word.arg} & new.keys()
            given -= handed
            if last_name(call.func) == name and given:
                word = min(given)
                reason = (
                    f"{head.symbol} now takes '{word}' itself, and {path}:{call.lineno} "
                    f"gave it for '**{base.node.args.kwarg.arg}'"
                )
                made = finding(
                    pair,
                    head.symbol,
                    head.node.lineno,
                    FeatureVerdict.UNGUARDED,
                    reason,
                    "signature",
                )
                made.flags = frozenset({word})
                yield made
                return


def _handed_on(head: Function) -> set[str]:
    """Return parameters that a function gives, under their own name, to whatever takes its ``**kwargs``."""
    return {
        str(word.arg)
        for call in calls_in(head.node)
        if any(word.arg is None for word in call.keywords)
        for word in call.keywords
        if word.arg and dotted(word.value) == word.arg
    }


def _not_known_below(world: World, pair: Pair, head: Function) -> Iterator[Finding]:
    """Yield heirs whose method of the same name does not take a new argument that is handed to it."""
    if not head.owner or head.name == "__init__" or pair.head is None:
        return
    cls = pair.head.classes.get(head.owner)
    new = world.signatures[pair.change.head_path, head.symbol].new
    if cls is None:
        return
    calls = [
        call
        for one in world.pairs
        if one.head is not None
        for call in one.head.calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == head.name
    ]
    given = {word.arg for call in calls for word in call.keywords if word.arg in new}
    most = max((len(call.args) for call in calls), default=0)
    if not given and most < len(parameters_of(head.node, is_method=True).positional):
        return
    for heir in world.kin.overriding(cls, head.name):
        taken = parameters_of(heir.methods[head.name].node, is_method=True)
        lacking = sorted(str(name) for name in given if name not in taken.defaults)
        is_short = most > len(taken.positional) and not taken.vararg
        if (lacking and not taken.kwarg) or (is_short and set(new) - taken.defaults.keys()):
            word = lacking[0] if lacking else next(iter(new))
            reason = f"{head.symbol} is called with '{word}', which {heir.symbol}.{head.name} does not take"
            made = finding(
                pair, head.symbol, head.node.lineno, FeatureVerdict.BREAKING, reason, "signature"
            )
            made.flags = frozenset({word})
            yield made
            return


def _takers(module: Module) -> dict[str, Parameters]:
    """Return what the functions and classes of a module take, by name."""
    found = {
        one.name: parameters_of(one.node, is_method=False)
        for one in module.top_functions
        if not one.node.decorator_list
    }
    for cls in module.classes.values():
        taken = constructor(cls)
        if taken is not None and not cls.node.keywords and not cls.node.decorator_list:
            found[cls.name] = taken
    return found


def _reachable(world: World, pair: Pair, head: Module) -> dict[str, Parameters]:
    """Return what can be called by a bare name in a module and is defined in a changed file."""
    by_path = {one.change.head_path: one.head for one in world.pairs if one.head is not None}
    found: dict[str, Parameters] = {}
    for one in head.imports:
        if not isinstance(one, ast.ImportFrom):
            continue
        for target in import_targets(pair.change.head_path, one):
            module = by_path.get(target)
            if module is not None:
                takers = _takers(module)
                found |= {
                    alias.asname or alias.name: takers[alias.name]
                    for alias in one.names
                    if alias.name in takers
                }
                break
    return found | _takers(head)


def _unknown_arguments(world: World, pair: Pair, head: Module) -> Iterator[Finding]:
    """Yield calls by name of an argument that the callee does not take."""
    taken = _reachable(world, pair, head)
    options = sorted(f.name for f in world.flags if f.kind == "option" and f.path == head.path)
    for call in head.calls:
        callee = taken.get(call.func.id) if isinstance(call.func, ast.Name) else None
        if callee is None or callee.kwarg:
            continue
        given = [word.arg for word in call.keywords if word.arg]
        if any(word.arg is None and _is_namespace(word.value) for word in call.keywords):
            given += options
        unknown = [name for name in given if name not in callee.defaults]
        if unknown and not (_stood_before(pair, call) and world.flag_names().isdisjoint(given)):
            name = last_name(call.func)
            reason = f"line {call.lineno} gives {name} '{unknown[0]}', which it does not take"
            made = finding(pair, name, call.lineno, FeatureVerdict.BROKEN, reason, "call")
            made.flags = frozenset(unknown) & world.flag_names()
            yield made


def _stood_before(pair: Pair, call: ast.Call) -> bool:
    """Whether the base version of a file has a call too."""
    return pair.base is not None and dump(call) in {dump(one) for one in pair.base.calls}


def _is_namespace(node: ast.expr) -> bool:
    """Whether a node is all options of a command line: ``vars(args)``, ``args.__dict__``."""
    if isinstance(node, ast.Attribute):
        return node.attr == "__dict__"
    return isinstance(node, ast.Call) and dotted(node.func) == "vars" and len(node.args) == 1


def _unknown_options(pair: Pair, head: Module) -> Iterator[Finding]:
    """Yield options of a command that its function does not take."""
    for function in head.functions.values():
        options = click_options(function.node)
        taken = parameters_of(function.node, is_method=bool(function.owner))
        for name, option in options.items():
            if name not in taken.defaults and not taken.kwarg:
                reason = (
                    f"{function.symbol} has an option {option.spellings[0]} that it does not take"
                )
                yield finding(
                    pair, function.symbol, option.line, FeatureVerdict.BROKEN, reason, "option"
                )

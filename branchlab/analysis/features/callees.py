"""How what the changed files define is called, and which arguments say no more than the callee does by itself."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping

from branchlab.analysis.features.flags import Pair
from branchlab.analysis.features.setting import Callee, Callees
from branchlab.analysis.features.signatures import Parameters, parameters_of
from branchlab.analysis.features.world import World, constructor


def all_callees(world: World, overrides: Mapping[str, ast.expr], *, side: str) -> Callees:
    """Return how everything that one side defines is called, by name; ``overrides`` are other defaults of new flags."""
    found: dict[str, list[Callee]] = defaultdict(list)
    for pair in world.pairs:
        module = pair.head if side == "head" else pair.base
        if module is None:
            continue
        for function in module.functions.values():
            if function.name != "__init__":
                taken = parameters_of(function.node, is_method=bool(function.owner))
                found[function.name].append(_callee(world, overrides, pair, function.symbol, taken))
        for cls in module.classes.values():
            taken_by_class = constructor(cls)
            if taken_by_class is not None:
                symbol = f"{cls.symbol}.__init__" if "__init__" in cls.methods else cls.symbol
                found[cls.name].append(_callee(world, overrides, pair, symbol, taken_by_class))
    return found


def _callee(
    world: World, overrides: Mapping[str, ast.expr], pair: Pair, symbol: str, taken: Parameters
) -> Callee:
    change = world.signatures.get((pair.change.head_path, symbol))
    moved = change.defaults if change else {}
    defaults: dict[str, ast.expr] = {}
    for name, value in taken.defaults.items():
        if value is None or name in moved:
            continue
        is_new = change is not None and name in change.new
        defaults[name] = overrides.get(name, value) if is_new else value
    return Callee(positional=taken.positional, defaults=defaults, has_starred=bool(taken.vararg))

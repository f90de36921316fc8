"""Both sides of the world at one assignment of the new flags: their defaults, or values that are tried instead."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from branchlab.analysis.features import literals
from branchlab.analysis.features.callees import all_callees
from branchlab.analysis.features.clean import clean_block, clean_body, same
from branchlab.analysis.features.flags import Flag, Pair, attributes_stored, module_constants
from branchlab.analysis.features.lineage import is_one_liner, lineage, tables
from branchlab.analysis.features.options import ENUMS, fields_of
from branchlab.analysis.features.origins import has_star, origins, qualified
from branchlab.analysis.features.reduced import Reduced, is_bare_return, plain_body, without_options
from branchlab.analysis.features.reducer import reduce_block
from branchlab.analysis.features.setting import Callees, Setting
from branchlab.analysis.features.settle import without_dead_stores
from branchlab.analysis.features.syntax import Class, Function, Module
from branchlab.analysis.features.trees import (
    NO_FLAGS,
    all_flags,
    all_parameter_names,
    clone,
    dotted,
    loaded_names,
    self_attribute,
    stored_names,
    walk,
    with_flags,
)
from branchlab.analysis.features.usage import kept_names
from branchlab.analysis.features.world import World, by_name

_OF_TENSORS = {
    *("shape", "device", "dtype", "T", "grad", "data", "ndim", "size", "weight", "bias", "name"),
    *("requires_grad", "training", "mean", "std", "max", "min", "sum", "mode", "keys", "values"),
    *("items", "dim", "norm", "type", "real", "imag", "mask", "indices", "loss", "logits", "x"),
}
"""Names that a flag may have and that things other than configs have as well."""
_SEES_LOCALS = {"locals", "vars", "eval", "exec", "globals", "dir"}


class Reading:
    """Reduces functions of both sides; what does not depend on the function is worked out once.

    Args:
        world: What is compared.
        overrides: Values tried for flags instead of their defaults, by name.
        with_constants: Whether constants of the modules are put in as well.
        fixed: Values of parameters that are known in one function, by (side, path, symbol).
        left: Flags that are left as they are.
    """

    def __init__(
        self,
        world: World,
        overrides: Mapping[str, ast.expr] | None = None,
        *,
        with_constants: bool = False,
        fixed: Mapping[tuple[str, str, str], Mapping[str, ast.expr]] | None = None,
        left: frozenset[str] = NO_FLAGS,
    ) -> None:
        self.left = left
        self.fixed = fixed or {}
        self.world = world
        self.overrides = dict(overrides or {})
        self.with_constants = with_constants
        self._values = {id(flag): self._value(flag) for flag in world.flags}
        self._base_attributes = world.base_attributes
        self._stored_from_outside = world.stored_from_outside
        self._in_configs: dict[str, dict[str, ast.expr]] = {}
        self._anywhere = self._values_anywhere()
        self._keys = self._values_of_keys()
        self._callees = {side: self._known_callees(side) for side in ("base", "head")}
        self._positional = self._agreed_positions()
        self._sides = {side: self._side_setting(side) for side in ("base", "head")}
        self._attributes: dict[int, dict[str, ast.expr]] = {}
        self._reduced: dict[tuple[str, int, frozenset[str]], Reduced] = {}
        self._shared: dict[tuple[str, int, frozenset[str]], Reduced] = world.shared
        self._absent: dict[int, frozenset[str]] = {}

    def _value(self, flag: Flag) -> ast.expr | None:
        value = self.overrides.get(flag.name, flag.default)
        if flag.name in self.left:
            return None
        if value is None or not (literals.is_value(value) or dotted(value)):
            return None
        return with_flags(clone(value), frozenset({flag.name}))

    def _values_anywhere(self) -> dict[str, dict[str, ast.expr]]:
        """Return, by path of the module, the values of ``.x`` of any object; those of the module itself go first."""
        by_flag: dict[str, list[tuple[str, str, ast.expr]]] = defaultdict(list)
        for flag in self.world.flags:
            value = self._values[id(flag)]
            if value is not None and flag.kind != "constant":
                by_flag[flag.name].append((flag.kind, flag.path, value))
        found: dict[str, dict[str, ast.expr]] = {}
        for pair in self.world.pairs:
            path = pair.change.head_path
            found[path] = {}
            self._in_configs[path] = {}
            for name, given in by_flag.items():
                if name in self._base_attributes or name in self._stored_from_outside:
                    continue
                best = [v for kind, where, v in given if where == path and kind != "parameter"]
                best = best or [v for kind, _, v in given if kind != "parameter"]
                is_distinct = bool(best) and name not in _OF_TENSORS
                best = best or [v for _, _, v in given]
                if all(same(best[0], one) for one in best):
                    (found if is_distinct else self._in_configs)[path][name] = best[0]
        return found

    def _values_of_keys(self) -> dict[str, ast.expr]:
        """Return what ``['x']`` and ``.get('x')`` give: what a config file or an option says goes first."""
        ranks = {"config": 0, "option": 1, "field": 2, "key": 3, "parameter": 4}
        found: dict[str, list[tuple[int, ast.expr | None]]] = defaultdict(list)
        keyed = {flag.name for flag in self.world.flags if flag.kind in {"config", "key", "option"}}
        for flag in self.world.flags:
            if flag.kind in ranks and flag.name in keyed:
                found[flag.name].append((ranks[flag.kind], self._values[id(flag)]))
        best = {name: min(values, key=lambda one: one[0])[1] for name, values in found.items()}
        return {name: value for name, value in best.items() if value is not None}

    def _known_callees(self, side: str) -> Callees:
        """Return how everything of a side is called; other values of flags change what head leaves out."""
        if side == "head" and self.overrides:
            return all_callees(self.world, self.overrides, side=side)
        key = "callees", side
        if key not in self.world.shared:
            self.world.shared[key] = all_callees(self.world, self.overrides, side=side)
        known: Callees = self.world.shared[key]
        return known

    def _side_setting(self, side: str) -> Setting:
        world, is_head = self.world, side == "head"
        modules = [
            (p.head if is_head else p.base, p.base if is_head else p.head) for p in world.pairs
        ]
        others = {f.name for _, other in modules if other for f in other.top_functions}
        other_classes = {c.name for _, other in modules if other for c in other.classes.values()}
        own = [f for module, _ in modules if module for f in module.top_functions]
        classes = [c for module, _ in modules if module for c in module.classes.values()]
        return Setting(
            keys=self._keys if is_head else {},
            helpers=by_name(f for f in own if f.name not in others),
            one_liners=by_name(f for f in own if f.name in others and is_one_liner(f)),
            classes={c.name: c for c in classes if c.name not in other_classes},
            callees=self._callees[side],
            positional=self._positional,
            handed=self._handed() if is_head else {},
            enums=frozenset(
                f"{c.name}.{name}" for c in classes if set(c.bases) & ENUMS for name in fields_of(c)
            ),
        )

    def _handed(self) -> dict[str, ast.expr]:
        """Return the new parameters of ``forward`` and ``__call__`` whose default is the same wherever they are new."""
        found: dict[str, list[ast.expr]] = defaultdict(list)
        for (_, symbol), change in self.world.signatures.items():
            if symbol.endswith((".forward", ".__call__")):
                for name, value in change.new.items():
                    if value is not None:
                        found[name].append(self.overrides.get(name, value))
        return {
            name: values[0]
            for name, values in found.items()
            if all(same(values[0], one) for one in values)
        }

    def _agreed_positions(self) -> dict[str, tuple[str, ...]]:
        """Return the names of positional parameters on which all callables of a name agree, on both sides."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self._callees["base"].keys() & self._callees["head"].keys():
            taken = [one.positional for s in ("base", "head") for one in self._callees[s][name]]
            agreed: list[str] = []
            for names in zip(*taken, strict=False):
                if len(set(names)) > 1:
                    break
                agreed.append(names[0])
            found[name] = tuple(agreed)
        return found

    def setting(self, pair: Pair, function: Function | None, *, side: str) -> Setting:
        """Return what is known in a function, or at the level of its module."""
        is_head = side == "head"
        module = pair.head if is_head else pair.base
        assert module is not None
        names = self._names(pair, module, is_head=is_head)
        cls = module.classes.get(function.owner) if function and function.owner else None
        if function is not None:
            for name in all_parameter_names(function.node.args):
                names.pop(name, None)
            if is_head:
                names |= self._parameters(pair, function)
            key = side, pair.change.head_path, function.symbol
            names |= self.fixed.get(key, {})
        change = self.world.signatures.get(
            (pair.change.head_path, function.symbol if function else "")
        )
        return replace(
            self._sides[side],
            names=names,
            anywhere=self._anywhere[pair.change.head_path] if is_head else {},
            in_configs=self._in_configs[pair.change.head_path] if is_head else {},
            attributes=self.attributes(pair, cls) if is_head and cls else {},
            tables=tables(module),
            starred=frozenset(change.starred) if change and is_head else NO_FLAGS,
            methods=self._own_methods(pair, cls, is_head=is_head),
            bases=cls.bases if cls else (),
            owner=cls.name if cls else "",
            stored=self._stored(cls) if is_head and cls else NO_FLAGS,
            absent=self._absent.get(id(cls), NO_FLAGS) if is_head and cls else NO_FLAGS,
        )

    def _names(self, pair: Pair, module: Module, *, is_head: bool) -> dict[str, ast.expr]:
        other = pair.base if is_head else pair.head
        old = module_constants(other) if other else {}
        names = {
            name: value
            for name, value in module_constants(module).items()
            if self.with_constants or name not in old
        }
        if not is_head:
            return names
        imported = module.imported_names()
        for flag in self.world.flags:
            value_of_flag = self._values[id(flag)]
            if (
                flag.kind == "constant"
                and value_of_flag is not None
                and (flag.path == pair.change.head_path or flag.name in imported.values())
            ):
                names[flag.name] = value_of_flag
        return names

    def _parameters(self, pair: Pair, function: Function) -> dict[str, ast.expr]:
        found: dict[str, ast.expr] = {}
        for flag in self.world.flags:
            value = self._values[id(flag)]
            is_own = flag.path == pair.change.head_path and flag.owner == function.symbol
            if flag.kind == "parameter" and is_own and value is not None:
                found[flag.name] = value
        return found

    def _own_methods(self, pair: Pair, cls: Class | None, *, is_head: bool) -> dict[str, Function]:
        """Return the methods of a class that the other side has not, those of its bases in the same file included."""
        if cls is None:
            return {}
        module, other = (pair.head, pair.base) if is_head else (pair.base, pair.head)
        assert module is not None
        found: dict[str, Function] = {}
        for one in reversed(lineage(module, cls)):
            known = (
                other.classes[one.symbol].methods if other and one.symbol in other.classes else {}
            )
            found |= {name: m for name, m in one.methods.items() if name not in known}
        return found

    def attributes(self, pair: Pair, cls: Class) -> dict[str, ast.expr]:
        """Return what new attributes of a head class hold once it is constructed."""
        known = self._attributes.get(id(cls))
        if known is not None:
            return known
        # A constructor that asks for its own attributes learns nothing.
        self._attributes[id(cls)] = {}
        found: dict[str, ast.expr] = {}
        assert pair.head is not None
        for one in reversed(lineage(pair.head, cls)):
            found |= self._attributes_of_one(pair, one)
        self._attributes[id(cls)] = found
        return found

    def _attributes_of_one(self, pair: Pair, cls: Class) -> dict[str, ast.expr]:
        base = pair.base.classes.get(cls.symbol) if pair.base else None
        old = attributes_stored(base.methods.values()) if base else set()
        found: dict[str, ast.expr] = {}
        for flag in self.world.flags:
            value = self._values[id(flag)]
            is_own = flag.path == pair.change.head_path and flag.owner == cls.symbol
            is_field = flag.kind == "field" and is_own and value is not None
            if is_field and value is not None and not self._is_set_elsewhere(cls, flag.name):
                found[flag.name] = value
        make = cls.methods.get("__init__")
        if make is None or base is None:
            return found
        others = [
            m for name, m in cls.methods.items() if name != "__init__" and name in base.methods
        ]
        stored_later = attributes_stored(others)
        setting = self.setting(pair, make, side="head")
        times: dict[str, int] = defaultdict(int)
        reduced = reduce_block(clean_body(make), setting)
        new = attributes_stored([make]) - old - stored_later
        for statement in reduced:
            for node in walk(statement):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    times[self_attribute(node)] += 1
        self._absent[id(cls)] = frozenset(new - times.keys())
        for statement in reduced:
            match statement:
                case ast.Assign(targets=[ast.Attribute() as target], value=value):
                    name = self_attribute(target)
                    is_fixed = name and name not in old and name not in stored_later
                    is_known = literals.is_value(value) or self_attribute(value) in cls.methods
                    is_fixed = is_fixed and not self._is_set_elsewhere(cls, name)
                    if is_fixed and times[name] == 1 and is_known:
                        found[name] = with_flags(value, all_flags(statement))
                case _:
                    pass
        return found

    def _stored(self, cls: Class) -> frozenset[str]:
        """Return the new flags that a class, or one related to it, holds as attributes of its own."""
        own = attributes_stored(cls.methods.values())
        return frozenset(
            name
            for name in self.world.flag_names()
            if name in own or self.world.kin.sets(cls, name)
        )

    def _is_set_elsewhere(self, cls: Class, name: str) -> bool:
        """Whether somebody else may give an attribute another value: a related class, or code that has the object."""
        return name in self._stored_from_outside or bool(self.world.kin.sets(cls, name))

    def reduce(
        self,
        pair: Pair,
        function: Function,
        *,
        side: str,
        dropped: frozenset[str] = NO_FLAGS,
    ) -> Reduced:
        """Reduce a function of one side; what comes back is not to be changed."""
        if dropped:
            plain = self.reduce(pair, function, side=side)
            if not dropped & plain.named_attributes():
                return plain
        key = side, id(function), dropped
        # The base knows no flags, so it comes to the same in every reading that puts in the same constants.
        is_shared = side == "base" and not self.fixed and not self.with_constants
        kept = self._shared if is_shared else self._reduced
        if key not in kept:
            kept[key] = self._reduce(pair, function, side, dropped)
        return kept[key]

    def _reduce(
        self, pair: Pair, function: Function, side: str, dropped: frozenset[str]
    ) -> Reduced:
        setting = self.setting(pair, function, side=side)
        setting.dropped_attributes = dropped
        module = pair.head if side == "head" else pair.base
        body = plain_body(function, has_options=module is not None and module.makes_options)
        statements = reduce_block(body, setting)
        if statements and is_bare_return(statements[-1]):
            statements.pop()
        kept = set(kept_names(statements))
        if loaded_names(function.node) & _SEES_LOCALS:
            kept |= stored_names(statements)
        statements = without_dead_stores(statements, kept)
        statements = self._written_out(pair, function, statements, side=side)
        own = (all_parameter_names(function.node.args) - setting.names.keys()) | kept
        return Reduced(statements=statements, own=own)

    def _written_out(
        self, pair: Pair, function: Function, statements: list[ast.stmt], *, side: str
    ) -> list[ast.stmt]:
        """Return statements with imported names written as where they come from."""
        if any(has_star(module) for module in (pair.base, pair.head) if module is not None):
            return statements
        is_head = side == "head"
        module = pair.head if is_head else pair.base
        assert module is not None
        path = pair.change.head_path if is_head else pair.change.base_path
        moves = {} if is_head else self.world.moves
        inner = [
            node for node in walk(function.node) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        places = origins(path, [*module.imports, *inner], moves)
        own = all_parameter_names(function.node.args) | stored_names(statements)
        return qualified(statements, places, own)

    def reduce_statements(
        self, pair: Pair, statements: Iterable[ast.stmt], *, side: str
    ) -> list[ast.stmt]:
        """Reduce statements of a module or of a class's body."""
        setting = self.setting(pair, None, side=side)
        return reduce_block(clean_block(without_options(list(statements))), setting)


def default_reading(world: World) -> Reading:
    """Return the reading of a world at the defaults of all flags, made once."""
    if "default" not in world.shared:
        world.shared["default"] = Reading(world)
    reading: Reading = world.shared["default"]
    return reading

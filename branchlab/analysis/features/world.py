"""All changed files of both sides as symbols, who is new and who is common, and what is new and has a default."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from branchlab.analysis.features.changes import Elsewhere
from branchlab.analysis.features.clean import same
from branchlab.analysis.features.expressions import ExpressionReducer
from branchlab.analysis.features.flags import (
    Flag,
    Pair,
    keywords,
    module_constants,
    new_constants,
    new_entries,
    new_fields,
    new_lookups,
    new_options,
    new_parameters,
)
from branchlab.analysis.features.kin import Kin
from branchlab.analysis.features.options import (
    click_options,
    field_parameters,
    is_made_of_fields,
)
from branchlab.analysis.features.origins import dotted_module
from branchlab.analysis.features.setting import Setting
from branchlab.analysis.features.signatures import (
    Parameters,
    SignatureChange,
    compare_signatures,
    parameters_of,
)
from branchlab.analysis.features.syntax import Class, Function, Module
from branchlab.analysis.features.trees import (
    clone,
    dotted,
    dump,
    loaded_names,
    self_attribute,
    walk,
)


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that is compared.

    Attributes:
        flags: In the order found.
        signatures: Of every common function, by (path, symbol).
        base_attributes: Every ``.x`` of the base's changed files.
        stored_from_outside: Every ``x`` that a common function of head sets on something other than ``self``.
        shared: What readings keep for one another.
        moves: Dotted places of base that stand elsewhere in head, files and symbols.
    """

    pairs: list[Pair]
    kin: Kin
    elsewhere: Elsewhere
    flags: list[Flag] = field(default_factory=list)
    signatures: dict[tuple[str, str], SignatureChange] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)
    base_attributes: set[str] = field(default_factory=set)
    stored_from_outside: set[str] = field(default_factory=set)
    shared: dict[Any, Any] = field(default_factory=dict)

    def common_functions(self) -> Iterator[tuple[Pair, Function, Function]]:
        for pair in self.pairs:
            if pair.base is not None and pair.head is not None:
                for symbol, head in pair.head.functions.items():
                    base = pair.base.functions.get(symbol)
                    if base is not None:
                        yield pair, base, head

    def common_classes(self) -> Iterator[tuple[Pair, Class, Class]]:
        for pair in self.pairs:
            if pair.base is not None and pair.head is not None:
                for symbol, head in pair.head.classes.items():
                    base = pair.base.classes.get(symbol)
                    if base is not None:
                        yield pair, base, head

    def mentioning(self, words: Iterable[str]) -> dict[str, str]:
        """Return the texts of base files, changed or not, that mention one of ``words``."""
        asked = sorted(set(words))
        key = ("mentioning", *asked)
        if key not in self.shared:
            found = dict(self.elsewhere.mentioning(asked))
            patterns = [re.compile(rf"\b{re.escape(word)}\b") for word in asked]
            for pair in self.pairs:
                text = pair.change.base
                if pair.base is None or text is None:
                    continue
                if any(w in text and p.search(text) for w, p in zip(asked, patterns, strict=True)):
                    found[pair.change.base_path] = text
            self.shared[key] = found
        known: dict[str, str] = self.shared[key]
        return known

    def is_read(self, attribute: str) -> bool:
        """Whether a changed head file reads ``.attribute`` of anything, or the bare name."""
        return any(
            (
                isinstance(node, ast.Attribute)
                and node.attr == attribute
                and isinstance(node.ctx, ast.Load)
            )
            or (
                isinstance(node, ast.Name)
                and node.id == attribute
                and isinstance(node.ctx, ast.Load)
            )
            or (isinstance(node, ast.Constant) and node.value == attribute)
            for pair in self.pairs
            if pair.head is not None
            for node in pair.head.nodes
        )

    def flag_names(self) -> set[str]:
        return {flag.name for flag in self.flags}


def build_world(pairs: list[Pair], keys: Iterable[Flag], elsewhere: Elsewhere) -> World:
    """Compare signatures and gather every new flag; ``keys`` are those of config files."""
    world = World(
        pairs=pairs,
        kin=Kin((pair.head for pair in pairs if pair.head is not None), elsewhere),
        elsewhere=elsewhere,
        moves=_moves(pairs),
    )
    same_as_before = SignatureChange()
    for pair, base, head in world.common_functions():
        if base.source == head.source:
            world.signatures[pair.change.head_path, head.symbol] = same_as_before
            continue
        is_method = bool(head.owner)
        change = compare_signatures(
            parameters_of(base.node, is_method=is_method),
            parameters_of(head.node, is_method=is_method),
        )
        given = click_options(head.node)
        if given:
            change.problems = [one for one in change.problems if "'*" in one]
            change.new = {
                name: given[name].default if name in given else value
                for name, value in change.new.items()
            }
        _drop_equal_defaults(change, pair)
        change.new |= {
            name: ast.Dict([], []) if name == keywords(head) else ast.Tuple([], ast.Load())
            for name in change.starred
        }
        world.signatures[pair.change.head_path, head.symbol] = change
        world.flags += new_parameters(pair, head, change)
    for pair, old_class, new_class in world.common_classes():
        if is_made_of_fields(old_class) and is_made_of_fields(new_class):
            world.signatures[pair.change.head_path, new_class.symbol] = compare_signatures(
                field_parameters(old_class), field_parameters(new_class)
            )
        world.flags += new_fields(pair, old_class, new_class)
        made = new_class.methods.get("__init__")
        if made is not None and constructor(old_class) is None:
            takes = parameters_of(made.node, is_method=True)
            change = compare_signatures(Parameters(positional=(), defaults={}), takes)
            world.flags += new_parameters(pair, made, change)
    texts = {
        node.value
        for one in pairs
        if one.base is not None
        for node in one.base.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for pair in pairs:
        if pair.head is not None:
            world.flags += new_options(pair)
            world.flags += new_constants(pair)
            world.flags += _unknown_elsewhere(new_lookups(pair, texts), elsewhere)
            world.flags += new_entries(pair)
    world.flags += keys
    world.base_attributes = {
        node.attr
        for pair in pairs
        if pair.base is not None
        for node in pair.base.nodes
        if isinstance(node, ast.Attribute)
    }
    world.stored_from_outside = {
        node.attr
        for _, _, head in world.common_functions()
        for node in walk(head.node)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and not self_attribute(node)
    }
    return world


def _unknown_elsewhere(flags: Iterable[Flag], elsewhere: Elsewhere) -> list[Flag]:
    """Leave out keys that files which did not change know: somebody may well set them."""
    found = list(flags)
    elsewhere.expect(flag.name for flag in found)
    kept = []
    for flag in found:
        name = re.escape(flag.name)
        pattern = re.compile(rf"\.{name}\b|['\"]{name}['\"]|\b{name}\s*=")
        if not any(pattern.search(text) for text in elsewhere.mentioning([flag.name]).values()):
            kept.append(flag)
    return kept


def _drop_equal_defaults(change: SignatureChange, pair: Pair) -> None:
    """Forget changed defaults that are the same value written in another way."""
    if not change.defaults or pair.base is None or pair.head is None:
        return
    old, new = module_constants(pair.base), module_constants(pair.head)
    for name, (before, after) in list(change.defaults.items()):
        values = [
            ExpressionReducer(Setting(names=known)).visit(clone(value))
            for known, value in ((old, before), (new, after))
        ]
        if same(*values) and not _counts_rounds(pair, name, before, after):
            del change.defaults[name]


def _counts_rounds(pair: Pair, name: str, before: ast.expr, after: ast.expr) -> bool:
    """Whether a whole number became a fraction, and the name is used where only whole numbers go."""
    values = [one.value for one in (before, after) if isinstance(one, ast.Constant)]
    if len({type(one) for one in values}) < 2 or pair.head is None:  # noqa: PLR2004  both sides
        return False
    return any(
        (isinstance(node, ast.Call) and dotted(node.func) == "range" and name in loaded_names(node))
        or (isinstance(node, ast.Subscript) and name in loaded_names(node.slice))
        for node in pair.head.nodes
    )


def _moves(pairs: list[Pair]) -> dict[str, str]:
    """Return where renamed files and moved symbols of equal text stand now."""
    found: dict[str, str] = {}
    come: dict[str, tuple[str, str]] = {}
    sides = [(pair, _top(pair.base), _top(pair.head)) for pair in pairs]
    for pair, old, new in sides:
        place = dotted_module(pair.change.head_path)
        come |= {name: (place, dump(new[name])) for name in new.keys() - old.keys()}
        if pair.change.base_path != pair.change.head_path:
            found[dotted_module(pair.change.base_path)] = place
    for pair, old, new in sides:
        for name in old.keys() - new.keys():
            if name in come and come[name][1] == dump(old[name]):
                place = dotted_module(pair.change.base_path)
                found[f"{place}.{name}"] = f"{come[name][0]}.{name}"
    return found


def _top(module: Module | None) -> dict[str, ast.AST]:
    if module is None:
        return {}
    found: dict[str, ast.AST] = {one.symbol: one.node for one in module.top_functions}
    found |= {one.symbol: one.node for one in module.classes.values()}
    return found


def constructor(cls: Class) -> Parameters | None:
    """Return what the constructor of a class takes; None where it is inherited."""
    make = cls.methods.get("__init__")
    if make is not None:
        return parameters_of(make.node, is_method=True)
    return field_parameters(cls) if is_made_of_fields(cls) else None


def by_name(functions: Iterable[Function]) -> Mapping[str, Function]:
    """Return functions by their bare name; a name that two share is left out."""
    found: dict[str, Function] = {}
    twice: set[str] = set()
    for one in functions:
        if one.name in found:
            twice.add(one.name)
        found[one.name] = one
    return {name: one for name, one in found.items() if name not in twice}

"""The verdict on one function: its signature, its defaults, and its body at the defaults of the new flags."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from branchlab.analysis.features import fold
from branchlab.analysis.features.clean import clean_body, impure_calls
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Pair, attributes_stored
from branchlab.analysis.features.options import click_options
from branchlab.analysis.features.reading import Reading
from branchlab.analysis.features.reduced import Reduced
from branchlab.analysis.features.settle import Row
from branchlab.analysis.features.syntax import Class, Function
from branchlab.analysis.features.trees import (
    NO_FLAGS,
    alike,
    all_flags,
    all_parameter_names,
    calls_in,
    dump,
    last_name,
    self_attribute,
    stored_names,
    walk,
)
from branchlab.analysis.features.world import World
from branchlab.domain import FeatureVerdict

_SHOWN_MAX = 60
_ASKED_MAX = 40
"""Names of attributes that the whole tree is searched for; further ones are taken to be read by others."""
PLAIN_BASES = {
    *("object", "Module", "ABC", "Dataset", "IterableDataset", "Enum", "Exception", "Protocol"),
    *("Generic",),
}
"""Bases that call no method and read no attribute that is not their own."""
_VALUES = re.compile(r"Constant\(value=(?:'[^']*'|[^)]*)\)|attr='[^']*'")
_UNREADABLE = "is nested too deeply to be compared"


@dataclass(slots=True, kw_only=True)
class Compared:
    """Two bodies at the values of a reading.

    Attributes:
        line: Of the first difference that no flag reaches, else of the first difference; 0 when equal.
        shown: What stood in the way of a comparison.
        switched: New flags that are given a value of their own in what differs.
        is_reached: Whether every difference came from a flag.
    """

    is_equal: bool
    line: int = 0
    shown: str = ""
    is_reached: bool = False
    text: str = ""
    switched: frozenset[str] = NO_FLAGS
    warnings: tuple[str, ...] = ()


def is_textually_equal(base: Function, head: Function) -> bool:
    """Whether two functions have the same syntax tree."""
    return base.source == head.source != "" or alike(base.node, head.node)


class ClassReading:
    """Reduces the methods that both sides of a class have, knowing which new attributes nothing reads any more."""

    def __init__(
        self, reading: Reading, pair: Pair, base: Class | None, head: Class | None
    ) -> None:
        self.reading = reading
        self.pair = pair
        self.dropped: frozenset[str] = NO_FLAGS
        self.warnings: tuple[str, ...] = ()
        if base is not None and head is not None:
            try:
                self._drop_unread(base, head)
            except RecursionError:
                self.dropped = NO_FLAGS

    def _drop_unread(self, base: Class, head: Class) -> None:
        common = [
            (m, base.methods[name]) for name, m in head.methods.items() if name in base.methods
        ]
        new = attributes_stored(m for m, _ in common) - attributes_stored(base.methods.values())
        guarded = {name for name in new if self._is_read_anywhere(head, name)}
        if not new:
            return
        read: set[str] = set()
        stores: list[tuple[str, ast.stmt]] = []
        for method, old in common:
            if is_textually_equal(old, method):
                continue
            reduced = self.reading.reduce(self.pair, method, side="head")
            if method.name == "__init__":
                stores = _stores(reduced.statements)
                read |= _read_beyond_own_statement(reduced.statements, new)
            else:
                read |= reduced.loaded_attributes()
        constant = {n for n, s in stores if n in new and not impure_calls(s)}
        constant -= {
            n
            for n, s in stores
            if n in constant and not all_flags(s) and self._is_known_outside(head, n)
        }
        unread = {n for n in new if n not in read and (n in guarded or n in constant)}
        self.dropped = frozenset(unread)
        built = [(n, s) for n, s in stores if n in unread and impure_calls(s)]
        self.warnings = tuple(
            f"self.{name} is built in line {one.lineno} although the flag is off: a module that is built draws "
            f"random numbers and enters the state_dict; parity will tell"
            for name, one in built
        )

    def _is_known_outside(self, head: Class, name: str) -> bool:
        """Whether others may read an attribute of that name: by that name on the base, or in a library's base class."""
        world = self.reading.world
        key = "known outside", name
        if key not in world.shared:
            num_asked = sum(isinstance(one, tuple) and one[0] == key[0] for one in world.shared)
            world.shared[key] = num_asked >= _ASKED_MAX or self._is_mentioned(name)
        if world.shared[key]:
            return True
        return bool(world.kin.outside(head) - PLAIN_BASES or world.kin.sets(head, name))

    def _is_mentioned(self, name: str) -> bool:
        pattern = re.compile(rf"\.{re.escape(name)}\b|['\"]{re.escape(name)}['\"]")
        texts = self.reading.world.mentioning([name]).values()
        return any(pattern.search(text) for text in texts)

    def _is_read_anywhere(self, head: Class, name: str) -> bool:
        return any(
            self_attribute(node) == name
            and isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            for method in head.methods.values()
            for node in walk(method.node)
        )

    def compare(self, base: Function, head: Function) -> Compared:
        """Compare two versions of a method, or of a function."""
        try:
            old = self.reading.reduce(self.pair, base, side="base")
            new = self.reading.reduce(self.pair, head, side="head", dropped=self.dropped)
        except RecursionError:
            return Compared(is_equal=False, line=head.node.lineno, shown=_UNREADABLE)
        own = all_parameter_names(base.node.args) | stored_names(base.node.body)
        return compared(old, new, self.reading.world.flag_names() - own)


def _stores(statements: Iterable[ast.stmt]) -> list[tuple[str, ast.stmt]]:
    return [
        (self_attribute(node.targets[0]), node)
        for top in statements
        for node in walk(top)
        if isinstance(node, ast.Assign) and self_attribute(node.targets[0])
    ]


def _read_beyond_own_statement(statements: Sequence[ast.stmt], new: set[str]) -> set[str]:
    """Return new attributes that a constructor reads for something else than to ready them."""
    read: set[str] = set()
    for one in statements:
        loaded = {
            self_attribute(node)
            for node in walk(one)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        } - {""}
        is_own = isinstance(one, ast.Expr) and loaded <= new
        stored = self_attribute(one.targets[0]) if isinstance(one, ast.Assign) else ""
        if not is_own and stored not in new:
            read |= loaded & new
    return read


def compared(old: Reduced, new: Reduced, flags: set[str]) -> Compared:
    """Return whether two reduced bodies are equal, else where they differ and whether flags reach all of it."""
    if old.is_equal(new):
        return Compared(is_equal=True)
    before, after = old.rows, new.rows
    matcher = difflib.SequenceMatcher(
        None, [row.text for row in before], [row.text for row in after], autojunk=False
    )
    none = any(fold.computes_with_none(one) for one in new.statements)
    reached = True
    first: Row | None = None
    line = 0
    text: list[str] = []
    switched: set[str] = set()
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            continue
        gone, come = before[a:b], after[c:d]
        text += [f"-{row.text}" for row in gone] + [f"+{row.text}" for row in come]
        around = come or after[max(0, c - 1) : d + 1]
        untouched = [
            row for row in come if row.switched & flags or not (row.flags or row.names & flags)
        ]
        is_reached = not untouched if come else any(row.flags for row in around)
        if len(gone) == len(come) and [_mask(r) for r in gone] == [_mask(r) for r in come]:
            # Nothing was rearranged: another value stands in the same place.
            is_reached, untouched = False, come
        if (not is_reached and reached) or first is None:
            first = untouched[0] if untouched else come[0] if come else gone[0] if gone else None
            line = first.line_of_difference(gone) if first and come else first.line if first else 0
        switched |= {name for row in come for name in row.switched & flags}
        reached = reached and is_reached
    return Compared(
        is_equal=False,
        line=line,
        shown="computes with None at the defaults" if none else "",
        switched=frozenset(switched),
        is_reached=reached,
        text="\n".join(text),
    )


def _mask(row: Row) -> str:
    return _VALUES.sub("·", row.text)


def mentioned_flags(
    world: World,
    function: Function,
    attributes: dict[str, ast.expr],
    helpers: Mapping[str, Function] | None = None,
) -> frozenset[str]:
    """Return the new flags whose name a function mentions, or whose value reaches it through ``self``.

    Args:
        world: Knows the flags.
        function: On the side of head.
        attributes: What new attributes of its class hold.
        helpers: New methods of its class by name; what they mention counts where the function calls them.
    """
    called = {self_attribute(call.func) for call in calls_in(function.node)} & (
        helpers or {}
    ).keys()
    inner = [mentioned_flags(world, (helpers or {})[name], attributes) for name in sorted(called)]
    return _mentioned(world, function, attributes).union(*inner)


def _mentioned(world: World, function: Function, attributes: dict[str, ast.expr]) -> frozenset[str]:
    names = world.flag_names()
    found: set[str] = set()
    for node in walk(function.node):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                found.add(name)
            case ast.keyword(arg=str(name)):
                found.add(name)
            case ast.Constant(value=str(name)):
                found.add(name)
            case _:
                pass
        attribute = self_attribute(node)
        if attribute in attributes:
            found |= all_flags(attributes[attribute])
    return frozenset(found & names)


def signature_findings(world: World, pair: Pair, symbol: str, line: int) -> list[Finding]:
    """Return what a changed list of parameters does to callers."""
    change = world.signatures.get((pair.change.head_path, symbol))
    if change is None:
        return []
    path = pair.change.head_path
    shown = symbol.removesuffix(".__init__")
    found = [
        Finding(
            verdict=FeatureVerdict.BREAKING,
            kind="signature",
            symbol=symbol,
            path=path,
            line=line,
            flags=frozenset(name for name in change.new if f"'{name}'" in problem),
            reason=f"{shown}: {problem}",
            text=problem,
        )
        for problem in change.problems
    ]
    for name, (old, new) in change.defaults.items():
        found.append(
            Finding(
                verdict=FeatureVerdict.DEFAULT_CHANGED,
                kind="default",
                symbol=symbol,
                path=path,
                line=getattr(new, "lineno", line),
                reason=f"{shown}: the default of '{name}' was {_short(old)} and is now {_short(new)}",
                text=f"{name} {dump(old)} {dump(new)}",
            )
        )
    return found


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def heads_differ(base: Function, head: Function) -> str | None:
    """Say how decorators or the kind of a function differ, options of a command line aside."""
    if type(base.node) is not type(head.node):
        return "is no longer what it was: one side is async"
    old, new = (
        [
            dump(one)
            for one in f.node.decorator_list
            if not (isinstance(one, ast.Call) and last_name(one.func) in {"option", "argument"})
        ]
        for f in (base, head)
    )
    if old == new:
        return None
    names = [ast.unparse(one) for one in head.node.decorator_list if dump(one) not in old]
    return f"is now decorated with {names[0]}" if names else "has lost a decorator"


def has_click_options(function: Function) -> bool:
    """Whether decorators make a function a command with options."""
    return bool(click_options(function.node))


def only_spelling_differs(base: Function, head: Function) -> bool:
    """Whether two functions differ in nothing but docstrings, annotations and log texts."""
    return alike(clean_body(base), clean_body(head))


def compared_as_they_stand(base: Function, head: Function) -> Compared:
    """Compare two bodies that are too large to be reduced where nothing asks for it."""
    old, new = (
        Reduced(statements=clean_body(f), own=all_parameter_names(f.node.args))
        for f in (base, head)
    )
    return compared(old, new, set())

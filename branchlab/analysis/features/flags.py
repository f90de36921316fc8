"""Everything new that has a default: parameters, fields, options, constants, keys that are looked up."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from branchlab.analysis.features import literals
from branchlab.analysis.features.changes import FileChange
from branchlab.analysis.features.clean import clean_block
from branchlab.analysis.features.options import (
    ENUMS,
    click_options,
    fields_of,
    options_in,
)
from branchlab.analysis.features.signatures import (
    SignatureChange,
)
from branchlab.analysis.features.syntax import Class, Function, Module
from branchlab.analysis.features.trees import (
    dotted,
    walk,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something new that has a default: a parameter, an option, a field, a key of a config, a constant.

    Attributes:
        owner: Symbol that takes it; the empty string for a file.
        default: None where it has none, or none that can be read.
    """

    name: str
    kind: str
    owner: str
    path: str
    line: int
    default: ast.expr | None

    @property
    def shown_default(self) -> str | None:
        return None if self.default is None else ast.unparse(self.default)


@dataclass(slots=True, kw_only=True)
class Pair:
    """One file on both sides; a side that is absent or has no symbols is None."""

    change: FileChange
    base: Module | None
    head: Module | None


def new_parameters(pair: Pair, head: Function, change: SignatureChange) -> Iterator[Flag]:
    """Yield the parameters that a function has gained."""
    for name, default in change.new.items():
        yield Flag(
            name=name,
            kind="parameter",
            owner=head.symbol,
            path=pair.change.head_path,
            line=_line_of_parameter(head, name),
            default=default,
        )


def keywords(function: Function) -> str:
    """Return the name of a function's ``**`` parameter; the empty string without one."""
    kwarg = function.node.args.kwarg
    return kwarg.arg if kwarg is not None else ""


def _line_of_parameter(function: Function, name: str) -> int:
    for node in walk(function.node.args):
        if isinstance(node, ast.arg) and node.arg == name:
            return node.lineno
    return function.node.lineno


def new_fields(pair: Pair, base: Class, head: Class) -> Iterator[Flag]:
    """Yield the fields that a class has gained and that no method set before."""
    old = fields_of(base)
    stored = attributes_stored(base.methods.values())
    if set(head.bases) & ENUMS:
        return
    for name, one in fields_of(head).items():
        if name not in old and name not in stored and not name.startswith("__"):
            yield Flag(
                name=name,
                kind="field",
                owner=head.symbol,
                path=pair.change.head_path,
                line=one.line,
                default=one.default,
            )


def _has_commands(module: Module) -> bool:
    """Whether decorators may give a function of the module options."""
    return any(one.node.decorator_list for one in module.functions.values())


def all_statements(module: Module) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Yield (symbol, body) of every function, and of the module itself under the empty symbol."""
    yield "", module.statements
    for function in module.functions.values():
        yield function.symbol, function.node.body


def new_options(pair: Pair) -> Iterator[Flag]:
    """Yield the options of a command line that no function of the file had."""
    assert pair.head is not None
    if not pair.head.makes_options and not _has_commands(pair.head):
        return
    old: set[str] = set()
    if pair.base is not None:
        for _, body in all_statements(pair.base):
            old |= {option.name for option in options_in(body).found.values()}
        for function in pair.base.functions.values():
            old |= set(click_options(function.node))
    found = [(symbol, options_in(body).found) for symbol, body in all_statements(pair.head)]
    found += [(one.symbol, click_options(one.node)) for one in pair.head.functions.values()]
    for symbol, options in found:
        if pair.base is None or (symbol and symbol not in pair.base.functions):
            continue
        for option in options.values():
            if option.name not in old:
                yield Flag(
                    name=option.name,
                    kind="option",
                    owner=symbol,
                    path=pair.change.head_path,
                    line=option.line,
                    default=option.default,
                )


def module_constants(module: Module) -> dict[str, ast.expr]:
    """Return names that a module gives one plain value, once and for all."""
    if module.constants is not None:
        return module.constants
    found: dict[str, ast.expr] = {}
    seen: set[str] = set()
    for statement in module.statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                seen |= {
                    node.id
                    for node in walk(statement)
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                }
                continue
        if name in seen:
            found.pop(name, None)
        elif literals.is_constant(value):
            found[name] = value
        seen.add(name)
    declared = {
        name for node in module.nodes if isinstance(node, ast.Global) for name in node.names
    }
    module.constants = {name: value for name, value in found.items() if name not in declared}
    return module.constants


def new_constants(pair: Pair) -> Iterator[Flag]:
    """Yield constants that are new and that a test asks for."""
    assert pair.head is not None
    if pair.base is None:
        return
    old = module_constants(pair.base)
    asked = {
        node.id
        for top in pair.head.nodes
        if isinstance(top, ast.If | ast.IfExp | ast.While | ast.BoolOp)
        for node in walk(top.test if not isinstance(top, ast.BoolOp) else top)
        if isinstance(node, ast.Name)
    }
    for name, value in module_constants(pair.head).items():
        if name not in old and name in asked:
            yield Flag(
                name=name,
                kind="constant",
                owner="",
                path=pair.change.head_path,
                line=getattr(value, "lineno", 0),
                default=value,
            )


def new_lookups(pair: Pair, old: set[str]) -> Iterator[Flag]:
    """Yield keys that are looked up with a default and that no base file knew."""
    assert pair.head is not None
    if pair.base is None:
        return
    for node in pair.head.nodes:
        if not (isinstance(node, ast.Call) and node.args):
            continue
        name, key = dotted(node.func), node.args[0]
        if name == "getattr" and len(node.args) == 3:  # noqa: PLR2004  with a default
            key, given = node.args[1], node.args[2:]
        elif name.endswith((".get", ".pop", "getenv")):
            given = node.args[1:]
        else:
            continue
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value not in old:
            default = given[0] if given else ast.Constant(None)
            yield Flag(
                name=key.value,
                kind="attribute" if name == "getattr" else "key",
                owner="",
                path=pair.change.head_path,
                line=node.lineno,
                default=default,
            )


def new_entries(pair: Pair) -> Iterator[Flag]:
    """Yield plain entries that a dictionary of defaults gained, where something asks for them by name."""
    assert pair.head is not None
    if pair.base is None:
        return
    old = _entries(pair.base)
    asked = {
        node.value
        for top in pair.head.nodes
        if isinstance(top, ast.Subscript | ast.Call)
        for node in ([top.slice] if isinstance(top, ast.Subscript) else top.args[:1])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for (table, name), value in _entries(pair.head).items():
        is_known = any(other == table for other, _ in old)
        if is_known and (table, name) not in old and name in asked and literals.is_constant(value):
            yield Flag(
                name=name,
                kind="key",
                owner=table,
                path=pair.change.head_path,
                line=getattr(value, "lineno", 0),
                default=value,
            )


def _entries(module: Module) -> dict[tuple[str, str], ast.expr]:
    """Return (name of a dictionary at module level, key) -> value."""
    found: dict[tuple[str, str], ast.expr] = {}
    for statement in clean_block(module.statements):
        match statement:
            case ast.Assign(targets=[ast.Name(id=table)], value=ast.Dict(keys=keys, values=values)):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found[table, key.value] = value
            case _:
                pass
    return found


def attributes_stored(functions: Iterable[Function]) -> set[str]:
    """Return ``x`` of every ``self.x = …``, and of buffers and modules that are registered by name."""
    return set().union(*(function.stored_attributes for function in functions))

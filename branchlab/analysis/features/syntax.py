"""One source file as symbols: functions, classes with fields and methods, imports, and what is left at module level.

A file that Python cannot read becomes a ``Failure`` with a reason; nothing that a file holds raises.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from branchlab.analysis.features.trees import (
    FunctionNode,
    children,
    dump,
    last_name,
    self_attribute,
    stored_names,
    walk,
)

_LINES_MAX = 40_000
_DEPTH_MAX = 400
_CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
_MAKING_OPTIONS = ("add_argument", "DEFINE_", "_C.", "_CFG.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a file cannot be read, and where; whether Python cannot read it either."""

    reason: str
    line: int
    is_fault: bool = True


@dataclass(slots=True, kw_only=True)
class Function:
    """A function or method.

    Attributes:
        owner: Qualified name of its class; empty at module level.
        source: Its lines as they stand.
        cleaned: Its body in the one spelling, once it was asked for, see ``clean.clean_body``.
    """

    name: str
    symbol: str
    owner: str
    node: FunctionNode
    source: str = ""
    cleaned: list[ast.stmt] | None = None
    _text: str = ""
    _stored: frozenset[str] | None = None

    @property
    def text(self) -> str:
        """Equal for equal syntax trees."""
        if not self._text:
            self._text = dump(self.node)
        return self._text

    @property
    def stored_attributes(self) -> frozenset[str]:
        """``x`` of every ``self.x = …``, and of buffers and modules that are registered by name."""
        if self._stored is None:
            self._stored = _stored_attributes(self.node)
        return self._stored


@dataclass(slots=True, kw_only=True)
class Class:
    """A class: its methods apart, everything else in its body as statements."""

    name: str
    symbol: str
    node: ast.ClassDef
    methods: dict[str, Function] = field(default_factory=dict)
    statements: list[ast.stmt] = field(default_factory=list)
    bases: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.bases = [name for base in self.node.bases if (name := last_name(base))]


@dataclass(slots=True, kw_only=True)
class Module:
    """A file that parses.

    Attributes:
        functions: At module level and in classes, by qualified name; a second one of a name is ``name#2``.
        imports: Every import at module level, also below ``try`` and ``if``.
        statements: What is neither a definition nor an import.
        constants: Once they were asked for, see ``flags.module_constants``.
        nodes: Every node of the file, outer ones first. ``lines``: its text.
        makes_options: Whether the text has a word that adds options to a command line.
    """

    path: str
    tree: ast.Module
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    imports: list[ast.Import | ast.ImportFrom] = field(default_factory=list)
    statements: list[ast.stmt] = field(default_factory=list)
    constants: dict[str, ast.expr] | None = None
    nodes: list[ast.AST] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    makes_options: bool = False

    @property
    def calls(self) -> Iterator[ast.Call]:
        return (node for node in self.nodes if isinstance(node, ast.Call))

    @property
    def top_functions(self) -> Iterator[Function]:
        return (one for one in self.functions.values() if not one.owner)

    def imported_names(self) -> dict[str, str]:
        """Return local name -> the name it has where it comes from."""
        return {
            alias.asname or alias.name: alias.name for one in self.imports for alias in one.names
        }


def parse_tree(text: str) -> ast.Module | Failure:
    """Parse a text, whatever it holds."""
    if text.count("\n") > _LINES_MAX:
        return Failure(reason=f"has more than {_LINES_MAX} lines", line=0, is_fault=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        return Failure(reason=_reason(text, error), line=error.lineno or 0)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        reason = f"cannot be read ({type(error).__name__}: {error})"[:120]
        return Failure(reason=reason, line=0, is_fault=isinstance(error, ValueError))


def _reason(text: str, error: SyntaxError) -> str:
    conflict = _CONFLICT.search(text)
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        return f"holds the marker of a merge conflict in line {line}"
    said = error.msg or "syntax error"
    if said.startswith("Missing parentheses in call to 'print'") or "exec" in said:
        return f"is Python 2 ({said.split('.')[0]})"
    return f"does not parse: {said}"


def parse_module(path: str, text: str) -> Module | Failure:
    """Read one file as symbols."""
    tree = parse_tree(text)
    if isinstance(tree, Failure):
        return tree
    nodes = _all_nodes(tree)
    if nodes is None:
        return Failure(reason="is nested too deeply to be read", line=0, is_fault=False)
    module = Module(path=path, tree=tree, nodes=nodes, lines=text.split("\n"))
    module.makes_options = any(word in text for word in _MAKING_OPTIONS)
    _collect(module, tree.body)
    return module


def _all_nodes(tree: ast.Module) -> list[ast.AST] | None:
    """Return every node, outer ones first; None where too many lie within one another."""
    found: list[ast.AST] = []
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        if depth > _DEPTH_MAX:
            return None
        found += level
        inner: list[ast.AST] = []
        for node in level:
            inner += children(node)
        level = inner
    return found


def _collect(module: Module, body: Iterable[ast.stmt]) -> None:
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if not _is_overload(statement):
                    _add_function(module, statement, owner="")
            case ast.ClassDef():
                _add_class(module, statement, owner="")
            case ast.Import() | ast.ImportFrom():
                module.imports.append(statement)
            case ast.Expr(value=ast.Constant(value=str())):
                pass
            case _:
                module.statements.append(statement)
                module.imports += [
                    node
                    for node in walk(statement)
                    if isinstance(node, ast.Import | ast.ImportFrom)
                ]


def _is_overload(node: FunctionNode) -> bool:
    """Whether a definition only tells a type checker what the next one takes."""
    return any(last_name(one) == "overload" for one in node.decorator_list)


def _add_function(module: Module, node: FunctionNode, *, owner: str) -> Function:
    plain = f"{owner}.{node.name}" if owner else node.name
    symbol, number = plain, 1
    while symbol in module.functions:
        number += 1
        symbol = f"{plain}#{number}"
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    source = "\n".join(module.lines[first - 1 : node.end_lineno])
    made = Function(name=node.name, symbol=symbol, owner=owner, node=node, source=source)
    module.functions[symbol] = made
    return made


def _add_class(module: Module, node: ast.ClassDef, *, owner: str) -> None:
    plain = f"{owner}.{node.name}" if owner else node.name
    symbol, number = plain, 1
    while symbol in module.classes:
        number += 1
        symbol = f"{plain}#{number}"
    made = Class(name=node.name, symbol=symbol, node=node)
    module.classes[symbol] = made
    for statement in node.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if _is_overload(statement):
                    continue
                method = _add_function(module, statement, owner=symbol)
                made.methods[method.symbol.rpartition(".")[2]] = method
            case ast.ClassDef():
                _add_class(module, statement, owner=symbol)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                made.statements.append(statement)


def _stored_attributes(function: FunctionNode) -> frozenset[str]:
    found: set[str] = set()
    for node in walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(self_attribute(node))
        if isinstance(node, ast.Call) and self_attribute(node.func).startswith(
            ("register_", "add_module")
        ):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return frozenset(found - {""})


def top_names(module: Module) -> set[str]:
    """Return every name that the module binds at its top level, imports included."""
    return stored_names(module.tree.body)

"""LibCST nodes: what they say without their spelling, where they stand, and how one is exchanged."""

from __future__ import annotations

import ast
from collections.abc import Callable

import libcst as cst

from branchlab.analysis.features.trees import dump

Definition = cst.FunctionDef | cst.ClassDef
WIDTH_MIN = 88


def code_of(node: cst.CSTNode) -> str:
    """Return the text of one node."""
    return cst.Module([]).code_for_node(node)


def statement_key(node: cst.CSTNode) -> str:
    """Return a text that is equal for statements that differ in spelling and comments alone."""
    code = cst.Module([]).code_for_node(node)
    return dump(ast.parse(code))


def expression_key(node: cst.CSTNode | None) -> str:
    """Return a text that is equal for expressions that differ in spelling alone."""
    if node is None:
        return ""
    code = code_of(node)
    try:
        return dump(ast.parse(f"({code}\n)", mode="eval"))
    except SyntaxError:  # a slice, a starred item, a parameter list: no expression of their own
        return " ".join(code.split())


def width_of(text: str) -> int:
    """Return how long the lines of a file may be: as long as its longest, 88 at least and 120 at most."""
    return min(120, max([WIDTH_MIN, *map(len, text.splitlines())]))


class _Exchange(cst.CSTTransformer):
    def __init__(self, symbol: str, change: Callable[[Definition], cst.CSTNode]) -> None:
        super().__init__()
        self._symbol = symbol
        self._change = change
        self._stack: list[str] = []
        self.is_done = False

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        self._stack.append(node.name.value)
        return True

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        self._stack.append(node.name.value)
        return True

    def leave_FunctionDef(  # type: ignore[override]  # noqa: N802
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.CSTNode:
        return self._leave(updated_node)

    def leave_ClassDef(  # type: ignore[override]  # noqa: N802
        self, original_node: cst.ClassDef, updated_node: cst.ClassDef
    ) -> cst.CSTNode:
        return self._leave(updated_node)

    def _leave(self, node: Definition) -> cst.CSTNode:
        here = ".".join(self._stack)
        self._stack.pop()
        if here != self._symbol or self.is_done:
            return node
        self.is_done = True
        return self._change(node)


def exchange(
    module: cst.Module, symbol: str, change: Callable[[Definition], cst.CSTNode]
) -> cst.Module:
    """Return the module with the first definition of a qualified name put through ``change``."""
    made = module.visit(_Exchange(symbol, change))
    assert isinstance(made, cst.Module)
    return made


def definition(module: cst.Module, symbol: str) -> Definition | None:
    """Return the first definition of a qualified name."""
    found: list[Definition] = []

    def keep(node: Definition) -> cst.CSTNode:
        found.append(node)
        return node

    exchange(module, symbol, keep)
    return found[0] if found else None


def is_docstring(node: cst.CSTNode) -> bool:
    """Whether a statement is a bare string."""
    match node:
        case cst.SimpleStatementLine(
            body=[cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString())]
        ):
            return True
        case _:
            return False


def body_of(node: Definition) -> tuple[list[cst.BaseStatement], list[cst.BaseStatement]]:
    """Return (docstring or nothing, the other statements) of a definition."""
    if not isinstance(node.body, cst.IndentedBlock):
        inner = cst.SimpleStatementLine(body=list(node.body.body))  # type: ignore[arg-type]
        return [], [inner]
    statements = list(node.body.body)
    at = 1 if statements and is_docstring(statements[0]) else 0
    return statements[:at], statements[at:]


def with_body(node: cst.FunctionDef, statements: list[cst.BaseStatement]) -> cst.FunctionDef:
    """Return a function with other statements; its docstring stays."""
    docstring, _ = body_of(node)
    body = [*docstring, *statements]
    if isinstance(node.body, cst.IndentedBlock):
        return node.with_changes(body=node.body.with_changes(body=body))
    return node.with_changes(body=cst.IndentedBlock(body=body))

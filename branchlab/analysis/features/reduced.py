"""A body after reduction, and the statements that are taken out before: those that add options to a parser."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from branchlab.analysis.features.clean import clean_block, clean_body
from branchlab.analysis.features.options import options_in
from branchlab.analysis.features.settle import Row, in_a_row, plain_text
from branchlab.analysis.features.syntax import Function
from branchlab.analysis.features.trees import alike, self_attribute, walk


@dataclass(slots=True, kw_only=True)
class Reduced:
    """A body after reduction. ``own``: names that are not the function's to choose, its parameters above all."""

    statements: list[ast.stmt]
    own: set[str]

    @property
    def rows(self) -> list[Row]:
        """The statements in a row, with the names and places of the source."""
        return in_a_row(self.statements)

    def is_equal(self, other: Reduced) -> bool:
        """Whether both bodies are the same but for the names of locals."""
        return alike(self.statements, other.statements) or self.text == other.text

    @property
    def text(self) -> str:
        """A text that is equal for equal bodies."""
        return plain_text(self.statements, self.own)

    def loaded_attributes(self) -> set[str]:
        return {
            self_attribute(node)
            for one in self.statements
            for node in walk(one)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        } - {""}

    def named_attributes(self) -> set[str]:
        """Return every attribute of ``self`` that is loaded or stored, and every text that may name one."""
        found: set[str] = set()
        for node in (node for one in self.statements for node in walk(one)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            found.add(self_attribute(node))
        return found


def is_bare_return(node: ast.stmt) -> bool:
    """Whether a statement returns nothing."""
    return isinstance(node, ast.Return) and (
        node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
    )


def without_options(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Return copies of statements without those that add options: options are compared by themselves."""
    making = {id(one) for one in options_in(statements).statements}
    if not making:
        return statements
    return _pruned(statements, making)


def plain_body(function: Function, *, has_options: bool) -> list[ast.stmt]:
    """Return copies of a function's statements in the one spelling, without those that add options, if it may have any."""
    if has_options:
        return clean_block(without_options(function.node.body))
    return clean_body(function)


def _pruned(statements: list[ast.stmt], making: set[int]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for one in statements:
        if id(one) in making:
            continue
        if any(id(node) in making for node in walk(one)):
            copy = type(one)()
            vars(copy).update(vars(one))
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(copy, name, None)
                if isinstance(inner, list):
                    setattr(copy, name, _pruned(inner, making))
            found.append(copy)
        else:
            found.append(one)
    return found

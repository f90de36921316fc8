"""Two lists of statements made one: what both have stands once, what differs under the condition or its else.

With the condition true exactly head's statements run, in head's order; with it false exactly the base's. That holds for
any alignment, so the alignment only decides how well the result reads.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from branchlab.analysis.guard.code import code_of, expression_key, statement_key
from branchlab.analysis.guard.expressions import merge_expressions

_ALIKE_MIN = 0.35
_LONG = 6
Statements = Sequence[cst.BaseStatement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """How to merge. ``columns`` are what a line may hold at this depth."""

    condition: cst.BaseExpression
    columns: int

    def deeper(self) -> Merging:
        return Merging(condition=self.condition, columns=self.columns - 4)


def merge_blocks(base: Statements, head: Statements, how: Merging) -> list[cst.BaseStatement]:
    """Return statements that are ``head`` where the condition holds and ``base`` elsewhere."""
    old, new = [statement_key(one) for one in base], [statement_key(one) for one in head]
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < _ALIKE_MIN and max(len(base), len(head)) >= _LONG:
        return [_choice(base, head, how)]
    found: list[cst.BaseStatement] = []
    for what, i, j, k, m in matcher.get_opcodes():
        if what == "equal":
            found += head[k:m]
        else:
            found += _differing(base[i:j], head[k:m], how)
    return found


def _differing(base: Statements, head: Statements, how: Merging) -> list[cst.BaseStatement]:
    if len(base) == len(head):
        pairs = [_pair(b, h, how) for b, h in zip(base, head, strict=True)]
        whole = [one for one in pairs if one is not None]
        has_compound = any(not isinstance(one, cst.SimpleStatementLine) for one in head)
        if len(whole) == len(pairs) and (len(pairs) == 1 or has_compound):
            return whole
    return [_choice(base, head, how)]


def _choice(base: Statements, head: Statements, how: Merging) -> cst.If:
    """Return ``if condition: head else: base``; one side may be empty."""
    if not head:
        negated = cst.UnaryOperation(operator=cst.Not(), expression=how.condition)
        return cst.If(test=negated, body=_indented(base))
    orelse = cst.Else(body=_indented(base)) if base else None
    return cst.If(test=how.condition, body=_indented(head), orelse=orelse)


def _indented(statements: Statements) -> cst.IndentedBlock:
    first, *rest = statements
    lines = list(getattr(first, "leading_lines", ()))
    while lines and lines[0].comment is None:
        lines.pop(0)
    return cst.IndentedBlock(body=[first.with_changes(leading_lines=lines), *rest])


def _pair(
    base: cst.BaseStatement, head: cst.BaseStatement, how: Merging
) -> cst.BaseStatement | None:
    """Return one statement for two, where they are of one kind; None where they are not."""
    if isinstance(base, cst.SimpleStatementLine) and isinstance(head, cst.SimpleStatementLine):
        return _simple(base, head, how)
    if type(base) is not type(head) or _frame(base) != _frame(head) or not _frame(head):
        return None
    old, new = base.body, head.body  # type: ignore[attr-defined]
    if not (isinstance(old, cst.IndentedBlock) and isinstance(new, cst.IndentedBlock)):
        return None
    inner = how.deeper()
    made = head.with_changes(body=new.with_changes(body=merge_blocks(old.body, new.body, inner)))
    return _with_else(made, base, head, how) if isinstance(head, cst.If) else made


def _with_else(
    made: cst.BaseStatement, base: cst.BaseStatement, head: cst.If, how: Merging
) -> cst.BaseStatement | None:
    assert isinstance(base, cst.If)
    match base.orelse, head.orelse:
        case None, None:
            return made
        case cst.If() as old, cst.If() as new:
            merged = _pair(old, new, how)
            return made.with_changes(orelse=merged) if isinstance(merged, cst.If) else None
        case (
            cst.Else(body=cst.IndentedBlock(body=old_body)),
            cst.Else(body=cst.IndentedBlock(body=new_body) as block) as other,
        ):
            body = block.with_changes(body=merge_blocks(old_body, new_body, how.deeper()))
            return made.with_changes(orelse=other.with_changes(body=body))
        case _:
            return None


def _frame(node: cst.BaseStatement) -> str:
    """Return what surrounds the body of a compound statement; empty where bodies cannot be merged."""
    match node:
        case cst.If(test=test):
            return f"if {expression_key(test)}"
        case cst.While(test=test, orelse=None):
            return f"while {expression_key(test)}"
        case cst.For(target=target, iter=iterated, orelse=None):
            return f"for {expression_key(target)} in {expression_key(iterated)}"
        case cst.With(items=items):
            return f"with {[code_of(one) for one in items]}"
        case _:
            return ""


def _simple(
    base: cst.SimpleStatementLine, head: cst.SimpleStatementLine, how: Merging
) -> cst.BaseStatement | None:
    if len(base.body) != 1 or len(head.body) != 1 or _comments(base) - _comments(head):
        return None
    old, new = base.body[0], head.body[0]
    match old, new:
        case cst.Assign(), cst.Assign() if _keys(old.targets) == _keys(new.targets):
            pass
        case cst.AugAssign(), cst.AugAssign() if _same_target(old, new):
            pass
        case cst.AnnAssign(), cst.AnnAssign() if (
            expression_key(old.target) == expression_key(new.target) and old.value and new.value
        ):
            pass
        case (cst.Return(), cst.Return()) | (cst.Expr(), cst.Expr()):
            pass
        case _:
            return None
    before, after = getattr(old, "value", None), getattr(new, "value", None)
    if not isinstance(before, cst.BaseExpression) or not isinstance(after, cst.BaseExpression):
        return None
    merged = merge_expressions(before, after, how.condition)
    if merged is None:
        return None
    made = head.with_changes(body=[new.with_changes(value=merged)])
    lines = code_of(made.with_changes(leading_lines=[])).splitlines()
    return made if max(map(len, lines)) <= how.columns else None


def _keys(targets: Sequence[cst.AssignTarget]) -> list[str]:
    return [expression_key(one.target) for one in targets]


def _same_target(old: cst.AugAssign, new: cst.AugAssign) -> bool:
    return type(old.operator) is type(new.operator) and expression_key(
        old.target
    ) == expression_key(new.target)


def _comments(line: cst.SimpleStatementLine) -> set[str]:
    said = [line.trailing_whitespace.comment, *(one.comment for one in line.leading_lines)]
    return {one.value for one in said if one is not None}

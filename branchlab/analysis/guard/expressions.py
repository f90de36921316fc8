"""Two expressions made one: a conditional expression, placed as far in as only one argument differs."""

from __future__ import annotations

import libcst as cst

from branchlab.analysis.guard.code import code_of, expression_key

_WEAK = (cst.IfExp, cst.Lambda, cst.NamedExpr, cst.Yield, cst.Tuple, cst.GeneratorExp)


def merge_expressions(
    base: cst.BaseExpression, head: cst.BaseExpression, condition: cst.BaseExpression
) -> cst.BaseExpression | None:
    """Return an expression that is ``head`` where the condition holds and ``base`` elsewhere.

    None where it would span lines, or where a yield or a name bound on the way makes it hard to read.
    """
    if expression_key(base) == expression_key(head):
        return head
    inner = _in_argument(base, head, condition)
    if inner is not None:
        return inner
    texts = code_of(base) + code_of(head)
    if "\n" in texts or _is_awkward(base) or _is_awkward(head):
        return None
    return cst.IfExp(test=condition, body=_tight(head), orelse=_tight(base))


def _in_argument(
    base: cst.BaseExpression, head: cst.BaseExpression, condition: cst.BaseExpression
) -> cst.BaseExpression | None:
    if not (isinstance(base, cst.Call) and isinstance(head, cst.Call)):
        return None
    if len(base.args) != len(head.args) or expression_key(base.func) != expression_key(head.func):
        return None
    differ = []
    for at, (old, new) in enumerate(zip(base.args, head.args, strict=True)):
        if old.star != new.star or expression_key(old.keyword) != expression_key(new.keyword):
            return None
        if expression_key(old.value) != expression_key(new.value):
            differ.append(at)
    if len(differ) != 1 or head.args[differ[0]].star:
        return None
    at = differ[0]
    merged = merge_expressions(base.args[at].value, head.args[at].value, condition)
    if merged is None:
        return None
    args = list(head.args)
    args[at] = args[at].with_changes(value=merged)
    return head.with_changes(args=args)


class _Awkward(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def visit_Yield(self, node: cst.Yield) -> None:
        self.found = True

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self.found = True


def _is_awkward(node: cst.BaseExpression) -> bool:
    seen = _Awkward()
    node.visit(seen)
    return seen.found


def _tight(node: cst.BaseExpression) -> cst.BaseExpression:
    """Return a node that may stand on either side of ``if``."""
    if isinstance(node, _WEAK) and not node.lpar:
        return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return node

"""What an expression is worth where its parts are known: truth, comparison, arithmetic that changes nothing.

Only what holds for every value is folded. Adding 0 and multiplying by 1 leave a tensor's bits alone; multiplying an
unknown value by 0 does not (NaN, random numbers drawn), and is folded for values alone that no call makes.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from branchlab.analysis.features.clean import is_pure
from branchlab.analysis.features.literals import constant, is_constant, is_none, literal, truth
from branchlab.analysis.features.trees import (
    all_flags,
    dotted,
    dump,
    flags_of,
    last_name,
    walk,
    with_flags,
)

_ORDER: Mapping[type, Callable[[object, object], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,  # type: ignore[dict-item]
    ast.LtE: operator.le,  # type: ignore[dict-item]
    ast.Gt: operator.gt,  # type: ignore[dict-item]
    ast.GtE: operator.ge,  # type: ignore[dict-item]
}
_BINARY: Mapping[type, Callable[..., object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_CONVERSIONS: Mapping[str, Callable[[object], object]] = {
    "bool": bool,
    "int": int,  # type: ignore[dict-item]
    "float": float,  # type: ignore[dict-item]
    "str": str,
}
_LENGTH_MAX = 1000
COUNTERS = {
    *("epoch", "step", "iteration", "it", "i", "idx", "batch_idx", "global_step", "num_updates"),
    *("cur_iter", "current_step", "current_epoch", "ni", "niter", "n_iter", "last_epoch"),
}
"""Names that count from 0: warm-up guards ask whether one of them is below a length, which is 0 when off."""
_TEXT_METHODS = {"lower", "upper", "strip", "title", "startswith", "endswith", "replace"}


def fold_compare(node: ast.Compare) -> ast.expr:
    """Return what a comparison of two sides is worth."""
    if len(node.ops) != 1:
        return node
    left, op, right = node.left, node.ops[0], node.comparators[0]
    known = _compare(left, op, right)
    return node if known is None else constant(known, like=node)


def _compare(left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool | None:
    if last_name(left) in COUNTERS and _is_zero(right):
        return {ast.Lt: False, ast.GtE: True}.get(type(op))
    if isinstance(op, ast.Is | ast.IsNot):
        if isinstance(right, ast.Constant) and right.value is None:
            found = is_none(left)
        elif isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
            found = left.value is right.value
        else:
            found = None
        return found if found is None or isinstance(op, ast.Is) else not found
    if isinstance(op, ast.In | ast.NotIn):
        found = _contains(left, right)
        return found if found is None or isinstance(op, ast.In) else not found
    if not (is_constant(left) and is_constant(right)):
        return None
    try:
        return bool(_ORDER[type(op)](literal(left), literal(right)))
    except (TypeError, KeyError):
        return None


def _is_zero(node: ast.expr) -> bool:
    """Whether a node is the 0 that a flag stands for; a 0 of the code's own is left alone."""
    return isinstance(node, ast.Constant) and node.value == 0 and bool(flags_of(node))


def _contains(left: ast.expr, right: ast.expr) -> bool | None:
    is_empty = isinstance(right, ast.Tuple | ast.List | ast.Set | ast.Dict) and not truth(right)
    if is_empty and truth(right) is False and is_pure(left):
        return False
    if not is_constant(left):
        return None
    if isinstance(right, ast.Constant) and isinstance(right.value, str):
        return isinstance(literal(left), str) and str(literal(left)) in right.value
    if isinstance(right, ast.Dict) and all(
        key is not None and is_constant(key) for key in right.keys
    ):
        return any(literal(key) == literal(left) for key in right.keys if key is not None)
    if isinstance(right, ast.Tuple | ast.List | ast.Set) and all(map(is_constant, right.elts)):
        return any(literal(one) == literal(left) for one in right.elts)
    return None


def fold_not(node: ast.UnaryOp) -> ast.expr:
    """Return ``not x`` with the negation taken in, and ``-1`` left as it is."""
    if not isinstance(node.op, ast.Not):
        return node
    known = truth(node.operand)
    if known is not None:
        return constant(not known, like=node)
    inner = node.operand
    if isinstance(inner, ast.UnaryOp) and isinstance(inner.op, ast.Not):
        is_bool = isinstance(inner.operand, ast.Compare)
        return inner.operand if is_bool else node
    if isinstance(inner, ast.Compare) and len(inner.ops) == 1:
        opposite = {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
        other = opposite.get(type(inner.ops[0]))
        if other is not None:
            inner.ops = [other()]
            return with_flags(inner, all_flags(node))
    return node


def fold_bool(node: ast.BoolOp, *, is_test: bool) -> ast.expr:
    """Return ``and`` and ``or`` without the parts that decide nothing.

    Args:
        node: With its parts folded already.
        is_test: Whether only the truth of the whole matters.
    """
    stops_at = isinstance(node.op, ast.Or)
    kept: list[ast.expr] = []
    for at, value in enumerate(node.values):
        known, is_last = truth(value), at == len(node.values) - 1
        if known is None:
            kept.append(value)
        elif known == stops_at:
            if is_test and all(is_pure(one) for one in kept):
                return constant(stops_at, like=node)
            kept.append(value)
            break
        elif is_last and not (is_test and kept):
            kept.append(value)
    if len(kept) == len(node.values):
        return node
    if len(kept) == 1:
        return with_flags(kept[0], all_flags(node))
    return with_flags(ast.copy_location(ast.BoolOp(node.op, kept), node), all_flags(node))


def fold_binary(node: ast.BinOp) -> ast.expr:  # noqa: PLR0911  one rule after the other
    """Return arithmetic on known values, and what adding 0 or multiplying by 1 leaves."""
    if isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
        return _arithmetic(node, node.left.value, node.right.value)
    if isinstance(node.op, ast.Mod) and _is_one(node.right) and _counts(node.left):
        return constant(0, like=node)
    if _is_neutral(node.op, node.right):
        return with_flags(node.left, all_flags(node))
    is_either_way = isinstance(node.op, ast.Add | ast.Mult)
    if is_either_way and _is_neutral(node.op, node.left):
        return with_flags(node.right, all_flags(node))
    if isinstance(node.op, ast.Add | ast.Sub) and _is_nothing(node.right):
        return with_flags(node.left, all_flags(node))
    if isinstance(node.op, ast.Add):
        return _joined_lists(node)
    return node


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value == 1


def _counts(node: ast.expr) -> bool:
    """Whether an expression is a whole number: made of counters and whole numbers alone."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Sub | ast.Mult) and all(
            _counts(one) for one in (node.left, node.right)
        )
    return last_name(node) in COUNTERS or (
        isinstance(node, ast.Constant) and type(node.value) is int
    )


def computes_with_none(node: ast.AST) -> bool:
    """Whether arithmetic is done with a None that a flag stands for: that raises."""
    return any(
        isinstance(inner, ast.BinOp)
        and any(
            isinstance(side, ast.Constant) and side.value is None
            for side in (inner.left, inner.right)
        )
        for inner in walk(node)
    )


def _arithmetic(node: ast.BinOp, left: object, right: object) -> ast.expr:
    if type(node.op) not in _BINARY or isinstance(left, str | bytes) != isinstance(
        right, str | bytes
    ):
        return node
    try:
        made = _BINARY[type(node.op)](left, right)
    except (TypeError, ValueError, ArithmeticError):
        return node
    if isinstance(made, str | bytes) and len(made) > _LENGTH_MAX:
        return node
    return constant(made, like=node)


def _is_neutral(op: ast.operator, side: ast.expr) -> bool:
    if not isinstance(side, ast.Constant) or type(side.value) not in {int, float}:
        return False
    wanted = {ast.Add: 0, ast.Sub: 0, ast.Mult: 1, ast.Div: 1, ast.Pow: 1}.get(type(op))
    # What the code itself adds or multiplies by is there for a reason: it makes a float of a whole number.
    return wanted is not None and side.value == wanted and bool(flags_of(side))


def _is_nothing(node: ast.expr) -> bool:
    """Whether a node is zero times a value that costs nothing to leave out."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)):
        return False
    sides = (node.left, node.right)
    if any(isinstance(one, ast.Constant) and type(one.value) not in {int, float} for one in sides):
        return False
    return any(
        isinstance(a, ast.Constant) and type(a.value) in {int, float} and a.value == 0
        for a in sides
    ) and all(is_pure(one) for one in sides)


def _joined_lists(node: ast.BinOp) -> ast.expr:
    for empty, other in ((node.left, node.right), (node.right, node.left)):
        if (
            isinstance(empty, ast.List | ast.Tuple)
            and not empty.elts
            and isinstance(other, type(empty) | ast.ListComp)
        ):
            return with_flags(other, all_flags(node))
    return node


def fold_conversion(node: ast.Call) -> ast.expr:  # noqa: PLR0911  one rule after the other
    """Return ``bool(x)``, ``int(x)``, ``float(x)``, ``str(x)`` and ``len(x)`` of a known value."""
    name = dotted(node.func)
    if node.keywords:
        return node
    if isinstance(node.func, ast.Attribute):
        return _text_method(node, node.func)
    if len(node.args) != 1:
        return node
    given = node.args[0]
    if name in {"any", "all"} and isinstance(given, ast.Tuple | ast.List):
        return _any_or_all(node, given, stops_at=name == "any")
    if name in {"list", "tuple"} and isinstance(given, ast.Tuple | ast.List):
        made = ast.List if name == "list" else ast.Tuple
        whole = ast.copy_location(made(given.elts, ast.Load()), node)
        return with_flags(whole, all_flags(given))
    if name == "bool" and truth(given) is not None:
        return constant(truth(given), like=node)
    if name == "len" and isinstance(given, ast.Tuple | ast.List) and truth(given) is not None:
        return constant(len(given.elts), like=node)
    if name in _CONVERSIONS and isinstance(given, ast.Constant):
        try:
            return constant(_CONVERSIONS[name](given.value), like=node)
        except (TypeError, ValueError, OverflowError):
            return node
    return node


def _text_method(node: ast.Call, func: ast.Attribute) -> ast.expr:
    owner = func.value
    is_text = isinstance(owner, ast.Constant) and isinstance(owner.value, str)
    if not is_text or func.attr not in _TEXT_METHODS or not all(map(is_constant, node.args)):
        return node
    try:
        found = getattr(literal(owner), func.attr)(*map(literal, node.args))
    except (TypeError, ValueError):
        return node
    return constant(found, like=node)


def _any_or_all(node: ast.Call, given: ast.Tuple | ast.List, *, stops_at: bool) -> ast.expr:
    known = [truth(one) for one in given.elts]
    if all(one is not None and one != stops_at for one in known):
        return constant(not stops_at, like=node)
    if known and known[0] is stops_at:
        return constant(stops_at, like=node)
    return node


def negated(test: ast.expr) -> ast.expr | None:
    """Return the positive form of a test that says what is not; None for one that says what is."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        opposite = {ast.IsNot: ast.Is, ast.NotIn: ast.In, ast.NotEq: ast.Eq}
        other = opposite.get(type(test.ops[0]))
        if other is not None:
            made = ast.Compare(test.left, [other()], test.comparators)
            return with_flags(ast.copy_location(made, test), flags_of(test))
    return None


def is_range_of(node: ast.expr) -> int | None:
    """Return how often ``range(n)`` of a known length comes round."""
    is_range = isinstance(node, ast.Call) and dotted(node.func) == "range" and not node.keywords
    if not is_range or not isinstance(node, ast.Call) or len(node.args) != 1:
        return None
    given = node.args[0]
    is_number = isinstance(given, ast.Constant) and type(given.value) is int
    return max(0, int(str(given.value))) if is_number and isinstance(given, ast.Constant) else None


def picked(holder: ast.expr, key: ast.expr) -> ast.expr | None:
    """Return the entry of a literal dictionary or sequence under a known key."""
    if not is_constant(key):
        return None
    wanted = literal(key)
    if isinstance(holder, ast.Dict) and None not in holder.keys:
        for name, value in zip(holder.keys, holder.values, strict=True):
            if name is not None and is_constant(name) and literal(name) == wanted:
                return with_flags(value, all_flags(key))
    if isinstance(holder, ast.Tuple | ast.List) and isinstance(wanted, int):
        elts = holder.elts
        if -len(elts) <= wanted < len(elts) and not any(isinstance(e, ast.Starred) for e in elts):
            return with_flags(elts[wanted], all_flags(key))
    return None


def known_equal(one: ast.AST, other: ast.AST) -> bool:
    """Whether two expressions are the same value: equal trees without effects."""
    return dump(one) == dump(other) and is_pure(one)

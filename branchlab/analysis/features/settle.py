"""The last steps before two bodies are compared: stores that nobody reads, names of locals, statements in a row."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from branchlab.analysis.features import literals
from branchlab.analysis.features.clean import is_pure
from branchlab.analysis.features.gathering import collected, without_counter
from branchlab.analysis.features.handover import (
    closed_over,
    mentions,
    with_values_put_in,
    without_handovers,
)
from branchlab.analysis.features.trees import (
    COMPREHENSIONS,
    NO_FLAGS,
    SCOPES,
    SILENT,
    Transformer,
    all_flags,
    all_parameter_names,
    below,
    clone,
    dump,
    flags_of,
    stored_names,
    walk,
    with_flags,
)

_ROUNDS_MAX = 8
_BLOCK_FIELDS = {"body", "orelse", "finalbody", "handlers", "cases"}


def without_dead_stores(statements: list[ast.stmt], kept: set[str]) -> list[ast.stmt]:
    """Drop assignments to locals that nothing reads and whose value costs nothing; join a value with its only use.

    Args:
        statements: Of one function, reduced.
        kept: Names that others may read: declared global or nonlocal, or all of a module.
    """
    for _ in range(_ROUNDS_MAX):
        nodes = below(statements)
        loads = Counter(
            node.id
            for node in nodes
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)
        )
        sweep = _Sweep(loads, kept, closed_over(nodes), mentions(nodes))
        statements = sweep.block(statements)
        if not sweep.num_changes:
            break
    return statements


class _Sweep:
    """One pass over a body; counts what it changed."""

    def __init__(
        self, loads: Counter[str], kept: set[str], closed: set[str], everywhere: Counter[str]
    ) -> None:
        self.loads = loads
        self.kept = kept
        self.closed = closed
        self.everywhere = everywhere
        self.num_changes = 0

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        left = without_handovers(list(statements), self.everywhere, self.kept | self.closed)
        self.num_changes += len(statements) - len(left)
        self.num_changes += with_values_put_in(left, self.loads, self.kept | self.closed)
        for one in left:
            if _is_dead(one, self.loads, self.kept):
                self.num_changes += 1
                continue
            self._inner(one)
            if isinstance(one, ast.If) and not one.body and not one.orelse and is_pure(one.test):
                self.num_changes += 1
                continue
            joined = None
            if found:
                joined = collected(found[-1], one) or self._joined(found[-1], one)
            if joined is not None:
                self.num_changes += 1
                found[-1] = joined
            else:
                found.append(one)
        return found

    def _inner(self, one: ast.stmt) -> None:
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(one, name, None)
            if isinstance(inner, list) and not isinstance(one, ast.ClassDef):
                setattr(one, name, self.block(inner))
        for holder in (*getattr(one, "handlers", ()), *getattr(one, "cases", ())):
            holder.body = self.block(holder.body)
        if isinstance(one, ast.For):
            without_counter(one, self.loads)

    def _joined(self, before: ast.stmt, after: ast.stmt) -> ast.stmt | None:
        """Return ``return f(x)`` for ``y = f(x); return y``: the only use stands in the next statement, and comes first."""
        match before:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case _:
                return None
        is_again = isinstance(after, ast.Assign) and dump(after.targets[0]) == dump(
            before.targets[0]
        )
        num_loads = self.loads[name]
        if (is_again or isinstance(after, ast.Return)) and name not in self.closed:
            # What the name holds is overwritten, or the function left, before anything else could read it.
            num_loads = sum(
                isinstance(one, ast.Name) and one.id == name for one in walk(_value_of(after))
            )
        is_short = isinstance(after, ast.Assign | ast.Return | ast.Expr | ast.AugAssign)
        if name in self.kept or num_loads != 1 or not is_short:
            return None
        if isinstance(after, ast.AugAssign) and dump(after.target).find(repr(name)) >= 0:
            return None
        if not _is_first(after, name):
            return None
        made = clone(after)
        put = _PutOnce(name, value)
        made = put.visit(made)
        return with_flags(made, flags_of(before)) if put.is_done else None


def _is_dead(node: ast.stmt, loads: Counter[str], kept: frozenset[str] | set[str]) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name not in kept and not loads[name] and is_pure(value)
        case ast.FunctionDef(name=name, decorator_list=[]):
            return name not in kept and not loads[name]
        case _:
            return False


def _value_of(statement: ast.stmt) -> ast.expr:
    value = getattr(statement, "value", None)
    return value if isinstance(value, ast.expr) else ast.Constant(None)


class _PutOnce(Transformer):
    def __init__(self, name: str, value: ast.expr) -> None:
        self.name, self.value, self.is_done = name, value, False

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == self.name and isinstance(node.ctx, ast.Load):
            self.is_done = True
            return self.value
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.args = [
            inner
            for one in node.args
            for inner in (
                one.value.elts
                if isinstance(one, ast.Starred) and isinstance(one.value, ast.List)
                else [one]
            )
        ]
        return node


def _is_first(statement: ast.stmt, name: str) -> bool:
    """Whether reading ``name`` is the first thing with an effect or a dependence that a statement does."""
    value = getattr(statement, "value", None)
    if value is None:
        return False
    for node in _in_order(value):
        if isinstance(node, ast.Name) and node.id == name:
            return True
        if isinstance(node, ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
            return False
        if isinstance(node, _IN_PART):
            return False
    return False


_IN_PART = (ast.IfExp, ast.BoolOp, ast.Lambda, *COMPREHENSIONS)
"""What may evaluate only some of its parts, or some of them many times."""


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """Yield nodes in the order in which they are evaluated, a call after its arguments."""
    if isinstance(node, _IN_PART):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
    yield node


def plain_text(statements: Sequence[ast.stmt], parameters: set[str]) -> str:
    """Return a text of a body in which locals are named by the order in which they turn up."""
    own = stored_names(statements) - parameters
    declared: set[str] = set()
    nested: set[str] = set()
    for one in statements:
        for node in walk(one):
            if isinstance(node, ast.Global | ast.Nonlocal):
                declared |= set(node.names)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                nested |= all_parameter_names(node.args)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                nested.add(node.id)
    free = _read_outside(statements)
    renamed = (own | (nested - free)) - declared - parameters
    places: dict[str, str] = {}
    return "\n".join(_renamed_text(one, renamed, places) for one in statements)


_NAMING = {
    (ast.Name, "id"),
    (ast.arg, "arg"),
    (ast.FunctionDef, "name"),
    (ast.AsyncFunctionDef, "name"),
    (ast.ExceptHandler, "name"),
}


def _renamed_text(value: object, renamed: set[str], places: dict[str, str]) -> str:
    if isinstance(value, ast.AST):
        parts = [type(value).__name__]
        for name in value._fields:
            inner = getattr(value, name, None)
            if inner is None or name in SILENT:
                continue
            if isinstance(inner, str) and inner in renamed and (type(value), name) in _NAMING:
                parts.append(places.setdefault(inner, f"·{len(places)}"))
            else:
                parts.append(f"{name}={_renamed_text(inner, renamed, places)}")
        return f"({' '.join(parts)})"
    if isinstance(value, list):
        return f"[{', '.join([_renamed_text(one, renamed, places) for one in value])}]"
    return repr(value)


def _read_outside(statements: Sequence[ast.stmt]) -> set[str]:
    """Return names that the function itself reads, comprehensions and nested scopes left out."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            waiting.append(node.generators[0].iter)
        elif not isinstance(node, SCOPES):
            waiting.extend(ast.iter_child_nodes(node))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One statement of a body in a row, blocks by their heads.

    Attributes:
        flags: Those that it owes its present form to. ``names``: all that it, or a test around it, reads or writes.
        switched: Arguments given by name, of a value that no flag had a hand in.
    """

    text: str
    line: int
    flags: frozenset[str] = NO_FLAGS
    names: frozenset[str] = NO_FLAGS
    switched: frozenset[str] = NO_FLAGS
    node: ast.stmt | None = None

    def line_of_difference(self, others: Sequence[Row]) -> int:
        """Return the line of the innermost part that none of ``others`` has."""
        known = {dump(part) for row in others if row.node for part in walk(row.node)}
        new = [
            part.lineno
            for part in (walk(self.node) if self.node is not None else ())
            if isinstance(part, ast.expr) and hasattr(part, "lineno") and dump(part) not in known
        ]
        return new[-1] if new else self.line


def in_a_row(
    statements: Sequence[ast.stmt], depth: int = 0, within: frozenset[str] = NO_FLAGS
) -> list[Row]:
    """Return every statement of a body with the flags that had a hand in it."""
    rows: list[Row] = []
    for one in statements:
        row = _row(one, depth, within)
        rows.append(row)
        inside = row.names if isinstance(one, ast.If | ast.While) else within
        for name, inner in ast.iter_fields(one):
            if name in {"body", "orelse", "finalbody"} and isinstance(inner, list):
                rows += [Row(text=f"{depth} {name}", line=0)] if name != "body" and inner else []
                rows += in_a_row(inner, depth + 1, inside)
            elif name in {"handlers", "cases"} and isinstance(inner, list):
                for holder in inner:
                    rows += [Row(text=f"{depth} {name}", line=0)]
                    rows += in_a_row(holder.body, depth + 1, inside)
    return rows


def _row(node: ast.stmt, depth: int, within: frozenset[str]) -> Row:
    head = type(node)()
    for name, value in ast.iter_fields(node):
        if name not in _BLOCK_FIELDS:
            setattr(head, name, value)
    names = frozenset(
        inner.id if isinstance(inner, ast.Name) else inner.attr
        for inner in walk(head)
        if isinstance(inner, ast.Name | ast.Attribute)
    )
    return Row(
        text=f"{depth} {dump(head)}",
        line=getattr(node, "lineno", 0),
        flags=flags_of(node) | all_flags(head),
        names=names | within,
        node=head,
        switched=frozenset(
            inner.arg
            for inner in walk(head)
            if isinstance(inner, ast.keyword)
            and inner.arg
            and (literals.truth(inner.value) or not all_flags(inner.value))
        )
        | _switched_by_hand(head, within),
    )


def _switched_by_hand(head: ast.stmt, within: frozenset[str]) -> frozenset[str]:
    """Return the attribute that a statement sets to something that counts as true, outside every test."""
    if (
        isinstance(head, ast.Assign)
        and isinstance(head.targets[0], ast.Attribute)
        and not within
        and literals.truth(head.value)
        and not all_flags(head.value)
    ):
        return frozenset({head.targets[0].attr})
    return NO_FLAGS

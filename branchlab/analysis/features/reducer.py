"""A body at given values: flags put in, constants folded, dead code gone, new helpers written out where they are called.

Base and head go through the same reduction, the base without flags, so that what folding does to the code besides is
done to both. Statements are read in order with what each name is known to hold; where branches meet or a loop comes
round, what is not surely the same is forgotten.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Sequence

from branchlab.analysis.features import fold, literals
from branchlab.analysis.features.branches import hoisted, normal_if, terminates
from branchlab.analysis.features.clean import is_pure
from branchlab.analysis.features.expressions import ExpressionReducer
from branchlab.analysis.features.setting import Setting
from branchlab.analysis.features.trees import (
    all_flags,
    all_parameter_names,
    below,
    clone,
    dotted,
    dump,
    flags_of,
    last_name,
    self_attribute,
    stored_names,
    walk,
    with_flags,
)
from branchlab.analysis.features.usage import leaves_loop, numbers, read_only_tables


def reduce_block(
    statements: Sequence[ast.stmt], setting: Setting, *, depth: int = 0
) -> list[ast.stmt]:
    """Return what is left of clean statements; the ones given are used up."""
    reducer = Reducer(setting, statements, depth=depth)
    found = reducer.block(statements)
    several = [name for name, num in reducer.num_stores.items() if num > 1]
    left = num_stores_in(below(found)) if several else {}
    if any(left.get(name) == 1 for name in several):
        # What a dead branch assigned kept a name from being known; it is assigned once now, as it was on the base.
        return Reducer(setting, found, depth=depth).block(found)
    return found


def num_stores_in(nodes: Iterable[ast.AST]) -> Counter[str]:
    """Count how often each name is assigned or deleted."""
    return Counter(
        node.id
        for node in nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del)
    )


class Reducer(ExpressionReducer):
    """Reduces the statements of one scope."""

    def __init__(self, setting: Setting, statements: Sequence[ast.stmt], *, depth: int = 0) -> None:
        super().__init__(setting, depth=depth)
        nodes = below(statements)
        self.num_stores = num_stores_in(nodes)
        self.declared = {
            name
            for node in nodes
            if isinstance(node, ast.Global | ast.Nonlocal)
            for name in node.names
        }
        self.read_only = read_only_tables(nodes)
        self.numbers = numbers(nodes)

    def block(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        """Return what is left of a block, up to the first statement that ends it."""
        found: list[ast.stmt] = []
        for statement in statements:
            found += self._statement(statement)
            if terminates(found):
                break
        return hoisted(found)

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:  # noqa: C901, PLR0911  one arm a kind of statement
        match node:
            case ast.Assign():
                return self._assign(node)
            case ast.AugAssign():
                return self._augment(node)
            case ast.If():
                return self._if(node)
            case ast.For() | ast.AsyncFor():
                return self._for(node)
            case ast.While():
                return self._while(node)
            case ast.With() | ast.AsyncWith():
                return self._with(node)
            case ast.Try() | ast.TryStar():
                return self._try(node)
            case ast.Match():
                return self._match(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return [self._function(node)]
            case ast.ClassDef():
                return [self._class(node)]
            case _:
                return self._plain(node)

    def _plain(self, node: ast.stmt) -> list[ast.stmt]:
        match node:
            case ast.Pass() | ast.Import() | ast.ImportFrom():
                return []
            case ast.Return(value=ast.Call() as call):
                written_out = self.written_out(call, is_returned=True)
                if written_out is not None:
                    return [*written_out[0], ast.Return(written_out[1])][: _reached(written_out[0])]
            case ast.Expr(value=ast.Call() as call):
                written_out = self.written_out(call)
                if written_out is not None:
                    rest = written_out[1]
                    return written_out[0] + ([] if is_pure(rest) else [ast.Expr(rest)])
            case _:
                pass
        self.generic_visit(node)
        match node:
            case ast.Expr(value=value) if is_pure(value) or self._is_idle(value):
                return []
            case ast.Assert(test=test):
                node.test = self.tested(test)
                return [] if literals.truth(node.test) else [node]
            case ast.Delete():
                self.forget(stored_names([node]))
            case _:
                pass
        return [node]

    def _is_idle(self, value: ast.expr) -> bool:
        """Whether a call only adds nothing to a list, or readies an attribute that nothing reads."""
        if not isinstance(value, ast.Call):
            return False
        if last_name(value.func) in {"extend", "update"} and len(value.args) == 1:
            return literals.truth(value.args[0]) is False
        dropped = self.setting.dropped_attributes
        if not dropped:
            return False
        if last_name(value.func) in {"register_buffer", "register_parameter", "add_module"}:
            first = value.args[0] if value.args else None
            return isinstance(first, ast.Constant) and first.value in dropped
        read = {self_attribute(node) for node in walk(value)} - {""}
        return bool(read) and read <= dropped

    def _assign(self, node: ast.Assign) -> list[ast.stmt]:
        before: list[ast.stmt] = []
        if isinstance(node.value, ast.Call):
            written_out = self.written_out(node.value)
            if written_out is not None:
                before, node.value = written_out
                with_flags(node, frozenset().union(*(flags_of(one) for one in before)))
            else:
                node.value = self.visit(node.value)
        else:
            node.value = self.visit(node.value)
        if isinstance(node.value, ast.IfExp):
            return before + self._if(_split(node))
        node.targets = [self.visit(target) for target in node.targets]
        target = node.targets[0]
        value = literals.without_mark(node.value)
        is_same = type(target) is type(value) and dump(target) == dump(value)
        if is_same and len(node.targets) == 1:
            return before
        if self_attribute(target) in self.setting.dropped_attributes:
            return before
        self.forget(stored_names(node.targets))
        if isinstance(target, ast.Name) and len(node.targets) == 1:
            self._learn(target.id, node.value)
        return [*before, node]

    def _learn(self, name: str, value: ast.expr) -> None:
        """Remember what a name holds when that may be put in its place later."""
        if name in self.declared:
            return
        if (
            literals.is_constant(value)
            or literals.is_identity(value)
            or isinstance(value, ast.Lambda)
        ):
            self.env[name] = value
        elif isinstance(value, ast.Dict | ast.List) and name in self.read_only:
            if all(is_pure(one) for one in ast.iter_child_nodes(value)):
                self.env[name] = value
        elif root := dotted(value).partition(".")[0]:
            is_plain = isinstance(value, ast.Name) or root != "self"
            if not self.num_stores[root] and is_plain and self.num_stores[name] == 1:
                self.env[name] = value

    def _augment(self, node: ast.AugAssign) -> list[ast.stmt]:
        node.value = self.visit(node.value)
        target = node.target
        if isinstance(target, ast.Name) and target.id in self.env:
            left = clone(self.env[target.id])
            if literals.is_constant(left) or isinstance(node.value, ast.Constant):
                plain = ast.copy_location(
                    ast.Assign([target], ast.BinOp(left, node.op, node.value)), node
                )
                return self._assign(plain)
        if isinstance(target, ast.Name) and target.id in self.numbers:
            value = ast.BinOp(_as_load(target), node.op, node.value)
            return self._assign(ast.copy_location(ast.Assign([target], value), node))
        if not isinstance(target, ast.Name):
            node.target = self.visit(target)
        whole = fold.fold_binary(ast.BinOp(_as_load(target), node.op, node.value))
        is_empty = isinstance(node.op, ast.Add) and literals.truth(node.value) is False
        if dump(whole) == dump(target) or (
            is_empty and isinstance(node.value, ast.List | ast.Tuple)
        ):
            return []
        self.forget(stored_names([node.target]))
        return [node]

    def _if(self, node: ast.If) -> list[ast.stmt]:
        test = self.tested(self.visit(node.test))
        known = literals.truth(test)
        if known is not None:
            kept = self.block(node.body if known else node.orelse)
            return [with_flags(one, all_flags(test)) for one in kept]
        before = dict(self.env)
        body = self.block(node.body)
        after_body, self.env = self.env, before
        env_else = dict(before)
        self.env = env_else
        orelse = self.block(node.orelse)
        if terminates(body):
            pass
        elif terminates(orelse):
            self.env = after_body
        else:
            self.env = _agreed(after_body, self.env)
        made = normal_if(node, test, body, orelse)
        return [with_flags(one, flags_of(node) | all_flags(test)) for one in made]

    def _for(self, node: ast.For | ast.AsyncFor) -> list[ast.stmt]:
        node.iter = self.visit(node.iter)
        rounds = fold.is_range_of(node.iter)
        if literals.truth(node.iter) is False or rounds == 0:
            return self.block(node.orelse)
        if rounds == 1 and not node.orelse and not leaves_loop(node.body):
            first = ast.copy_location(
                ast.Assign([node.target], literals.constant(0, like=node.iter)), node
            )
            flags = all_flags(node.iter)
            return [with_flags(one, flags) for one in self.block([first, *node.body])]
        stored = stored_names([node])
        self.forget(stored)
        node.body = self.block(node.body)
        self.forget(stored)
        node.orelse = self.block(node.orelse)
        return [node]

    def _while(self, node: ast.While) -> list[ast.stmt]:
        if literals.truth(self.tested(self.visit(clone(node.test)))) is False:
            return self.block(node.orelse)
        stored = stored_names([node])
        self.forget(stored)
        node.test = self.tested(self.visit(node.test))
        node.body = self.block(node.body)
        self.forget(stored)
        node.orelse = self.block(node.orelse)
        return [node]

    def _with(self, node: ast.With | ast.AsyncWith) -> list[ast.stmt]:
        for item in node.items:
            item.context_expr = self.visit(item.context_expr)
        flags = frozenset().union(*(all_flags(item.context_expr) for item in node.items))
        node.items = [item for item in node.items if not _does_nothing(item)]
        self.forget(stored_names([item.optional_vars for item in node.items if item.optional_vars]))
        body = self.block(node.body)
        if not node.items:
            return [with_flags(one, flags) for one in body]
        node.body = body
        return [node]

    def _try(self, node: ast.Try | ast.TryStar) -> list[ast.stmt]:
        stored = stored_names([node])
        self.forget(stored)
        for handler in node.handlers:
            if handler.type is not None:
                handler.type = self.visit(handler.type)
            handler.body = self.block(handler.body)
            self.forget(stored)
        node.body = self.block(node.body)
        self.forget(stored)
        node.orelse = self.block(node.orelse)
        self.forget(stored)
        node.finalbody = self.block(node.finalbody)
        return [node] if node.body or node.finalbody else []

    def _match(self, node: ast.Match) -> list[ast.stmt]:
        node.subject = self.visit(node.subject)
        if literals.is_constant(node.subject):
            for case in node.cases:
                fits = _fits(case, node.subject)
                if fits is None:
                    break
                if fits:
                    flags = all_flags(node.subject)
                    return [with_flags(one, flags) for one in self.block(case.body)]
            else:
                return []
        stored = stored_names([node])
        for case in node.cases:
            self.forget(stored)
            case.body = self.block(case.body)
        self.forget(stored)
        return [node]

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
        self.forget({node.name})
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        with self.inside(all_parameter_names(node.args) | stored_names(node.body), self.num_stores):
            outer = self.num_stores, self.declared, self.read_only
            inner = Reducer(self.setting, node.body, depth=self.depth)
            self.num_stores, self.declared, self.read_only = (
                inner.num_stores,
                inner.declared,
                inner.read_only,
            )
            node.body = self.block(node.body)
            self.num_stores, self.declared, self.read_only = outer
        self.visit_defaults(node.args)
        return node

    def _class(self, node: ast.ClassDef) -> ast.stmt:
        self.forget({node.name})
        with self.inside(stored_names(node.body), self.num_stores):
            self.generic_visit(node)
        return node


def _reached(statements: Sequence[ast.stmt]) -> int | None:
    """Return how many of ``statements`` and one more are reached."""
    return len(statements) if terminates(statements) else None


def _agreed(one: dict[str, ast.expr], other: dict[str, ast.expr]) -> dict[str, ast.expr]:
    return {
        name: value
        for name, value in one.items()
        if name in other and dump(value) == dump(other[name])
    }


def _as_load(target: ast.expr) -> ast.expr:
    made = clone(target)
    for node in walk(made):
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            node.ctx = ast.Load()
    return made


def _split(node: ast.Assign) -> ast.If:
    assert isinstance(node.value, ast.IfExp)
    yes, no = clone(node), clone(node)
    yes.value, no.value = node.value.body, node.value.orelse
    return ast.copy_location(ast.If(node.value.test, [yes], [no]), node)


def _does_nothing(item: ast.withitem) -> bool:
    call = item.context_expr
    is_null = isinstance(call, ast.Call) and last_name(call.func) == "nullcontext"
    return is_null and item.optional_vars is None


def _fits(case: ast.match_case, subject: ast.expr) -> bool | None:
    """Return whether a known subject fits a case; None where that cannot be told."""
    if case.guard is not None:
        return None
    match case.pattern:
        case ast.MatchAs(pattern=None, name=None):
            return True
        case ast.MatchValue(value=value) if literals.is_constant(value):
            return literals.literal(value) == literals.literal(subject)
        case ast.MatchSingleton(value=value):
            return literals.literal(subject) is value
        case ast.MatchOr(patterns=patterns):
            fits = [_fits(ast.match_case(one, None, []), subject) for one in patterns]
            return None if None in fits else any(fits)
        case _:
            return None

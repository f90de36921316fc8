"""Expressions at given values: names, attributes and keys replaced, calls brought to one form, constants folded."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from branchlab.analysis.features import fold, literals
from branchlab.analysis.features.arguments import (
    callee_name,
    identity,
    is_default_place,
    is_known,
    looks_like_config,
    spread,
    without_empty,
)
from branchlab.analysis.features.clean import impure_calls, is_pure, same
from branchlab.analysis.features.inline import (
    bound,
    is_identity_class,
    one_expression,
    returned_expression,
    written_out,
)
from branchlab.analysis.features.lookups import looked_up, table_of
from branchlab.analysis.features.setting import Setting, is_left_out
from branchlab.analysis.features.trees import (
    COMPREHENSIONS,
    Transformer,
    all_flags,
    all_parameter_names,
    clone,
    dotted,
    dump,
    last_name,
    self_attribute,
    stored_names,
    with_flags,
)

_DEPTH_MAX = 5


class ExpressionReducer(Transformer):
    """Reduces expressions; what names hold at this point is in ``env``."""

    def __init__(self, setting: Setting, *, depth: int = 0) -> None:
        self.setting = setting
        self.depth = depth
        self.env: dict[str, ast.expr] = dict(setting.names)

    def block(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        raise NotImplementedError

    def forget(self, names: Iterable[str]) -> None:
        """Names hold something unknown from here on."""
        for name in names:
            self.env.pop(name, None)

    @contextmanager
    def inside(self, own: Iterable[str], num_stores: Mapping[str, int]) -> Iterator[None]:
        """Enter a scope with names of its own; only what never changes outside is known within."""
        outer = self.env
        self.env = {
            name: value
            for name, value in outer.items()
            if num_stores.get(name, 0) <= 1 and name not in set(own)
        }
        yield
        self.env = outer

    def tested(self, node: ast.expr) -> ast.expr:
        """Return an expression of which only the truth matters."""
        if isinstance(node, ast.BoolOp):
            node.values = [self.tested(one) for one in node.values]
            folded = fold.fold_bool(node, is_test=True)
            return folded if isinstance(folded, ast.BoolOp) else self.tested(folded)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node.operand = self.tested(node.operand)
            return fold.fold_not(node)
        if isinstance(node, ast.Call) and dotted(node.func) == "bool" and len(node.args) == 1:
            return self.tested(node.args[0])
        known = literals.truth(node)
        return node if known is None else literals.constant(known, like=node)

    def visit_defaults(self, arguments: ast.arguments) -> None:
        """Reduce the defaults of a nested function's parameters."""
        arguments.defaults = [self.visit(one) for one in arguments.defaults]
        arguments.kw_defaults = [one and self.visit(one) for one in arguments.kw_defaults]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self.env:
            return clone(self.env[node.id])
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            return node
        name = self_attribute(node)
        own = self.setting.attributes.get(name)
        if own is not None:
            return clone(own)
        method = self.setting.methods.get(name)
        if method is not None and any(dotted(d) == "property" for d in method.node.decorator_list):
            call = ast.copy_location(ast.Call(node, [], []), node)
            made = returned_expression(method, call, self) if self.depth < _DEPTH_MAX else None
            if made is not None:
                return made
        if name and name in self.setting.stored:
            return node
        anywhere = self.setting.anywhere.get(node.attr)
        if anywhere is None and looks_like_config(node.value):
            anywhere = self.setting.in_configs.get(node.attr)
        return node if anywhere is None else clone(anywhere)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            return node
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            known = self.setting.keys.get(key.value)
            if known is not None and looks_like_config(node.value):
                return clone(known)
        found = fold.picked(table_of(node.value, self.setting), key)
        return node if found is None else clone(found)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        test = self.tested(self.visit(node.test))
        known = literals.truth(test)
        if known is not None:
            kept: ast.expr = self.visit(node.body if known else node.orelse)
            return with_flags(kept, all_flags(test))
        node.test, node.body, node.orelse = test, self.visit(node.body), self.visit(node.orelse)
        positive = fold.negated(test)
        if positive is not None:
            node.test, node.body, node.orelse = positive, node.orelse, node.body
        if fold.known_equal(node.body, node.orelse) and is_pure(test):
            return node.body
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        return fold.fold_bool(node, is_test=False)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return fold.fold_not(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            node.comparators = (
                [table_of(node.comparators[0], self.setting)]
                if is_known(node.left)
                else node.comparators
            )
        sides = [dotted(node.left), *(dotted(one) for one in node.comparators)]
        if len(sides) == 2 and set(sides) <= self.setting.enums:  # noqa: PLR2004  left and right
            is_equal = sides[0] == sides[1]
            if isinstance(node.ops[0], ast.Eq | ast.Is):
                return literals.constant(is_equal, like=node)
            if isinstance(node.ops[0], ast.NotEq | ast.IsNot):
                return literals.constant(not is_equal, like=node)
        return fold.fold_compare(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return fold.fold_binary(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.visit_defaults(node.args)
        with self.inside(all_parameter_names(node.args), {}):
            node.body = self.visit(node.body)
        return node

    def _comprehension(self, node: ast.AST) -> ast.AST:
        assert isinstance(node, COMPREHENSIONS)
        own = stored_names([one.target for one in node.generators])
        node.generators[0].iter = self.visit(node.generators[0].iter)
        with self.inside(own, {}):
            for at, one in enumerate(node.generators):
                if at:
                    one.iter = self.visit(one.iter)
                tests = [self.tested(self.visit(test)) for test in one.ifs]
                one.ifs = [test for test in tests if literals.truth(test) is not True]
            for name in ("elt", "key", "value"):
                if hasattr(node, name):
                    setattr(node, name, self.visit(getattr(node, name)))
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_List(self, node: ast.List) -> ast.AST:
        self.generic_visit(node)
        node.elts = without_empty(node.elts)
        return node

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        self.generic_visit(node)
        node.elts = without_empty(node.elts)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        pairs = [
            (key, value)
            for key, value in zip(node.keys, node.values, strict=True)
            if not (key is None and literals.truth(value) is False)
            and not self._says_default(key, value)
        ]
        node.keys, node.values = [key for key, _ in pairs], [value for _, value in pairs]
        return node

    def _says_default(self, key: ast.expr | None, value: ast.expr) -> bool:
        """Whether an entry only says what a new key is anyway."""
        name = key.value if isinstance(key, ast.Constant) else None
        known = self.setting.keys.get(name) if isinstance(name, str) else None
        return known is not None and bool(all_flags(value)) and same(known, value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.AST:
        node.value = self.visit(node.value)
        self.forget({node.target.id})
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.func = self.visit(node.func)
        node.args = without_empty([self.visit(one) for one in node.args])
        for word in node.keywords:
            word.value = self.visit(word.value)
        if dotted(node.func) == "super" and [dotted(one) for one in node.args] == [
            self.setting.owner,
            "self",
        ]:
            node.args = []
        self._arrange(node)
        found: ast.expr | None = looked_up(node, self.setting)
        for rule in (self._applied, self._expanded):
            found = found or rule(node)
            if found is not None:
                return with_flags(found, all_flags(node.func) if found is not node else frozenset())
        return fold.fold_conversion(node)

    def _arrange(self, node: ast.Call) -> None:
        """Leave out arguments that say what the callee does anyway, and bring keywords into one order."""
        starred = self.setting.starred
        node.args = [
            one
            for one in node.args
            if not (isinstance(one, ast.Starred) and dotted(one.value) in starred)
        ]
        words: list[ast.keyword] = []
        for word in node.keywords:
            if word.arg is None and isinstance(word.value, ast.Dict):
                words += spread(word)
            elif word.arg is not None or dotted(word.value) not in starred:
                words.append(word)
        name = callee_name(node, self.setting.bases)
        callees = self.setting.callees
        self._drop_last_arguments(node, name)
        words = self._by_name(node, name) + words
        words = [
            word
            for word in words
            if not (word.arg and is_left_out(name, word.arg, word.value, callees, None))
        ]
        words = [word for word in words if not is_default_place(word)]
        handed = self.setting.handed
        words = [
            word
            for word in words
            if not (
                word.arg is not None
                and word.arg in handed
                and name not in callees
                and all_flags(word.value)
                and same(handed[word.arg], word.value)
            )
        ]
        if sum(bool(impure_calls(word.value)) for word in words) <= 1:
            words.sort(key=lambda word: (word.arg is None, word.arg or ""))
        node.keywords = words
        if last_name(node.func) == "Sequential" and not words:
            while len(node.args) > 1 and literals.is_identity(node.args[-1]):
                node.args.pop()

    def _by_name(self, node: ast.Call, name: str) -> list[ast.keyword]:
        """Take the arguments given by position out of a call, where the names of all of them are known."""
        names = self.setting.positional.get(name, ())
        is_plain = not any(isinstance(one, ast.Starred) for one in node.args)
        if not is_plain or not node.args or len(node.args) > len(names):
            return []
        words = [ast.keyword(arg, one) for arg, one in zip(names, node.args, strict=False)]
        node.args = []
        return words

    def _drop_last_arguments(self, node: ast.Call, name: str) -> None:
        if any(isinstance(one, ast.Starred) for one in node.args):
            return
        while node.args:
            order = len(node.args) - 1
            if not is_left_out(name, "", node.args[-1], self.setting.callees, order):
                break
            node.args.pop()

    def _applied(self, node: ast.Call) -> ast.expr | None:
        """Return what an identity or a lambda makes of its argument."""
        is_one = len(node.args) == 1 and not isinstance(node.args[0], ast.Starred)
        if literals.is_identity(node.func) and is_one and not node.keywords:
            return node.args[0]
        if isinstance(node.func, ast.Lambda) and not node.keywords:
            names = [one.arg for one in node.func.args.args]
            is_plain = len(names) == len(node.args) and not node.func.args.defaults
            if is_plain and not any(isinstance(one, ast.Starred) for one in node.args):
                return one_expression(node.func.body, dict(zip(names, node.args, strict=True)))
        return None

    def _expanded(self, node: ast.Call) -> ast.expr | None:
        """Return what a helper, a one-liner at known values or a class that is an identity comes to."""
        if self.depth >= _DEPTH_MAX:
            return None
        cls = self.setting.classes.get(last_name(node.func))
        if cls is not None and is_identity_class(cls, node, self):
            return identity(node)
        helper = self._helper(node)
        if helper is not None:
            return returned_expression(helper, node, self)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        liner = self.setting.one_liners.get(name)
        given = [*node.args, *(word.value for word in node.keywords)]
        if liner is None or not any(map(literals.is_value, given)):
            return None
        made = returned_expression(liner, node, self)
        is_known = made is not None and (
            literals.is_value(made) or any(dump(made) == dump(one) for one in given)
        )
        return made if is_known else None

    def _helper(self, node: ast.Call):  # type: ignore[no-untyped-def]  # noqa: ANN202
        name = self_attribute(node.func)
        if name and name in self.setting.methods:
            return self.setting.methods[name]
        return self.setting.helpers.get(node.func.id) if isinstance(node.func, ast.Name) else None

    def written_out(
        self, node: ast.Call, *, is_returned: bool = False
    ) -> tuple[list[ast.stmt], ast.expr] | None:
        """Return the statements of a helper that a statement calls, and what it returns; None for anything else."""
        helper = self._helper(node)
        if helper is None or self.depth >= _DEPTH_MAX:
            return None
        call = clone(node)
        call.args = [self.visit(one) for one in call.args]
        for word in call.keywords:
            word.value = self.visit(word.value)
        if bound(helper.node, call, is_method=bool(helper.owner)) is None:
            return None
        return written_out(helper, call, self, is_returned=is_returned)

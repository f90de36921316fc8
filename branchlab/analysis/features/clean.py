"""One spelling for code that says the same: docstrings, annotations and log text gone, strings and assignments alike.

Whatever stays is what runs. A log call goes only when what it is given could not change anything; calls inside it that
could are kept.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterable, Sequence

from branchlab.analysis.features.syntax import Function
from branchlab.analysis.features.trees import (
    Transformer,
    alike,
    clone,
    dotted,
    last_name,
    walk,
    with_flags,
)

_LOG_METHODS = {
    *("debug", "info", "warning", "warn", "error", "exception", "critical", "log"),
    *("warning_once", "warn_once", "info_once", "set_description", "set_postfix"),
    *("set_postfix_str", "set_description_str"),
}
_LOG_OWNERS = re.compile(r"(?i)(^|\.|_)(log|logger|logging|_log|_logger|pbar|tqdm|warnings)$")
_PARSERS = {"ArgumentParser", "add_argument_group", "add_parser", "add_subparsers"}
_PARSER_TEXTS = {"description", "epilog", "usage", "prog", "help", "title", "formatter_class"}
HARMLESS_CALLS = {
    *("str", "repr", "len", "int", "float", "bool", "round", "type", "abs", "min", "max", "sum"),
    *("list", "tuple", "dict", "set", "sorted", "zip", "range", "enumerate", "isinstance", "all"),
    *("any", "hasattr", "getattr", "issubclass", "callable", "id", "format", "join", "keys"),
    *("values", "items", "get", "upper", "lower", "strip", "split", "startswith", "endswith"),
    *("replace", "item", "tolist", "numel", "dim", "size", "mean", "time", "colorstr", "Path"),
    *("exists", "default", "divisible_by", "is_available", "device_count", "perf_counter"),
    *("sigmoid", "relu", "softmax", "log_softmax", "tanh", "exp", "log", "sqrt", "pow", "clamp"),
    *("view", "reshape", "permute", "transpose", "flatten", "unsqueeze", "squeeze", "expand"),
    *("clone", "detach", "cat", "stack", "chunk", "matmul", "einsum", "argmax", "argmin", "topk"),
    *("zeros", "ones", "zeros_like", "ones_like", "full", "arange", "linspace", "tensor"),
    *("as_tensor", "interpolate", "contiguous", "std", "var", "floor", "ceil", "where"),
    *("dirname", "basename", "splitext", "abspath", "as_posix", "astype", "copy", "deepcopy"),
    *("rearrange", "repeat", "reduce", "Rearrange", "is_main_process", "unbind", "index_select"),
}
"""Calls that change nothing but what they return, draw no random number and start nothing."""


def clean_block(statements: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Return copies of statements in the one spelling."""
    cleaner = _Cleaner()
    found: list[ast.stmt] = []
    for statement in _without_docstring(list(statements)):
        made = cleaner.visit(clone(statement))
        found += made if isinstance(made, list) else [made] if made is not None else []
    return found


def clean_body(function: Function) -> list[ast.stmt]:
    """Return copies of a function's statements in the one spelling, which is worked out once: every reading asks for it."""
    if function.cleaned is None:
        function.cleaned = clean_block(function.node.body)
    return [clone(one) for one in function.cleaned]


def is_log_call(node: ast.AST) -> bool:
    """Whether a call only tells a person something."""
    if not isinstance(node, ast.Call):
        return False
    name = dotted(node.func)
    if name == "print":
        return not any(keyword.arg == "file" for keyword in node.keywords)
    owner, _, method = name.rpartition(".")
    return method in _LOG_METHODS and bool(_LOG_OWNERS.search(owner))


def impure_calls(node: ast.AST) -> list[ast.Call]:
    """Return the outermost calls below ``node`` that may do more than return a value."""
    if isinstance(node, ast.Call) and not is_harmless_call(node):
        return [node]
    found: list[ast.Call] = []
    for child in ast.iter_child_nodes(node):
        if not isinstance(node, ast.Lambda):
            found += impure_calls(child)
    return found


def is_pure(node: ast.AST) -> bool:
    """Whether evaluating ``node`` changes nothing: no call of unknown effect, no await, no yield, no binding."""
    return not any(
        isinstance(inner, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr)
        for inner in walk(node)
    ) and not impure_calls(node)


def is_harmless_call(node: ast.Call) -> bool:
    """Whether a call is known to do no more than return a value."""
    return last_name(node.func) in HARMLESS_CALLS


def _without_docstring(statements: list[ast.stmt]) -> list[ast.stmt]:
    return [
        one
        for one in statements
        if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
    ]


class _Cleaner(Transformer):
    """Rewrites a private copy in place."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        self.generic_visit(node)
        node.body = _without_docstring(node.body) or [ast.Pass()]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = _without_docstring(node.body) or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        node.type_comment = None
        return node

    def visit_Pass(self, node: ast.Pass) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt] | None:
        if isinstance(node.value, ast.Constant):
            return None
        if not is_log_call(node.value):
            return self.generic_visit(node)
        assert isinstance(node.value, ast.Call)
        given = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
        kept = [call for one in given for call in impure_calls(one)]
        return [ast.copy_location(ast.Expr(self.visit(call)), node) for call in kept]

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.exc, ast.Call):
            impure = [one for one in node.exc.args if impure_calls(one)]
            node.exc = ast.copy_location(ast.Call(node.exc.func, impure, []), node.exc)
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | list[ast.stmt] | None:
        if node.value is None:
            return None
        plain = ast.copy_location(ast.Assign([node.target], node.value), node)
        return self.visit_Assign(plain)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        node.type_comment = None
        self.generic_visit(node)
        parts: list[ast.stmt] = []
        for one in _one_target_each(node):
            parts += _as_if(one)
        return parts

    def visit_Return(self, node: ast.Return) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if node.value is None:
            node.value = ast.copy_location(ast.Constant(None), node)
        return _as_if(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        node.type_comment = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        node.type_comment = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        node.kind = None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.generic_visit(node)
        return _joined(node.values, node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if (
            isinstance(node.func, ast.Name)
            and node.func.id == "dict"
            and not node.args
            and all(word.arg for word in node.keywords)
        ):
            keys: list[ast.expr | None] = [ast.Constant(word.arg) for word in node.keywords]
            made = ast.Dict(keys, [word.value for word in node.keywords])
            return ast.copy_location(made, node)
        if last_name(node.func) in _PARSERS:
            node.keywords = [word for word in node.keywords if word.arg not in _PARSER_TEXTS]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            return _formatted(node, node.func.value) or node
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        text = node.left
        is_text = isinstance(text, ast.Constant) and isinstance(text.value, str)
        if isinstance(node.op, ast.Mod) and is_text:
            return _percent(node) or node
        return node


def _one_target_each(node: ast.Assign) -> list[ast.Assign]:
    """Split ``a = b = v`` and ``a, b = v, w``, where the second does the same one after the other."""
    if len(node.targets) > 1:
        first = ast.copy_location(ast.Assign([node.targets[-1]], node.value), node)
        if not isinstance(node.targets[-1], ast.Name | ast.Attribute):
            return [node]
        again = clone(node.targets[-1])
        again.ctx = ast.Load()
        rest = [ast.copy_location(ast.Assign([t], clone(again)), node) for t in node.targets[:-1]]
        return [first, *rest]
    target, value = node.targets[0], node.value
    if not (isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)):
        return [node]
    if len(target.elts) != len(value.elts) or _are_entangled(target.elts, value.elts):
        return [node]
    return [
        ast.copy_location(ast.Assign([t], v), node)
        for t, v in zip(target.elts, value.elts, strict=True)
    ]


def _are_entangled(targets: Sequence[ast.expr], values: Sequence[ast.expr]) -> bool:
    """Whether assigning one after the other could differ from assigning at once."""
    if any(not isinstance(one, ast.Name | ast.Attribute) for one in targets):
        return True
    if any(isinstance(one, ast.Starred) or impure_calls(one) for one in values[1:]):
        return any(isinstance(one, ast.Attribute) for one in targets) or _reads(targets, values)
    return _reads(targets, values)


def _reads(targets: Sequence[ast.expr], values: Sequence[ast.expr]) -> bool:
    written = {dotted(one) for one in targets}
    read = {dotted(inner) for one in values for inner in walk(one)}
    return bool(written & read) or "" in written


def _as_if(node: ast.Assign | ast.Return) -> list[ast.stmt]:
    """Write ``x = a if c else b`` as a statement, so that it is the same as an ``if`` around two assignments."""
    value = node.value
    if not isinstance(value, ast.IfExp) or _is_bound_first(node):
        return [node]
    yes, no = clone(node), clone(node)
    yes.value, no.value = value.body, value.orelse
    branch = ast.copy_location(ast.If(value.test, _as_if(yes), _as_if(no)), node)
    return [with_flags(branch, frozenset())]


def _is_bound_first(node: ast.Assign | ast.Return) -> bool:
    return isinstance(node, ast.Assign) and bool(impure_calls(node.targets[0]))


def _joined(values: Sequence[ast.expr], at: ast.AST) -> ast.expr:
    """Return an f-string with neighbouring texts joined; one of text alone is a text."""
    parts: list[ast.expr] = []
    for value in values:
        plain = _plain_text(value)
        if plain is None:
            parts.append(value)
        elif parts and isinstance(parts[-1], ast.Constant):
            parts[-1] = ast.Constant(str(parts[-1].value) + plain)
        elif plain:
            parts.append(ast.Constant(plain))
    if all(isinstance(part, ast.Constant) for part in parts):
        whole = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
        return ast.copy_location(ast.Constant(whole), at)
    return ast.copy_location(ast.JoinedStr(parts), at)


def _plain_text(value: ast.expr) -> str | None:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    is_bare = isinstance(value, ast.FormattedValue) and not value.format_spec
    if is_bare and isinstance(value, ast.FormattedValue) and value.conversion == -1:
        inner = value.value
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            return inner.value
    return None


def _piece(value: ast.expr) -> ast.FormattedValue:
    return ast.FormattedValue(value, -1, None)


def _formatted(node: ast.Call, text: ast.expr) -> ast.expr | None:
    """Return ``'{} of {:.2f}'.format(a, b)`` as an f-string, when every argument is used once and in order."""
    if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
        return None
    if any(isinstance(one, ast.Starred) for one in node.args) or not all(
        word.arg for word in node.keywords
    ):
        return None
    given: dict[str, ast.expr] = {str(at): one for at, one in enumerate(node.args)}
    given |= {str(word.arg): word.value for word in node.keywords}
    try:
        fields = list(string.Formatter().parse(text.value))
    except ValueError:
        return None
    parts: list[ast.expr] = []
    used: list[str] = []
    for before, name, spec, conversion in fields:
        parts.append(ast.Constant(before))
        if name is None:
            continue
        key = name or str(len(used))
        if key not in given or "{" in (spec or ""):
            return None
        used.append(key)
        made = _piece(given[key])
        made.conversion = ord(conversion) if conversion else -1
        made.format_spec = ast.Constant(spec) if spec else None
        parts.append(made)
    return _joined(parts, node) if used == list(given) else None


def _percent(node: ast.BinOp) -> ast.expr | None:
    """Return ``'%s of %s' % (a, b)`` as an f-string, when it knows ``%s`` alone."""
    assert isinstance(node.left, ast.Constant)
    pieces = str(node.left.value).split("%s")
    given = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
    if any("%" in piece for piece in pieces) or len(given) != len(pieces) - 1:
        return None
    # A name alone may hold a tuple, which % would spread.
    if not isinstance(node.right, ast.Tuple | ast.Constant | ast.JoinedStr):
        return None
    parts: list[ast.expr] = [ast.Constant(pieces[0])]
    for value, after in zip(given, pieces[1:], strict=True):
        parts += [_piece(value), ast.Constant(after)]
    return _joined(parts, node)


def same(one: ast.AST | None, other: ast.AST | None) -> bool:
    """Whether two trees are equal, places and flags aside; ``0`` equals ``0.0``."""
    if alike(one, other):
        return True
    return _number(one) == _number(other) is not None


def _number(node: ast.AST | None) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return float(node.value)  # type: ignore[arg-type]
    return None

"""One parameter, one argument, one attribute more, written as the code around it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import libcst as cst

from branchlab.analysis.guard.code import body_of, code_of, is_docstring

_NO_COMMA = cst.MaybeSentinel.DEFAULT


def add_parameter(function: cst.FunctionDef, name: str) -> cst.FunctionDef:
    """Return the function with ``name: bool = False`` after its last parameter; as it was if it has it."""
    params = function.params
    known = [*params.posonly_params, *params.params, *params.kwonly_params]
    if any(one.name.value == name for one in known):
        return function
    is_annotated = function.returns is not None or any(one.annotation for one in known)
    made = cst.Param(
        name=cst.Name(name),
        annotation=cst.Annotation(cst.Name("bool")) if is_annotated else None,
        default=cst.Name("False"),
        equal=cst.AssignEqual() if is_annotated else _tight_equal(),
    )
    is_keyword_only = bool(params.kwonly_params) or not isinstance(
        params.star_arg, cst.MaybeSentinel
    )
    field = "kwonly_params" if is_keyword_only else "params"
    before = list(getattr(params, field))
    first = function.whitespace_before_params
    added = _appended(before, made, first, is_last=params.star_kwarg is None)
    return function.with_changes(params=params.with_changes(**{field: added}))


def _tight_equal() -> cst.AssignEqual:
    nothing = cst.SimpleWhitespace("")
    return cst.AssignEqual(whitespace_before=nothing, whitespace_after=nothing)


def _appended(
    before: Sequence[cst.Param],
    made: cst.Param,
    first: cst.BaseParenthesizableWhitespace,
    *,
    is_last: bool,
) -> list[cst.Param]:
    if not before:
        return [made]
    *rest, last = before
    between: cst.BaseParenthesizableWhitespace = cst.SimpleWhitespace(" ")
    if rest and isinstance(rest[-1].comma, cst.Comma):
        between = rest[-1].comma.whitespace_after
    elif isinstance(first, cst.ParenthesizedWhitespace):
        between = first
    if isinstance(last.comma, cst.Comma):
        made = made.with_changes(comma=_plain(last.comma))
        between = _with_comment_of(last.comma.whitespace_after, between)
    elif not is_last:
        made = made.with_changes(comma=_NO_COMMA)
    return [*rest, last.with_changes(comma=cst.Comma(whitespace_after=between)), made]


def _plain(comma: cst.Comma) -> cst.Comma:
    """Return a comma without the comment that belongs to what stands before it."""
    after = comma.whitespace_after
    if isinstance(after, cst.ParenthesizedWhitespace):
        after = after.with_changes(first_line=cst.TrailingWhitespace())
    return comma.with_changes(whitespace_after=after)


def _with_comment_of(
    old: cst.BaseParenthesizableWhitespace, new: cst.BaseParenthesizableWhitespace
) -> cst.BaseParenthesizableWhitespace:
    if not isinstance(new, cst.ParenthesizedWhitespace):
        return new
    line = old.first_line if isinstance(old, cst.ParenthesizedWhitespace) else None
    return new.with_changes(first_line=line or cst.TrailingWhitespace())


class _Calls(cst.CSTTransformer):
    def __init__(self, spelled: frozenset[str], name: str, value: cst.BaseExpression) -> None:
        super().__init__()
        self._spelled = spelled
        self._name = name
        self._value = value
        self.count = 0

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:  # noqa: N802
        target = code_of(updated_node.func)
        is_partial = target in {"partial", "functools.partial"} and bool(updated_node.args)
        if is_partial:
            target = code_of(updated_node.args[0].value)
        if target not in self._spelled:
            return updated_node
        self.count += 1
        return add_argument(updated_node, self._name, self._value)


def pass_on(
    spelled: frozenset[str], name: str, value: cst.BaseExpression
) -> Callable[[cst.CSTNode], cst.CSTNode]:
    """Return what gives every call of ``spelled`` below a node the argument ``name=value``."""
    return lambda node: node.visit(_Calls(spelled, name, value))  # type: ignore[return-value]


def add_argument(call: cst.Call, name: str, value: cst.BaseExpression) -> cst.Call:
    """Return the call with one keyword argument more; as it was if it has it."""
    if any(one.keyword is not None and one.keyword.value == name for one in call.args):
        return call
    made = cst.Arg(keyword=cst.Name(name), value=value, equal=_tight_equal())
    if not call.args:
        return call.with_changes(args=[made])
    at = len(call.args)
    while at and call.args[at - 1].star == "**":
        at -= 1
    if at < len(call.args):  # before **kwargs
        made = made.with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
        return call.with_changes(args=[*call.args[:at], made, *call.args[at:]])
    *rest, last = call.args
    between: cst.BaseParenthesizableWhitespace = cst.SimpleWhitespace(" ")
    if rest and isinstance(rest[-1].comma, cst.Comma):
        between = rest[-1].comma.whitespace_after
    elif isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace):
        between = call.whitespace_before_args
    if isinstance(last.comma, cst.Comma):
        made = made.with_changes(comma=_plain(last.comma))
        between = _with_comment_of(last.comma.whitespace_after, between)
    elif code_of(last.whitespace_after_arg).strip(" "):
        made = made.with_changes(whitespace_after_arg=last.whitespace_after_arg)
        last = last.with_changes(whitespace_after_arg=cst.SimpleWhitespace(""))
    if isinstance(last.value, cst.GeneratorExp) and not last.value.lpar:
        bare = last.value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        last = last.with_changes(value=bare)
    last = last.with_changes(comma=cst.Comma(whitespace_after=between))
    return call.with_changes(args=[*rest, last, made])


def take_flag(cls: cst.ClassDef, name: str, *, is_stored: bool, inherits: bool) -> cst.ClassDef:
    """Return the class with a constructor that takes the flag, and keeps it on self where that is needed.

    ``inherits`` says that a class above may have a constructor of its own; all arguments go on to it.
    """
    if not isinstance(cls.body, cst.IndentedBlock):
        return cls
    statements = list(cls.body.body)
    for at, one in enumerate(statements):
        if isinstance(one, cst.FunctionDef) and one.name.value == "__init__":
            made = add_parameter(one, name)
            statements[at] = _storing(made, name) if is_stored else made
            return cls.with_changes(body=cls.body.with_changes(body=statements))
    text = (
        f"def __init__(self, *args, {name}: bool = False, **kwargs) -> None:\n"
        f"    super().__init__(*args, **kwargs)\n"
        if inherits
        else f"def __init__(self, *, {name}: bool = False) -> None:\n    super().__init__()\n"
    )
    init = cst.parse_statement(f"{text}    self.{name} = {name}\n" if is_stored else text)
    at = _place_of_methods(statements)
    if at:
        init = init.with_changes(leading_lines=[cst.EmptyLine(indent=False)])
    if at < len(statements):
        later = statements[at]
        lines = list(getattr(later, "leading_lines", ()))
        if not lines or lines[0].comment is not None:
            lines.insert(0, cst.EmptyLine(indent=False))
        statements[at] = later.with_changes(leading_lines=lines)
    statements.insert(at, init)
    return cls.with_changes(body=cls.body.with_changes(body=statements))


def add_field(cls: cst.ClassDef, name: str) -> cst.ClassDef:
    """Return a dataclass with the flag as its last field."""
    assert isinstance(cls.body, cst.IndentedBlock)
    statements = list(cls.body.body)
    at = _place_of_methods(statements)
    statements.insert(at, cst.parse_statement(f"{name}: bool = False\n"))
    return cls.with_changes(body=cls.body.with_changes(body=statements))


def _place_of_methods(statements: Sequence[cst.BaseStatement]) -> int:
    for at, one in enumerate(statements):
        if isinstance(one, cst.FunctionDef | cst.ClassDef):
            return at
    return len(statements)


def _storing(function: cst.FunctionDef, name: str) -> cst.FunctionDef:
    """Return a constructor that keeps the flag on self: beside its kind, or first where methods are called."""
    self_name = _first_parameter(function) or "self"
    docstring, statements = body_of(function)
    stored = f"{self_name}.{name} = {name}"
    if any(code_of(one).strip() == stored for one in statements):
        return function
    line = cst.parse_statement(f"{stored}\n")
    kept = [at for at, one in enumerate(statements) if _keeps_parameter(one, self_name)]
    called = [at for at, one in enumerate(statements) if is_super_call(one)]
    if kept and not _calls_methods(statements[: kept[-1] + 1], self_name):
        at = kept[-1] + 1
    else:
        at = called[0] + 1 if called else 0
    body = [*docstring, *statements[:at], line, *statements[at:]]
    if not isinstance(function.body, cst.IndentedBlock):
        return function.with_changes(body=cst.IndentedBlock(body=body))
    return function.with_changes(body=function.body.with_changes(body=body))


def _first_parameter(function: cst.FunctionDef) -> str:
    known = [*function.params.posonly_params, *function.params.params]
    return known[0].name.value if known else ""


def _keeps_parameter(node: cst.BaseStatement, self_name: str) -> bool:
    match node:
        case cst.SimpleStatementLine(
            body=[
                cst.Assign(
                    targets=[
                        cst.AssignTarget(
                            target=cst.Attribute(
                                value=cst.Name(value=owner), attr=cst.Name(value=attr)
                            )
                        )
                    ],
                    value=cst.Name(value=value),
                )
            ]
        ):
            return owner == self_name and attr == value
        case _:
            return False


def is_super_call(node: cst.BaseStatement) -> bool:
    """Whether a statement calls what stands above."""
    return not is_docstring(node) and code_of(node).lstrip().startswith("super(")


class _MethodCalls(cst.CSTVisitor):
    def __init__(self, self_name: str) -> None:
        super().__init__()
        self._self = self_name
        self.found = False

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Attribute) and code_of(node.func.value) == self._self:
            self.found = True


def _calls_methods(statements: Sequence[cst.BaseStatement], self_name: str) -> bool:
    seen = _MethodCalls(self_name)
    for one in statements:
        one.visit(seen)
    return seen.found

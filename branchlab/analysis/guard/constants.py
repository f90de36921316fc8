"""A constant that changed: the old value comes back, and the flag chooses the new one where it is read.

A class's constant is chosen once, in the constructor; a module's in every function that reads it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

import libcst as cst

from branchlab.analysis.features.syntax import Class, Module
from branchlab.analysis.features.trees import (
    all_parameter_names,
    dotted,
    dump,
    loaded_names,
    stored_names,
    walk,
)
from branchlab.analysis.guard.bodies import Site, condition_in
from branchlab.analysis.guard.code import body_of, code_of, exchange, with_body
from branchlab.analysis.guard.files import HeadFiles
from branchlab.analysis.guard.proposal import CannotGuardError
from branchlab.analysis.guard.signatures import is_super_call, take_flag
from branchlab.analysis.guard.spelling import spellings

_Pairs = dict[str, tuple[ast.expr, ast.expr]]


def changed_constants(base: Class | Module, head: Class | Module) -> _Pairs:
    """Return (old, new) value by name, of those that both sides assign once."""
    old, new = _assigned(base), _assigned(head)
    return {
        name: (old[name], new[name])
        for name in old.keys() & new.keys()
        if dump(old[name]) != dump(new[name])
    }


def _assigned(one: Class | Module) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    twice: set[str] = set()
    for statement in one.statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                twice |= stored_names([statement])
                continue
        if name in found:
            twice.add(name)
        found[name] = value
    return {name: value for name, value in found.items() if name not in twice}


def guard_class_constants(
    module: cst.Module, files: HeadFiles, old: Class, new: Class, *, path: str, flag: str
) -> cst.Module:
    """Return the module with the class's old constants, and the new ones set in its constructor.

    Raises:
        CannotGuardError: The constant is read from the class, where no object's flag is known.
    """
    changed = changed_constants(old, new)
    by_hand = (
        f"restore the constant of {new.symbol} in {path}, and set it on self where `{flag}` is on"
    )
    if not changed:
        raise CannotGuardError(
            f"no constant of {new.symbol} can be read on both sides", by_hand=by_hand
        )
    for name in changed:
        where = next(_reads_of_class(files, new, path, name), "")
        if where:
            raise CannotGuardError(
                f"{new.symbol}.{name} is read from the class, not from an object: {where}",
                by_hand=by_hand,
            )
    lines = [
        cst.parse_statement(f"if {flag}:\n    self.{name} = {ast.unparse(value)}\n")
        for name, (_, value) in changed.items()
    ]

    def guarded(node: cst.CSTNode) -> cst.CSTNode:
        assert isinstance(node, cst.ClassDef)
        taking = take_flag(node, flag, is_stored=False, inherits=bool(_other_bases(new)))
        statements = [
            _chosen(one, lines)
            if isinstance(one, cst.FunctionDef) and one.name.value == "__init__"
            else _restored(one, changed)
            for one in taking.body.body
        ]
        return taking.with_changes(body=taking.body.with_changes(body=statements))

    return exchange(module, new.symbol, guarded)


def _other_bases(cls: Class) -> set[str]:
    return set(cls.bases) - {"Module", "object", "Task", "ABC", "Dataset"}


def _chosen(init: cst.FunctionDef, lines: Sequence[cst.BaseStatement]) -> cst.FunctionDef:
    _, statements = body_of(init)
    called = [at for at, one in enumerate(statements) if is_super_call(one)]
    at = called[0] + 1 if called else 0
    return with_body(init, [*statements[:at], *lines, *statements[at:]])


def _restored(statement: cst.CSTNode, changed: _Pairs) -> cst.CSTNode:
    match statement:
        case cst.SimpleStatementLine(
            body=[
                cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))])
                | cst.AnnAssign(target=cst.Name(value=name)) as inner
            ]
        ) if name in changed:
            value = cst.parse_expression(ast.unparse(changed[name][0]))
            return statement.with_changes(body=[inner.with_changes(value=value)])
    return statement


def _reads_of_class(files: HeadFiles, cls: Class, path: str, name: str) -> Iterator[str]:
    """Yield where a constant is read or set in a way that the constructor's choice would not reach."""
    for where, module in files.mentioning(name).items():
        known = {f"{one}.{name}" for one in spellings(files, module, path, cls.symbol)}
        known |= {f"cls.{name}"} if where == path else set()
        for node in _attributes(module.tree, name):
            is_of_type = isinstance(node.value, ast.Call) and dotted(node.value.func) == "type"
            if dotted(node) in known or is_of_type:
                yield f"{where}:{node.lineno} {ast.unparse(node)}"
        for other in module.classes.values():
            if cls.name in other.bases and name in _assigned(other):
                yield f"{where}:{other.node.lineno} {other.symbol} has its own {name}"
    for method in cls.methods.values():
        if any(isinstance(one.ctx, ast.Store) for one in _attributes(method.node, name)):
            yield f"{path}:{method.node.lineno} {method.symbol} sets it"
    for statement in cls.statements:
        if name in loaded_names(statement):
            yield f"{path}:{statement.lineno} the class reads it while it is made"


def _attributes(tree: ast.AST, name: str) -> list[ast.Attribute]:
    return [one for one in walk(tree) if isinstance(one, ast.Attribute) and one.attr == name]


def readers_of_constant(files: HeadFiles, own: Module, path: str, name: str) -> list[str]:
    """Return the functions of its own module that read a module's constant.

    Raises:
        CannotGuardError: It is read where no flag can be known.
    """
    by_hand = f"restore {name} in {path}, and choose the new value where a function reads it"
    elsewhere = _other_readers(files, path, name)
    if elsewhere:
        raise CannotGuardError(f"{name} is read in {elsewhere} too", by_hand=by_hand)
    found: list[str] = []
    inside: set[int] = set()
    for symbol, function in own.functions.items():
        reads = [one for part in function.node.body for one in _reads_in(part, name)]
        is_local = name in all_parameter_names(function.node.args) | stored_names(
            function.node.body
        )
        if reads and not is_local:
            found.append(symbol)
            inside |= {id(one) for one in reads}
    loose = [one for one in _reads_in(own.tree, name) if id(one) not in inside]
    if loose:
        raise CannotGuardError(
            f"{name} is read in line {loose[0].lineno} of {path} while the module is loaded",
            by_hand=by_hand,
        )
    if not found:
        raise CannotGuardError(f"nothing in {path} reads {name}", by_hand=by_hand)
    return found


def _reads_in(tree: ast.AST, name: str) -> list[ast.Name]:
    return [
        one
        for one in walk(tree)
        if isinstance(one, ast.Name) and one.id == name and not isinstance(one.ctx, ast.Store)
    ]


def _other_readers(files: HeadFiles, path: str, name: str) -> str:
    """Return another file that knows the constant; the empty string without one."""
    for where, module in files.mentioning(name).items():
        known = set() if where == path else spellings(files, module, path, name)
        expressions = {dotted(one) for one in module.nodes if isinstance(one, ast.expr)}
        if known & (expressions | set(module.imported_names())):
            return where
    return ""


class _Reads(cst.CSTTransformer):
    def __init__(self, name: str, chosen: cst.BaseExpression) -> None:
        super().__init__()
        self._name = name
        self._chosen = chosen

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        return not isinstance(node.value, cst.Name) or node.value.value == self._name

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:  # noqa: N802
        return updated_node.with_changes(keyword=original_node.keyword)

    def leave_Attribute(  # noqa: N802
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.Attribute:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Name(  # noqa: N802
        self, original_node: cst.Name, updated_node: cst.Name
    ) -> cst.BaseExpression:
        return self._chosen if updated_node.value == self._name else updated_node


def new_name(name: str, flag: str) -> str:
    """Return what the new value is called beside the old one."""
    return f"{name}_{flag.upper()}" if name.isupper() else f"{name}_{flag}"


def guard_module_constant(module: cst.Module, site: Site, name: str, flag: str) -> cst.Module:
    """Return the module with one function choosing between the two values of a constant."""
    test = code_of(condition_in(site.node, flag, is_method=site.is_method))
    chosen = cst.parse_expression(f"({new_name(name, flag)} if {test} else {name})")

    def choosing(node: cst.CSTNode) -> cst.CSTNode:
        assert isinstance(node, cst.FunctionDef)
        inner = [one.visit(_Reads(name, chosen)) for one in body_of(node)[1]]
        return with_body(node, inner)  # type: ignore[arg-type]

    return exchange(module, site.symbol, choosing)


def both_values(
    module: cst.Module, pair: tuple[ast.expr, ast.expr], name: str, flag: str
) -> cst.Module:
    """Return the module with the old value under the old name, and the new one below it."""
    body: list[cst.CSTNode] = []
    for statement in module.body:
        restored = _restored(statement, {name: pair})
        body.append(restored)
        if restored is not statement:
            body.append(cst.parse_statement(f"{new_name(name, flag)} = {ast.unparse(pair[1])}\n"))
    return module.with_changes(body=body)

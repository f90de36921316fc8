"""An existing default that changed: the old one comes back, and the flag chooses the new one where it was left alone."""

from __future__ import annotations

import ast

import libcst as cst

from branchlab.analysis.features.trees import dump, parameters
from branchlab.analysis.guard.bodies import Site
from branchlab.analysis.guard.code import body_of, code_of, exchange, with_body
from branchlab.analysis.guard.proposal import CannotGuardError

_PLAIN = (ast.Constant, ast.Name, ast.Attribute, ast.UnaryOp, ast.Tuple, ast.BinOp)


def changed_defaults(site: Site) -> dict[str, tuple[ast.expr, ast.expr]]:
    """Return (old, new) default by parameter, of those that have both."""
    old, new = _defaults(site.old_node.args), _defaults(site.node.args)
    return {
        name: (old[name], new[name])
        for name in old.keys() & new.keys()
        if dump(old[name]) != dump(new[name])
    }


def passes(call: ast.Call, names: frozenset[str], order: list[str]) -> bool:
    """Whether a call gives one of the named parameters a value itself, or may.

    ``order`` names the parameters that can be given by position, without self.
    """
    if any(isinstance(one, ast.Starred) for one in call.args):
        return True
    if any(one.arg is None or one.arg in names for one in call.keywords):
        return True
    return bool(set(order[: len(call.args)]) & names)


def positional(site: Site) -> list[str]:
    """Return the parameters of a function that can be given by position, without self."""
    args = site.node.args
    known = [one.arg for one in (*args.posonlyargs, *args.args)]
    return known[1:] if site.is_method else known


def restore_defaults(module: cst.Module, site: Site, flag: str) -> cst.Module:
    """Return the module with the old defaults, and the new ones chosen by the flag.

    Raises:
        CannotGuardError: A default is no plain value: moved into the body it would be made anew at every call.
    """
    changed = changed_defaults(site)
    if not changed:
        raise CannotGuardError(
            f"no default of {site.symbol} can be read on both sides",
            by_hand=f"restore the old default of {site.symbol} in {site.path}",
        )
    for name, sides in changed.items():
        if not all(_is_plain(one) for one in sides):
            raise CannotGuardError(
                f"the default of '{name}' in {site.symbol} is made by a call, once",
                by_hand=f"restore `{name}={ast.unparse(sides[0])}` in {site.path}, and build "
                f"`{ast.unparse(sides[1])}` where `{flag}` is on",
            )
    test = code_of(site.condition(flag))
    lines = [
        cst.parse_statement(
            f"if {test} and {_is_still(name, old)}:\n    {name} = {ast.unparse(new)}\n"
        )
        for name, (old, new) in changed.items()
    ]

    def restored(node: cst.CSTNode) -> cst.CSTNode:
        assert isinstance(node, cst.FunctionDef)
        made = with_body(node, [*lines, *body_of(node)[1]])
        params = made.params
        fields = {
            field: [_with_default(one, changed) for one in getattr(params, field)]
            for field in ("posonly_params", "params", "kwonly_params")
        }
        return made.with_changes(params=params.with_changes(**fields))

    return exchange(module, site.symbol, restored)


def _with_default(param: cst.Param, changed: dict[str, tuple[ast.expr, ast.expr]]) -> cst.Param:
    if param.name.value not in changed:
        return param
    old = ast.unparse(changed[param.name.value][0])
    return param.with_changes(default=cst.parse_expression(old))


def _is_still(name: str, old: ast.expr) -> str:
    text = ast.unparse(old)
    is_one = isinstance(old, ast.Name | ast.Attribute) or (
        isinstance(old, ast.Constant) and (old.value is None or isinstance(old.value, bool))
    )
    return f"{name} is {text}" if is_one else f"{name} == {text}"


def _is_plain(node: ast.expr) -> bool:
    inner = [one for one in ast.walk(node) if isinstance(one, ast.expr)]
    return all(isinstance(one, _PLAIN) for one in inner)


def _defaults(args: ast.arguments) -> dict[str, ast.expr]:
    plain = [*args.posonlyargs, *args.args]
    found = dict(
        zip(
            [one.arg for one in plain[len(plain) - len(args.defaults) :]],
            args.defaults,
            strict=True,
        )
    )
    for one, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if default is not None:
            found[one.arg] = default
    assert set(found) <= {one.arg for one in parameters(args)}
    return found

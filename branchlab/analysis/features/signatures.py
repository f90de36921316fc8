"""What callers of a function rely on, and which of it a change takes away: names, order, defaults."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import lru_cache

from branchlab.analysis.features.trees import FunctionNode, dotted, dump, last_name, parameters

_FIELD_MAKERS = {"field", "Field", "ib", "attrib", "Option", "Argument", "Factory"}


@dataclass(slots=True, kw_only=True)
class SignatureChange:
    """How a list of parameters changed.

    Attributes:
        new: Name -> default; None where a caller has to give it. ``starred``: new ``*args`` and ``**kwargs``.
        defaults: Name -> (old, new) of parameters that both sides have.
        problems: What breaks callers, in sentences without a subject.
        internal: Those of the problems that do not matter where every caller is known.
    """

    new: dict[str, ast.expr | None] = field(default_factory=dict)
    starred: set[str] = field(default_factory=set)
    defaults: dict[str, tuple[ast.expr, ast.expr]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A list of parameters, of a function or of a class of fields.

    Attributes:
        positional: Names in order, those that can be given by position.
        defaults: Name -> default; None where a caller has to give it.
        unnamed: Names that can be given by position alone.
    """

    positional: tuple[str, ...]
    defaults: dict[str, ast.expr | None]
    vararg: str = ""
    kwarg: str = ""
    unnamed: frozenset[str] = frozenset()


@lru_cache(maxsize=8192)
def parameters_of(node: FunctionNode, *, is_method: bool) -> Parameters:
    """Return the parameters of a function, ``self`` left out."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: dict[str, ast.expr | None] = {one.arg: None for one in parameters(arguments)}
    pairs = zip(reversed(positional), reversed(arguments.defaults), strict=False)
    defaults.update({one.arg: unwrapped(value) for one, value in pairs})
    for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        defaults[one.arg] = None if value is None else unwrapped(value)
    names = [one.arg for one in positional]
    if (
        is_method
        and names
        and not any(dotted(one) == "staticmethod" for one in node.decorator_list)
    ):
        defaults.pop(names.pop(0))
    return Parameters(
        positional=tuple(names),
        defaults=defaults,
        vararg=arguments.vararg.arg if arguments.vararg else "",
        kwarg=arguments.kwarg.arg if arguments.kwarg else "",
        unnamed=frozenset(one.arg for one in arguments.posonlyargs),
    )


def unwrapped(value: ast.expr) -> ast.expr | None:
    """Return the default that ``field(default=…)``, ``Field(…)`` or ``typer.Option(…)`` stands for."""
    if isinstance(value, ast.Call) and dotted(value.func) in {"dict", "list", "tuple"}:
        return value if value.args or value.keywords else _made(value.func)
    if not isinstance(value, ast.Call) or last_name(value.func) not in _FIELD_MAKERS:
        return value
    for word in value.keywords:
        if word.arg == "default":
            return word.value
        if word.arg in {"default_factory", "factory"}:
            return _made(word.value)
    if value.args and last_name(value.func) in {"Field", "Option", "Argument"}:
        first = value.args[0]
        is_dots = isinstance(first, ast.Constant) and first.value is ...
        return None if is_dots else first
    return None


def _made(factory: ast.expr) -> ast.expr:
    empty: dict[str, ast.expr] = {
        "list": ast.List([], ast.Load()),
        "dict": ast.Dict([], []),
        "tuple": ast.Tuple([], ast.Load()),
    }
    if isinstance(factory, ast.Lambda):
        return factory.body
    return empty.get(dotted(factory), ast.Call(factory, [], []))


def compare_signatures(base: Parameters, head: Parameters) -> SignatureChange:
    """Return how parameters changed."""
    change = SignatureChange()
    change.new = {name: value for name, value in head.defaults.items() if name not in base.defaults}
    change.starred = {
        name
        for name, old in ((head.vararg, base.vararg), (head.kwarg, base.kwarg))
        if name and not old
    }
    removed = [name for name in base.defaults if name not in head.defaults]
    renamed = _renamed(base, head, removed, change.new)
    for name in removed:
        other = renamed.get(name)
        change.problems.append(
            f"parameter '{name}' is now called '{other}'"
            if other
            else f"parameter '{name}' is gone"
        )
    for name, value in change.new.items():
        if value is None and name not in renamed.values():
            change.problems.append(
                f"new parameter '{name}' has no default, so callers have to give it"
            )
    for name, old in base.defaults.items():
        _compare_one(change, name, old, head)
    if base.vararg and not head.vararg:
        change.problems.append(f"'*{base.vararg}' is gone")
    if base.kwarg and not head.kwarg:
        change.problems.append(f"'**{base.kwarg}' is gone")
    change.problems += [
        f"parameter '{name}' can no longer be given by name"
        for name in base.defaults
        if name in head.unnamed - base.unnamed
    ]
    shift = None if removed else _shift(base, head)
    if shift:
        change.problems.append(shift)
    return change


def _compare_one(
    change: SignatureChange, name: str, old: ast.expr | None, head: Parameters
) -> None:
    if name not in head.defaults:
        return
    new = head.defaults[name]
    if old is not None and new is None:
        change.problems.append(
            f"parameter '{name}' has lost its default, so callers have to give it"
        )
    elif old is not None and new is not None and dump(old) != dump(new):
        change.defaults[name] = (old, new)


def _renamed(
    base: Parameters, head: Parameters, removed: list[str], new: dict[str, ast.expr | None]
) -> dict[str, str]:
    """Return old name -> new name of parameters that kept their place."""
    found: dict[str, str] = {}
    for name in removed:
        if name in base.positional:
            at = base.positional.index(name)
            if at < len(head.positional) and head.positional[at] in new:
                found[name] = head.positional[at]
        elif len(removed) == 1 and len(new) == 1:
            found[name] = next(iter(new))
    return found


def _shift(base: Parameters, head: Parameters) -> str | None:
    """Say which parameter moved to another position, if one did."""
    for at, name in enumerate(base.positional):
        if name not in head.positional:
            return f"parameter '{name}' can no longer be given by position"
        if head.positional.index(name) != at:
            before = [
                one
                for one in head.positional[: head.positional.index(name)]
                if one not in base.positional
            ]
            if before:
                return (
                    f"new parameter '{before[0]}' stands before '{name}', "
                    f"so arguments given by position shift"
                )
            return f"parameter '{name}' has moved to another position"
    if base.vararg and len(head.positional) > len(base.positional):
        extra = head.positional[len(base.positional)]
        return f"new parameter '{extra}' takes the first of '*{base.vararg}'"
    return None

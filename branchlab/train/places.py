"""Which statement of a function a line belongs to, and what it assigns, takes or gives back.

Read from the syntax tree of the file that runs, so that the tracer knows what to look at once a statement is over. Statements
that share a line are one place: the interpreter announces lines, not statements.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_WithBlock = ast.For | ast.AsyncFor | ast.With | ast.AsyncWith


@dataclass(frozen=True, slots=True)
class Target:
    """What a statement binds: a name, an attribute of one (``self.x``), or an item of one (``table["x"]``)."""

    label: str
    name: str
    attribute: str = ""
    key: str | int | None = None
    is_item: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A statement, the header of a compound one, or all statements of one line.

    Attributes:
        arguments: Of the function whose header this is.
        body: First and last line of the block that follows; what a loop binds is bound there alone.
        repeats: Whether it is the whole of a loop without a condition, so that the same line follows itself.
    """

    first: int
    last: int
    targets: tuple[Target, ...] = ()
    arguments: tuple[str, ...] = ()
    returns: bool = False
    yields: bool = False
    body: tuple[int, int] | None = None
    repeats: bool = False


@dataclass(slots=True)
class _Reader:
    found: list[Place] = field(default_factory=list)

    def block(self, statements: list[ast.stmt], *, is_function: bool) -> None:
        for statement in statements:
            if isinstance(statement, _Function):
                self.header(statement)
                self.block(statement.body, is_function=True)
            elif isinstance(statement, ast.ClassDef):
                self.block(statement.body, is_function=False)
            else:
                if is_function:
                    self.found.append(_place(statement))
                for inner in _blocks(statement):
                    self.block(inner, is_function=is_function)
                if is_function and _is_endless(statement):
                    self.found[-1] = replace(self.found[-1], repeats=True)

    def header(self, function: _Function) -> None:
        given = function.args
        named = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
        names = [one.arg for one in named if one is not None]
        parts = [one for one in (*named, function.returns) if one is not None]
        parts += [one for one in (*given.defaults, *given.kw_defaults) if one is not None]
        last = max([function.lineno, *(part.end_lineno or 0 for part in parts)])
        self.found.append(Place(first=function.lineno, last=last, arguments=tuple(names)))


def places_of(source: bytes) -> Mapping[int, Place]:
    """Return the place of each line inside a function, none for a source that does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    reader = _Reader()
    reader.block(tree.body, is_function=False)
    places: list[Place] = []
    for place in sorted(reader.found, key=lambda one: (one.first, one.last)):
        if places and place.first <= places[-1].last:
            places[-1] = _together(places[-1], place)
        else:
            places.append(place)
    return {line: place for place in places for line in range(place.first, place.last + 1)}


def _together(one: Place, two: Place) -> Place:
    targets = tuple(replace(t, label=t.label or _name_of(t)) for t in (*one.targets, *two.targets))
    return Place(
        first=one.first,
        last=max(one.last, two.last),
        targets=targets,
        arguments=one.arguments + two.arguments,
        returns=one.returns or two.returns,
        yields=one.yields or two.yields,
    )


def _place(statement: ast.stmt) -> Place:
    parts = list(_header(statement))
    last = max([statement.lineno, *(part.end_lineno or 0 for part in parts)])
    targets = [target for part in _bound(statement) for target in _targets(part)]
    is_plain = isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign)
    walks = [node for part in parts for node in _walk(part)]
    named = [
        target
        for node in walks
        if isinstance(node, ast.NamedExpr)
        for target in _targets(node.target)
    ]
    if is_plain and len(targets) == 1 and not named:
        targets = [replace(targets[0], label="")]
    return Place(
        first=statement.lineno,
        last=last,
        targets=(*named, *targets),
        returns=isinstance(statement, ast.Return),
        yields=any(isinstance(node, ast.Yield | ast.YieldFrom) for node in walks),
        body=_span(statement) if isinstance(statement, _WithBlock) else None,
    )


def _span(statement: _WithBlock) -> tuple[int, int]:
    body = statement.body
    return body[0].lineno, body[-1].end_lineno or body[-1].lineno


def _header(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield what belongs to a statement itself, and not to the blocks in it."""
    for name, value in ast.iter_fields(statement):
        values = value if isinstance(value, list) else [value]
        if name in {"body", "orelse", "finalbody", "handlers", "cases"}:
            continue
        yield from (one for one in values if isinstance(one, ast.expr))
        for item in values:
            if isinstance(item, ast.withitem):
                yield item.context_expr
                if item.optional_vars is not None:
                    yield item.optional_vars


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if isinstance(block, list):
            yield block
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield part.body


def _bound(statement: ast.stmt) -> Iterator[ast.expr]:
    if isinstance(statement, ast.Assign):
        yield from statement.targets
    elif isinstance(statement, ast.AugAssign | ast.For | ast.AsyncFor):
        yield statement.target
    elif isinstance(statement, ast.AnnAssign):
        if statement.value is not None:
            yield statement.target
    elif isinstance(statement, ast.With | ast.AsyncWith):
        yield from (i.optional_vars for i in statement.items if i.optional_vars is not None)


def _targets(bound: ast.expr) -> Iterator[Target]:
    if isinstance(bound, ast.Tuple | ast.List):
        for element in bound.elts:
            yield from _targets(element)
    elif isinstance(bound, ast.Starred):
        yield from _targets(bound.value)
    elif isinstance(bound, ast.Name):
        yield Target(bound.id, bound.id)
    elif isinstance(bound, ast.Attribute) and isinstance(bound.value, ast.Name):
        yield Target(f"{bound.value.id}.{bound.attr}", bound.value.id, attribute=bound.attr)
    elif isinstance(bound, ast.Subscript) and isinstance(bound.value, ast.Name):
        key = bound.slice.value if isinstance(bound.slice, ast.Constant) else None
        key = key if isinstance(key, str | int) else None
        yield Target(bound.value.id, bound.value.id, key=key, is_item=True)


def _name_of(target: Target) -> str:
    return f"{target.name}.{target.attribute}" if target.attribute else target.name


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and what is in it, but not what runs in a function of its own."""
    yield node
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _walk(child)


def _is_endless(statement: ast.stmt) -> bool:
    if not (isinstance(statement, ast.While) and isinstance(statement.test, ast.Constant)):
        return False
    return len(statement.body) == 1 and not list(_blocks(statement.body[0]))

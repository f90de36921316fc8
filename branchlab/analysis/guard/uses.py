"""Who calls a function or builds a class by its name, and where it is used in a way that reading cannot follow."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from branchlab.analysis.features.syntax import Class, Function, Module
from branchlab.analysis.features.trees import dotted, last_name, loaded_names, walk
from branchlab.analysis.guard.files import HeadFiles
from branchlab.analysis.guard.spelling import aliases_of_file, spellings

SUPER_CALL = "super().__init__"
_PLAIN_DECORATORS = {
    *("property", "staticmethod", "classmethod", "abstractmethod", "override", "final", "wraps"),
    *("no_grad", "inference_mode", "enable_grad", "dataclass", "contextmanager", "total_ordering"),
    *("compile", "script", "ignore", "unused", "export", "autocast", "custom_fwd", "custom_bwd"),
}
_ASKED_OF = {"isinstance", "issubclass", "super", "type", "hasattr"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A function, or a class as that which is constructed."""

    path: str
    symbol: str
    is_class: bool

    @property
    def name(self) -> str:
        return self.symbol.rpartition(".")[2]

    def shown(self) -> str:
        return f"{self.symbol} in {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call by name. ``context`` is the outermost function it stands in; empty at module level."""

    path: str
    context: str
    spelled: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Uses:
    """``heirs`` are classes below that have no constructor of their own; ``indirect`` are sentences."""

    calls: list[Call] = field(default_factory=list)
    heirs: list[Place] = field(default_factory=list)
    indirect: list[str] = field(default_factory=list)


def uses_of(files: HeadFiles, place: Place) -> Uses:
    """Return every use of a place in the project."""
    found = Uses()
    own = files.module(place.path)
    found.indirect += _registered(own, place)
    owner = place.symbol.rpartition(".")[0]
    for path, module in files.mentioning(place.name).items():
        names = _names_in(files, module, place, owner)
        for context, nodes in _contexts(module):
            local = names | _inside_class(place, owner, path, context)
            if local:
                _search(found, path, context, nodes, frozenset(local))
        if owner and not place.is_class:
            found.indirect += _unknown_owners(module, path, place, names)
        if place.is_class:
            for cls in module.classes.values():
                _inherit(found, path, cls, names)
    if not owner:
        found.indirect += _looked_up(files, place)
    return found


def _names_in(files: HeadFiles, module: Module, place: Place, owner: str) -> set[str]:
    if owner and not place.is_class:
        return {f"{one}.{place.name}" for one in spellings(files, module, place.path, owner)}
    return spellings(files, module, place.path, place.symbol)


def _inside_class(place: Place, owner: str, path: str, context: str) -> set[str]:
    """Return what a class calls itself, or its own method, from within."""
    if path != place.path:
        return set()
    if place.is_class:
        return {"cls"} if context.startswith(f"{place.symbol}.") else set()
    inside = bool(owner) and context.startswith(f"{owner}.")
    return {f"self.{place.name}", f"cls.{place.name}"} if inside else set()


def _contexts(module: Module) -> Iterator[tuple[str, list[ast.AST]]]:
    for symbol, function in module.functions.items():
        node = function.node
        outside = [*node.decorator_list, node.args]
        yield "", [inner for one in outside for inner in walk(one)]
        yield symbol, [inner for one in node.body for inner in walk(one)]
    loose: list[ast.stmt] = [one for one in module.statements if not _is_main(one)]
    for cls in module.classes.values():
        loose += cls.statements
    yield "", [inner for one in loose for inner in walk(one)]


def _is_main(statement: ast.stmt) -> bool:
    """Whether a statement runs only where the file is started as a script."""
    return isinstance(statement, ast.If) and "__name__" in loaded_names(statement.test)


def _search(
    found: Uses, path: str, context: str, nodes: list[ast.AST], names: frozenset[str]
) -> None:
    skipped = _not_read(nodes)
    called: ast.Call | None = None
    for node in nodes:
        match node:
            case ast.Call(func=target) if dotted(target) in names:
                skipped |= {id(inner) for inner in walk(target)}
                called = node
            case ast.Call(func=target, args=[first, *_]) if (
                last_name(target) == "partial" and dotted(first) in names
            ):
                skipped |= {id(inner) for inner in walk(first)}
                called = node
            case ast.Call(func=target) if last_name(target) in _ASKED_OF:
                skipped |= {id(inner) for one in node.args for inner in walk(one)}
            case ast.Attribute() if dotted(node) not in names:
                skipped |= {id(inner) for inner in walk(node.value)}
            case _:
                pass
    if called is not None and context:
        found.calls.append(Call(path=path, context=context, spelled=names))
    elif called is not None:
        said = f"{path}:{called.lineno} calls {ast.unparse(called)} while the file is loaded"
        found.indirect.append(said)
    found.indirect += [
        f"{path}:{node.lineno} hands {dotted(node)} on without calling it"
        for node in nodes
        if id(node) not in skipped
        and isinstance(node, ast.Name | ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and dotted(node) in names - {"cls"}
    ]


def _not_read(nodes: Iterable[ast.AST]) -> set[int]:
    """Return the nodes of annotations, by identity."""
    found: set[int] = set()
    for node in nodes:
        for name in ("annotation", "returns"):
            inner = getattr(node, name, None)
            if isinstance(inner, ast.AST):
                found |= {id(one) for one in walk(inner)}
    return found


def _inherit(found: Uses, path: str, cls: Class, names: set[str]) -> None:
    if not any(dotted(base) in names for base in cls.node.bases):
        return
    init = cls.methods.get("__init__")
    if init is None:
        found.heirs.append(Place(path=path, symbol=cls.symbol, is_class=True))
        return
    above = {f"{name}.__init__" for name in names}
    spelled = {ast.unparse(node.func) for node in walk(init.node) if isinstance(node, ast.Call)} & {
        SUPER_CALL,
        f"super({cls.name}, self).__init__",
        *above,
    }
    if spelled:
        call = Call(path=path, context=init.symbol, spelled=frozenset(spelled))
        found.calls.append(call)
    else:
        found.indirect.append(
            f"{path}:{cls.node.lineno} {cls.symbol} inherits it and does not call super().__init__"
        )


def _registered(module: Module | None, place: Place) -> list[str]:
    definition: Function | Class | None = None
    if module is not None:
        known = module.classes if place.is_class else module.functions
        definition = known.get(place.symbol)
    if definition is None:
        return []
    found = []
    for one in definition.node.decorator_list:
        name = last_name(one.func if isinstance(one, ast.Call) else one)
        if name not in _PLAIN_DECORATORS and name not in {"cache", "lru_cache", "setter"}:
            found.append(f"{place.path}:{one.lineno} hands {place.name} to @{ast.unparse(one)}")
    return found


def _looked_up(files: HeadFiles, place: Place) -> list[str]:
    """Return where a name of the file is looked up by a string that is only known in a run."""
    stem = place.path.removesuffix(".py").removesuffix("/__init__").rpartition("/")[2]
    found = []
    for path, module in files.mentioning(stem).items():
        aliases = aliases_of_file(module, place.path)
        for node in module.nodes if aliases else ():
            if isinstance(node, ast.Call) and node.args and dotted(node.args[0]) in aliases:
                is_dynamic = not all(isinstance(one, ast.Constant) for one in node.args[1:])
                if last_name(node.func) in {"getattr", "vars"} and (
                    is_dynamic or last_name(node.func) == "vars"
                ):
                    found.append(f"{path}:{node.lineno} looks it up: {ast.unparse(node)}")
            elif (
                isinstance(node, ast.Attribute)
                and node.attr == "__dict__"
                and dotted(node.value) in aliases
            ):
                found.append(f"{path}:{node.lineno} looks it up: {ast.unparse(node)}")
    return found


def _unknown_owners(module: Module, path: str, place: Place, names: set[str]) -> list[str]:
    found = []
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr == place.name:
            said = dotted(node)
            if said not in names and said.partition(".")[0] not in {"self", "cls"}:
                found.append(f"{path}:{node.lineno} uses {ast.unparse(node)}")
    return found

"""Imports between files of the project: names that are not there, names no longer given on, modules that moved."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from branchlab.analysis.features.classes import finding
from branchlab.analysis.features.clean import impure_calls
from branchlab.analysis.features.files import is_test
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Pair
from branchlab.analysis.features.names import given_names, import_targets
from branchlab.analysis.features.origins import origins
from branchlab.analysis.features.syntax import Failure, Module, parse_module, top_names
from branchlab.analysis.features.trees import dump, loaded_names, walk
from branchlab.analysis.features.world import World
from branchlab.domain import FeatureVerdict

_MADE_BY_BUILD = re.compile(r"(^|\.)_?(version|C|cuda|ext|ops_ext)$|_cuda$|_ext$")


class Modules:
    """The modules of head, changed or not, by path."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[str, Module | None] = {
            pair.change.head_path: pair.head for pair in world.pairs if pair.head is not None
        }
        for pair in world.pairs:
            if pair.change.is_deleted or pair.change.base_path != pair.change.head_path:
                self._known.setdefault(pair.change.base_path, None)
        self.changed = frozenset(pair.change.head_path for pair in world.pairs)
        self._new_imports = {
            id(pair): list(_new_imports(pair)) for pair in world.pairs if pair.head is not None
        }

    def new_imports(self, pair: Pair) -> Sequence[ast.Import | ast.ImportFrom]:
        """Return the imports of a changed file that the base has not."""
        return self._new_imports[id(pair)]

    def at(self, path: str) -> Module | None:
        """Return the module at a path; None where there is none, or none that parses."""
        if path not in self._known:
            text = self._world.elsewhere.texts([path]).get(path)
            module = None if text is None else parse_module(path, text)
            self._known[path] = None if isinstance(module, Failure) else module
        return self._known[path]


def import_findings(world: World) -> list[Finding]:
    """Return what changed about who imports what from where."""
    found: list[Finding] = []
    modules = Modules(world)
    # All at once: looked at one by one, each file costs a process.
    world.elsewhere.texts(
        target
        for pair in world.pairs
        if pair.head is not None
        for _, targets in _at_stake(pair, pair.head, modules)
        for target in targets
    )
    for pair in world.pairs:
        if pair.head is not None:
            found += _missing(world, pair, pair.head, modules)
            found += _other_origins(world, pair)
            found += _new_stars(pair, modules)
            found += _new_effects(pair, modules)
        if pair.base is not None:
            found += _not_given_on(world, pair, modules)
            if pair.head is not None and pair.change.base_path != pair.change.head_path:
                found += _moved(world, pair, modules)
    return found


def _new_imports(pair: Pair) -> Iterator[ast.Import | ast.ImportFrom]:
    old = {dump(one) for one in pair.base.imports} if pair.base is not None else set()
    is_moved = pair.change.base_path != pair.change.head_path
    assert pair.head is not None
    for one in pair.head.imports:
        if is_moved or dump(one) not in old:
            yield one


def _at_stake(
    pair: Pair, head: Module, modules: Modules
) -> Iterator[tuple[ast.ImportFrom, list[str]]]:
    """Yield the imports that may be broken, with the files they may read: those that are new or read a changed file."""
    new = {id(one) for one in modules.new_imports(pair)}
    optional = _optional(head)
    for one in head.imports:
        if isinstance(one, ast.ImportFrom) and id(one) not in optional:
            targets = import_targets(pair.change.head_path, one)
            if id(one) in new or not modules.changed.isdisjoint(targets):
                yield one, targets


def _missing(world: World, pair: Pair, head: Module, modules: Modules) -> Iterator[Finding]:
    """Yield names that a file imports from where they are not; imports that did not change count where their file did."""
    new = {id(one) for one in modules.new_imports(pair)}
    for one, targets in _at_stake(pair, head, modules):
        target = next((t for t in targets if modules.at(t) is not None), None)
        if target is None:
            if (
                one.level
                and one.module
                and id(one) in new
                and not _MADE_BY_BUILD.search(one.module)
                and not _is_folder(world, targets)
            ):
                reason = f"line {one.lineno} imports from {'.' * one.level}{one.module}, and there is no such module"
                yield finding(pair, one.module, one.lineno, FeatureVerdict.BROKEN, reason, "import")
            continue
        if id(one) not in new and target not in modules.changed:
            continue
        yield from _missing_names(world, pair, one, target, modules)


def _missing_names(
    world: World, pair: Pair, one: ast.ImportFrom, target: str, modules: Modules
) -> Iterator[Finding]:
    module = modules.at(target)
    names = None if module is None else given_names(module)
    if names is None or target == pair.change.head_path:
        return
    folder = PurePosixPath(target).parent
    for alias in one.names:
        inner = [str(folder / f"{alias.name}.py"), str(folder / alias.name / "__init__.py")]
        is_module = target.endswith("__init__.py") and (
            any(modules.at(path) is not None for path in inner)
            or _is_folder(world, inner)
            or bool(_MADE_BY_BUILD.search(alias.name))
        )
        if alias.name not in names and alias.name != "*" and not is_module:
            reason = f"line {one.lineno} imports {alias.name} from {target}, which has no such name"
            yield finding(pair, alias.name, one.lineno, FeatureVerdict.BROKEN, reason, "import")


def _is_folder(world: World, targets: list[str]) -> bool:
    """Whether one of the paths would lie in a folder that holds files without being a package."""
    folders = {f"{PurePosixPath(t).parent}/" for t in targets if t.endswith("__init__.py")}
    return any(
        pair.change.head_path.startswith(folder) for pair in world.pairs for folder in folders
    )


def _optional(module: Module) -> set[int]:
    """Return the imports that stand below ``try``."""
    return {
        id(inner)
        for node in module.nodes
        if isinstance(node, ast.Try)
        for one in node.body
        for inner in walk(one)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }


def _other_origins(world: World, pair: Pair) -> Iterator[Finding]:
    """Yield names that come from somewhere else than they did."""
    if pair.base is None or pair.head is None:
        return
    old = origins(pair.change.base_path, pair.base.imports, world.moves)
    new = origins(pair.change.head_path, pair.head.imports, {})
    used = {node.id for node in pair.base.nodes if isinstance(node, ast.Name)}
    own = set(pair.head.functions) | set(pair.head.classes)
    for name, origin in new.items():
        if name in old and old[name] != origin and name in used:
            reason = f"{name} came from {old[name]} and comes from {origin} now"
        elif name not in old and name in own:
            reason = f"{name} is imported from {origin} and covers the {name} of this file"
        elif name not in old and name in used and name in dir(builtins):
            reason = f"{name} comes from {origin} now and was Python's own"
        else:
            continue
        line = _line_of(pair.head, name)
        yield finding(pair, name, line, FeatureVerdict.UNGUARDED, reason, "import")


def _line_of(module: Module, name: str) -> int:
    return next(
        (
            one.lineno
            for one in module.imports
            if any((alias.asname or alias.name) == name for alias in one.names)
        ),
        0,
    )


def _new_stars(pair: Pair, modules: Modules) -> Iterator[Finding]:
    """Yield star imports that are new and may cover a name that the file already used."""
    if pair.base is None or pair.head is None:
        return
    stars = [
        one
        for one in modules.new_imports(pair)
        if isinstance(one, ast.ImportFrom) and one.names[0].name == "*"
    ]
    if not stars:
        return
    used = {node.id for node in pair.base.nodes if isinstance(node, ast.Name)}
    bound = top_names(pair.base)
    for one in stars:
        shown = f"{'.' * one.level}{one.module or ''}"
        target = next(
            (m for t in import_targets(pair.change.head_path, one) if (m := modules.at(t))), None
        )
        names = given_names(target) if target is not None else None
        if names is None:
            reason = f"line {one.lineno} imports everything from {shown}, which may cover a name of this file"
            yield finding(pair, shown, one.lineno, FeatureVerdict.UNGUARDED, reason, "import")
            continue
        before = origins(pair.change.base_path, pair.base.imports, {})
        covered = {
            name
            for name in names & used
            if (name in dir(builtins) or name in bound)
            and not before.get(name, "").endswith(f".{name}")
        }
        if covered:
            reason = (
                f"line {one.lineno} imports everything from {shown}, which covers {min(covered)}"
            )
            yield finding(pair, shown, one.lineno, FeatureVerdict.UNGUARDED, reason, "import")


def _new_effects(pair: Pair, modules: Modules) -> Iterator[Finding]:
    """Yield imports, new in an old file, of a file whose import does something to others."""
    if pair.base is None or pair.head is None:
        return
    new = modules.new_imports(pair)
    old = pair.base.imports if new else []
    known = {path for one in old for path in _paths(pair.change.base_path, one)}
    for one in new:
        for path in _paths(pair.change.head_path, one):
            if path in known:
                continue
            module = modules.at(path)
            effect = _effect(module) if module is not None else 0
            if effect:
                reason = f"line {one.lineno} imports {path}, which does something to others in line {effect}"
                yield finding(pair, path, one.lineno, FeatureVerdict.UNGUARDED, reason, "import")
                break


def _paths(path: str, one: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the files that an import may read."""
    if isinstance(one, ast.Import):
        return [f"{alias.name.replace('.', '/')}.py" for alias in one.names]
    deeper = [place for alias in one.names for place in _below(path, one, alias.name)]
    return [*import_targets(path, one), *deeper]


def _below(path: str, one: ast.ImportFrom, name: str) -> list[str]:
    deeper = ast.ImportFrom(f"{one.module}.{name}" if one.module else name, [], one.level)
    return import_targets(path, deeper)[:1]


def _effect(module: Module) -> int:
    """Return the line in which importing a module changes something that is not its own; 0 when it does not."""
    own = top_names(module) - set(module.imported_names())
    for statement in module.statements:
        match statement:
            case ast.Expr(value=ast.Call() as call) if impure_calls(call):
                return statement.lineno
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript() as target]):
                if not loaded_names(target) & own:
                    return statement.lineno
            case _:
                pass
    return 0


def _not_given_on(world: World, pair: Pair, modules: Modules) -> Iterator[Finding]:
    """Yield imported names that a module gave on to others and no longer has."""
    assert pair.base is not None
    if pair.head is None:
        return
    names = given_names(pair.head)
    if names is None:
        return
    is_package = PurePosixPath(pair.change.base_path).name == "__init__.py"
    folder = PurePosixPath(pair.change.head_path).parent
    own = set(pair.base.functions) | set(pair.base.classes)
    for name in pair.base.imported_names():
        if name in names or name == "*" or "." in name or name in own:
            continue
        still = modules.at(str(folder / f"{name}.py")) if is_package else None
        users = _importers(world, pair, name)
        is_public = is_package and not name.startswith("_") and _is_relative(pair.base, name)
        if (is_public and still is None) or users:
            used = f"; {', '.join(users[:3])} imports it" if users else ""
            reason = f"{name} can no longer be imported from {pair.change.base_path}{used}"
            yield finding(pair, name, 0, FeatureVerdict.BREAKING, reason, "import")


def _is_relative(module: Module, name: str) -> bool:
    """Whether a name comes from the project's own files."""
    top = PurePosixPath(module.path).parts[0]
    return any(
        isinstance(one, ast.ImportFrom)
        and (one.level or (one.module or "").partition(".")[0] == top)
        and any((alias.asname or alias.name) == name for alias in one.names)
        for one in module.imports
    )


def _importers(world: World, pair: Pair, name: str) -> list[str]:
    """Return unchanged files that import a name from a module."""
    stem = _stem(pair.change.base_path)
    pattern = re.compile(
        rf"from\s+[\w.]*\b{re.escape(stem)}\s+import\s+(?:\([^)]*|[^\n]*)\b{re.escape(name)}\b"
    )
    return [
        path
        for path, text in world.elsewhere.mentioning([name]).items()
        if pattern.search(text) and not is_test(path)
    ]


def _stem(path: str) -> str:
    place = PurePosixPath(path)
    return place.parent.name if place.stem == "__init__" else place.stem


def _moved(world: World, pair: Pair, modules: Modules) -> Iterator[Finding]:
    """Say what becomes of imports by the old place of a file that was renamed."""
    assert pair.base is not None
    old, stem = pair.change.base_path, _stem(pair.change.base_path)
    public = {n for n in (*pair.base.functions, *pair.base.classes) if "." not in n and n[0] != "_"}
    places = [old, f"{PurePosixPath(old).with_suffix('')}/__init__.py"]
    for path in places:
        module = modules.at(path)
        names = given_names(module) if module is not None else set()
        if names is None or (public and public <= names):
            return
    pattern = re.compile(
        rf"(?:from\s+[\w.]*\b{re.escape(stem)}\s+import)|(?:import\s+(?:[\w.]+\.)?{re.escape(stem)}\b)"
        rf"|(?:from\s+[\w.]+\s+import\s+[^\n]*\b{re.escape(stem)}\b)"
    )
    users = [
        path
        for path, text in world.mentioning([stem]).items()
        if path != old and pattern.search(text) and not is_test(path)
    ]
    if users and stem not in {"main", "train", "setup"}:
        reason = f"{old} has moved to {pair.change.head_path}, and {', '.join(users[:3])} imported it from there"
        yield finding(pair, "", 0, FeatureVerdict.BREAKING, reason, "move")

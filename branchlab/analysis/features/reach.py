"""Who gets to new names, and who relied on names that are gone: within the changed files and in the files around them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from branchlab.analysis.features.changes import Elsewhere
from branchlab.analysis.features.classes import finding
from branchlab.analysis.features.files import is_test
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Pair
from branchlab.analysis.features.names import out_of_order, refused, undefined_names
from branchlab.analysis.features.registries import kept_by
from branchlab.analysis.features.syntax import Class, Function, Module
from branchlab.analysis.features.trees import dump, loaded_names
from branchlab.analysis.features.world import World
from branchlab.domain import FeatureVerdict

_DISCOVERS = re.compile(
    r"\b(?:pkgutil|import_module|listdir|glob|iter_modules|scandir|walk_packages)\b"
)
_STAR_IMPORT = re.compile(r"from\s+([\w.]+)\s+import\s+\*")
_SHOWN_MAX = 3


def new_name_findings(world: World, elsewhere: Elsewhere) -> list[Finding]:
    """Return every new function, class and file, and who on the base reaches it."""
    found: list[Finding] = []
    for pair in world.pairs:
        if pair.head is None:
            continue
        new = list(_new_symbols(pair))
        star_importers = _star_importers(pair, elsewhere) if pair.base is not None else {}
        found += [_new_symbol(world, pair, one, star_importers) for one in new]
        if pair.base is None and pair.change.is_added:
            found.append(_new_file(pair, elsewhere, has_names=bool(new)))
    return found


def _new_symbols(pair: Pair) -> Iterator[Function | Class]:
    assert pair.head is not None
    functions = pair.base.functions if pair.base else {}
    classes = pair.base.classes if pair.base else {}
    for function in pair.head.top_functions:
        if function.symbol not in functions:
            yield function
    for cls in pair.head.classes.values():
        if cls.symbol not in classes:
            yield cls


def _new_symbol(
    world: World,
    pair: Pair,
    one: Function | Class,
    star_importers: Mapping[str, str],
) -> Finding:
    kind = "class" if isinstance(one, Class) else "function"
    reached = _reached(world, pair, one, star_importers)
    made = finding(
        pair,
        one.symbol,
        one.node.lineno,
        FeatureVerdict.UNGUARDED if reached else FeatureVerdict.ADDITIVE,
        f"{kind} {one.symbol} is new, {reached or 'and nothing on the base reaches it'}",
        kind=kind,
    )
    made.names = frozenset(loaded_names(one.node))
    made.text = dump(one.node)
    return made


def _reached(
    world: World,
    pair: Pair,
    one: Function | Class,
    star_importers: Mapping[str, str],
) -> str:
    """Say how code of the base gets to a new name; the empty string when it does not."""
    name = one.name
    if pair.base is not None and "." not in one.symbol and "#" not in one.symbol:
        used = {n.id for n in pair.base.nodes if isinstance(n, ast.Name)}
        if name in used or name in pair.base.imported_names():
            return f"and takes the place of another {name} that {pair.change.base_path} uses"
    if "#" in one.symbol:
        return f"and takes the place of the first {name}"
    for path, text in star_importers.items():
        if re.search(rf"\b{re.escape(name)}\b", text):
            return f"and {path} mentions {name} and imports everything from here"
    listed = _listed(world, pair, name)
    if listed:
        return listed
    for decorator in one.node.decorator_list:
        kept = kept_by(world, decorator, name)
        if kept:
            return kept
    return _registers_itself(world, one) if isinstance(one, Class) else ""


def _listed(world: World, pair: Pair, name: str) -> str:
    """Say that somebody goes through all names of the module."""
    if pair.base is None:
        return ""
    stem = PurePosixPath(pair.change.base_path).stem
    pattern = re.compile(rf"\b(?:dir|vars|getmembers)\(\s*(?:[\w.]+\.)?{re.escape(stem)}\b")
    for path, text in world.mentioning([stem]).items():
        if pattern.search(text):
            prefixes = re.findall(r"startswith\(\s*['\"](\w+)['\"]", text)
            if not prefixes or any(name.startswith(prefix) for prefix in prefixes):
                return f"and {path} goes through all names of this module"
    return ""


def _registers_itself(world: World, cls: Class) -> str:
    """Say that a base class of the base collects its subclasses."""
    if not cls.bases:
        return ""
    for pair in world.pairs:
        for base in pair.base.classes.values() if pair.base else ():
            if base.name in cls.bases and "__init_subclass__" in base.methods:
                return f"and {base.name} collects its subclasses"
    for path, text in world.mentioning(["__subclasses__", "__init_subclass__"]).items():
        for name in cls.bases:
            if re.search(rf"\b{re.escape(name)}\.__subclasses__", text) or re.search(
                rf"class {re.escape(name)}\b(?s:.{{0,4000}})__init_subclass__", text
            ):
                return f"and {path} goes through all subclasses of {name}"
    return ""


def _star_importers(pair: Pair, elsewhere: Elsewhere) -> dict[str, str]:
    """Return the files that import everything from a module."""
    stem = PurePosixPath(pair.change.base_path).stem
    if stem == "__init__":
        stem = PurePosixPath(pair.change.base_path).parent.name
    if not stem:
        return {}
    return {
        path: text
        for path, text in elsewhere.mentioning([stem]).items()
        if any(place.rpartition(".")[2] == stem for place in _STAR_IMPORT.findall(text))
    }


def _new_file(pair: Pair, elsewhere: Elsewhere, *, has_names: bool) -> Finding:
    path = pair.change.head_path
    folder = PurePosixPath(path).parent
    reason = f"file {path} is new and nothing on the base imports it"
    verdict = FeatureVerdict.ADDITIVE
    for place, text in elsewhere.texts([str(folder / "__init__.py")]).items():
        if _DISCOVERS.search(text):
            verdict = FeatureVerdict.UNGUARDED
            reason = f"file {path} is new, and {place} imports whatever lies in its folder"
    return finding(pair, "", 1, verdict, reason, kind="file")


def gone_name_findings(world: World, elsewhere: Elsewhere) -> list[Finding]:
    """Return every function, class and file that is gone, moved or not."""
    found: list[Finding] = []
    places = _places_in_head(world)
    for pair in world.pairs:
        if pair.base is None:
            continue
        gone = list(_gone_symbols(pair))
        if not gone:
            continue
        for one in gone:
            found += _gone_symbol(pair, one, places, elsewhere)
    return found


def _gone_symbols(pair: Pair) -> Iterator[Function | Class]:
    assert pair.base is not None
    functions = pair.head.functions if pair.head else {}
    classes = pair.head.classes if pair.head else {}
    for function in pair.base.top_functions:
        if function.symbol not in functions:
            yield function
    for cls in pair.base.classes.values():
        if cls.symbol not in classes:
            yield cls


def _places_in_head(world: World) -> dict[str, list[tuple[Pair, Function | Class]]]:
    """Return every symbol that head has and the base has not, by name."""
    found: dict[str, list[tuple[Pair, Function | Class]]] = {}
    for pair in world.pairs:
        if pair.head is not None:
            for one in _new_symbols(pair):
                found.setdefault(one.name, []).append((pair, one))
    return found


def _gone_symbol(
    pair: Pair,
    one: Function | Class,
    places: Mapping[str, list[tuple[Pair, Function | Class]]],
    elsewhere: Elsewhere,
) -> Iterator[Finding]:
    kind = "class" if isinstance(one, Class) else "function"
    users = _users(pair, one.name, elsewhere)
    moved = places.get(one.name, [])
    is_given = pair.head is not None and one.name in _given_names(pair.head)
    if is_given:
        where = moved[0][0].change.head_path if moved else "another file"
        verdict = FeatureVerdict.INERT
        if moved and dump(moved[0][1].node) != dump(one.node):
            verdict = FeatureVerdict.UNGUARDED
        reason = f"{kind} {one.symbol} stands in {where} now, and can still be imported from here"
        yield finding(pair, one.symbol, 0, verdict, reason, kind="move")
        return
    if one.name.startswith("_") and not users:
        reason = f"{kind} {one.symbol} is gone, and nothing else used it"
        yield finding(pair, one.symbol, 0, FeatureVerdict.INERT, reason, kind=kind)
        return
    used = f"; {_some(users)} still use it" if users else ""
    target = f"has moved to {moved[0][0].change.head_path}" if moved else "is gone"
    reason = f"{kind} {one.symbol} {target}, so imports of {one.name} from {pair.change.base_path} fail{used}"
    yield finding(pair, one.symbol, 0, FeatureVerdict.BREAKING, reason, kind=kind)


def _given_names(module: Module) -> set[str]:
    assigned = {
        target.id
        for one in module.statements
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    }
    return set(module.imported_names()) | assigned


def _users(pair: Pair, name: str, elsewhere: Elsewhere) -> list[str]:
    """Return the files of the base, tests aside, that mention a name."""
    return [
        path
        for path in elsewhere.mentioning([name])
        if path != pair.change.base_path and not is_test(path)
    ]


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:_SHOWN_MAX]) + (" …" if len(paths) > _SHOWN_MAX else "")


def broken_findings(world: World) -> list[Finding]:
    """Return names that head reads and nobody binds, where the base was sound."""
    found: list[Finding] = []
    for pair in world.pairs:
        if pair.head is None:
            continue
        missing = undefined_names(pair.head, pair.change.head or "")
        before = undefined_names(pair.base, pair.change.base or "") if pair.base and missing else {}
        for name, line in missing.items():
            if name not in before:
                reason = f"{name} is read in line {line} and exists nowhere"
                found.append(finding(pair, name, line, FeatureVerdict.BROKEN, reason, kind="name"))
        found += _never_compiles(pair)
        found += _printed_docstring(pair)
        early = out_of_order(pair.head)
        before = out_of_order(pair.base) if pair.base and early else {}
        for name, line in early.items():
            if name not in before:
                reason = f"line {line} uses {name} before it is defined"
                found.append(finding(pair, name, line, FeatureVerdict.BROKEN, reason, kind="name"))
    return found


def _printed_docstring(pair: Pair) -> Iterator[Finding]:
    """Yield the docstring of a module that its own code reads and that changed."""
    if (
        pair.base is None
        or pair.head is None
        or ast.get_docstring(pair.base.tree) == ast.get_docstring(pair.head.tree)
    ):
        return
    if any(isinstance(node, ast.Name) and node.id == "__doc__" for node in pair.head.nodes):
        reason = f"the docstring of {pair.change.head_path} changed, and its code reads it"
        yield finding(pair, "", 1, FeatureVerdict.UNGUARDED, reason, kind="module")


def _never_compiles(pair: Pair) -> Iterator[Finding]:
    why = refused(pair.change.head or "")
    if why is None or (pair.base is not None and refused(pair.change.base or "") is not None):
        return
    reason = f"{pair.change.head_path} parses, but Python refuses it in line {why[1]}: {why[0]}"
    yield finding(pair, "", why[1], FeatureVerdict.BROKEN, reason, kind="file")

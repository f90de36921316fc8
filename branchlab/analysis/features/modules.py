"""What stands at the level of a module: constants, registries, options, statements, and the names that it gives others."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator

from branchlab.analysis.features.classes import finding
from branchlab.analysis.features.clean import is_pure, same
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Pair, all_statements
from branchlab.analysis.features.options import Option, click_options, options_in
from branchlab.analysis.features.reading import Reading, default_reading
from branchlab.analysis.features.settle import in_a_row
from branchlab.analysis.features.syntax import Module
from branchlab.analysis.features.trees import calls_in, dotted, dump, last_name, loaded_names, walk
from branchlab.analysis.features.world import World
from branchlab.domain import FeatureVerdict

_REGISTERING = {"register", "register_module", "register_model", "add_command", "setdefault", "add"}
_STARTING = {
    "main",
    "run",
    "train",
    "test",
    "val",
    "evaluate",
    "parse_args",
    "parse_opt",
    "cli",
    "app",
    "fire",
    "Fire",
}
_VERSION_NAMES = {"__version__", "VERSION", "version", "__author__", "__all__", "__email__"}


def module_findings(world: World) -> list[Finding]:
    """Compare every common module, its functions and classes aside."""
    found: list[Finding] = []
    reading = default_reading(world)
    for pair in world.pairs:
        if pair.base is None or pair.head is None:
            continue
        found += _options(pair, pair.base, pair.head)
        if [dump(s) for s in pair.base.statements] != [dump(s) for s in pair.head.statements]:
            found += _statements(pair, reading)
    return found


def _options(pair: Pair, base: Module, head: Module) -> Iterator[Finding]:
    old, new = _all_options(base), _all_options(head)
    spellings = {word for one in new.values() for word in one.spellings}
    for name, one in old.items():
        if name not in new:
            renamed = [n for n in new if n not in old and new[n].line and len(new) == len(old)]
            also = f"; {new[renamed[0]].spellings[0]} stands in its place" if renamed else ""
            reason = f"option {one.spellings[0]} is gone{also}"
            yield finding(pair, name, 0, FeatureVerdict.BREAKING, reason, kind="option")
            continue
        other = new[name]
        lost = [word for word in one.spellings if word not in spellings]
        if lost:
            reason = f"option {lost[0]} is gone"
            yield finding(pair, name, other.line, FeatureVerdict.BREAKING, reason, kind="option")
        yield from _option(pair, one, other)
    for name, one in new.items():
        if name not in old:
            yield _new_option(pair, one)


def _new_option(pair: Pair, one: Option) -> Finding:
    if one.default is None:
        reason = f"new option {one.spellings[0]} has to be given"
        return finding(pair, one.name, one.line, FeatureVerdict.BREAKING, reason, kind="option")
    default = ast.unparse(one.default)
    reason = f"new option {one.spellings[0]}, {default} by default"
    made = finding(pair, one.name, one.line, FeatureVerdict.GUARDED, reason, kind="option")
    made.flags = frozenset({one.name})
    return made


def _option(pair: Pair, old: Option, new: Option) -> Iterator[Finding]:
    word = new.spellings[0]
    if old.default is not None and new.default is None:
        reason = f"option {word} has to be given now"
        yield finding(pair, new.name, new.line, FeatureVerdict.BREAKING, reason, kind="option")
    elif old.default is not None and new.default is not None and not same(old.default, new.default):
        before, after = ast.unparse(old.default), ast.unparse(new.default)
        reason = f"the default of option {word} was {before} and is now {after}"
        yield finding(
            pair, new.name, new.line, FeatureVerdict.DEFAULT_CHANGED, reason, kind="option"
        )
    elif old.choices is not None and new.choices is not None and old.choices - new.choices:
        reason = f"option {word} no longer takes all that it took"
        yield finding(pair, new.name, new.line, FeatureVerdict.BREAKING, reason, kind="option")
    elif old.rest != new.rest or (old.choices is None) != (new.choices is None):
        reason = f"option {word} is read in another way"
        yield finding(pair, new.name, new.line, FeatureVerdict.UNGUARDED, reason, kind="option")


def _all_options(module: Module) -> dict[str, Option]:
    found: dict[str, Option] = {}
    for _, body in all_statements(module) if module.makes_options else ():
        for name, option in options_in(body).found.items():
            found.setdefault(name, option)
    for function in module.functions.values():
        for name, option in click_options(function.node).items():
            found.setdefault(name, option)
    return found


def _statements(pair: Pair, reading: Reading) -> Iterator[Finding]:
    assert pair.base is not None
    assert pair.head is not None
    sides = []
    for module in (pair.base, pair.head):
        tests = [one for one in module.statements if _is_self_test(pair, one)]
        sides.append(([one for one in module.statements if one not in tests], tests))
    if [dump(one) for one in sides[0][1]] != [dump(one) for one in sides[1][1]]:
        reason = f"what {pair.change.head_path} does when it is run by itself changed; importing it does not run that"
        line = sides[1][1][0].lineno if sides[1][1] else 0
        yield finding(pair, "", line, FeatureVerdict.INERT, reason, kind="self-test")
    old = reading.reduce_statements(pair, sides[0][0], side="base")
    new = reading.reduce_statements(pair, sides[1][0], side="head")
    held = {name: one for one in old if (name := _assigned(one))}
    come = {name: one for one in new if (name := _assigned(one))}
    for name, one in come.items():
        if name in held and dump(one) != dump(held[name]):
            yield from _changed_value(pair, name, held[name], one, reading.world.flag_names())
    for name in held:
        if name not in come and not name.startswith("_") and name not in _bound(pair.head):
            yield finding(
                pair, name, 0, FeatureVerdict.BREAKING, f"{name} is gone", kind="constant"
            )
    yield from _rest(
        pair, [s for s in old if not _assigned(s)], [s for s in new if not _assigned(s)]
    )
    yield from _new_values(pair, pair.base, (s for n, s in come.items() if n not in held))


def _is_self_test(pair: Pair, node: ast.stmt) -> bool:
    """Whether a statement is what a module of a package does when it is run by itself, to try what it holds."""
    is_main = isinstance(node, ast.If) and "__name__" in loaded_names(node.test)
    if not is_main or "/" not in pair.change.head_path or pair.head is None:
        return False
    if not any("." not in symbol for symbol in pair.head.classes):
        return False
    started = {last_name(call.func) for call in calls_in(node)}
    return not started & _STARTING


def _bound(module: Module) -> set[str]:
    return {*module.imported_names(), *module.functions, *module.classes}


def _assigned(node: ast.stmt) -> str:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return ""


def _changed_value(
    pair: Pair, name: str, old: ast.stmt, new: ast.stmt, flags: set[str]
) -> Iterator[Finding]:
    assert isinstance(old, ast.Assign)
    assert isinstance(new, ast.Assign)
    before, after, line = old.value, new.value, new.lineno
    if name in _VERSION_NAMES - {"__all__"}:
        reason = f"{name} changed"
        yield finding(pair, name, line, FeatureVerdict.INERT, reason, kind="version")
        return
    gone, come = _entries(before) - _entries(after), _entries(after) - _entries(before)
    is_table = isinstance(before, ast.Dict) and isinstance(after, ast.Dict)
    is_names = name == "__all__" or isinstance(before, ast.Set)
    if (is_table or is_names) and not gone and type(before) is type(after):
        if not come:
            yield finding(
                pair,
                name,
                line,
                FeatureVerdict.INERT,
                f"{name} holds what it held",
                kind="registry",
            )
            return
        reason = f"{name} has new entries ({_some(come)})"
        reached = "" if is_names else _iterated(pair, name)
        verdict = FeatureVerdict.UNGUARDED if reached else FeatureVerdict.ADDITIVE
        made = finding(pair, name, line, verdict, reason + reached, kind="registry")
        made.flags = frozenset(
            key.strip("'") for key, _ in come if key.strip("'") in flags and not reached
        )
        yield made
        return
    if (is_table or is_names) and {key for key, _ in gone} - {key for key, _ in come}:
        lost = {(key, "") for key, _ in gone} - {(key, "") for key, _ in come}
        reason = f"{name} has lost entries ({_some(lost)})"
        yield finding(pair, name, line, FeatureVerdict.BREAKING, reason, kind="registry")
        return
    was, now = ast.unparse(before)[:60], ast.unparse(after)[:60]
    reason = f"{name} was {was} and is now {now}, and no new flag reaches it"
    yield finding(pair, name, line, FeatureVerdict.UNGUARDED, reason, kind="constant")


def _some(entries: Iterable[tuple[str, str]]) -> str:
    keys = sorted(key for key, _ in entries)
    return ", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")  # noqa: PLR2004


def _entries(value: ast.expr) -> set[tuple[str, str]]:
    if isinstance(value, ast.Dict):
        return {
            (ast.unparse(key) if key else "**", dump(one))
            for key, one in zip(value.keys, value.values, strict=True)
        }
    if isinstance(value, ast.List | ast.Tuple | ast.Set):
        return {(ast.unparse(one), "") for one in value.elts}
    return set()


def _iterated(pair: Pair, name: str) -> str:
    """Say that the base goes through all entries of a registry; the empty string when it does not."""
    assert pair.base is not None
    for node in pair.base.nodes:
        if _goes_through(node, name):
            return f", and line {getattr(node, 'lineno', 0)} goes through all of them"
    return ""


def _goes_through(node: ast.AST, name: str) -> bool:
    match node:
        case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated):
            return name in loaded_names(iterated)
        case ast.Call(func=ast.Name(id="list" | "iter" | "tuple"), args=[ast.Name(id=given)]):
            return given == name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=given), attr="values" | "items")):
            return given == name
        case ast.ListComp(generators=parts) | ast.DictComp(generators=parts):
            return any(name in loaded_names(part.iter) for part in parts)
        case _:
            return False


def _new_values(pair: Pair, base: Module, statements: Iterable[ast.stmt]) -> Iterator[Finding]:
    used = {node.id for node in walk(base.tree) if isinstance(node, ast.Name)}
    for one in statements:
        assert isinstance(one, ast.Assign)
        name = _assigned(one)
        if name == "__all__" and (lost := _no_longer_public(base, one.value)):
            reason = f"__all__ is new and leaves out {lost}, which importing everything gave"
            yield finding(pair, name, one.lineno, FeatureVerdict.BREAKING, reason, kind="constant")
            continue
        if name in used:
            reason = f"{name} is now set here, and the base read another {name}"
            yield finding(pair, name, one.lineno, FeatureVerdict.UNGUARDED, reason, kind="constant")
            continue
        made = finding(
            pair,
            name,
            one.lineno,
            FeatureVerdict.ADDITIVE,
            f"{name} is new and the base reads it nowhere",
            kind="constant",
        )
        if not is_pure(one.value):
            made.warnings = (f"{name} is computed when the module is imported",)
        yield made


def _no_longer_public(base: Module, value: ast.expr) -> str:
    elements = value.elts if isinstance(value, ast.List | ast.Tuple) else []
    named = {one.value for one in elements if isinstance(one, ast.Constant)}
    public = {n for n in (*base.functions, *base.classes) if not n.startswith("_") and "." not in n}
    return ", ".join(sorted(public - named)[:3])


def _rest(pair: Pair, old: list[ast.stmt], new: list[ast.stmt]) -> Iterator[Finding]:
    """Compare statements that do something when the module is imported or run."""
    before, after = in_a_row(old), in_a_row(new)
    matcher = difflib.SequenceMatcher(
        None, [row.text for row in before], [row.text for row in after], autojunk=False
    )
    hunks = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    if not hunks:
        return
    if all(code[0] == "insert" for code in hunks):
        known = [dump(one) for one in old]
        added = [one for one in new if dump(one) not in known]
        if added and all(_only_adds(pair, one) for one in added):
            reason = f"line {added[0].lineno} only registers or runs what is new"
            yield finding(pair, "", added[0].lineno, FeatureVerdict.ADDITIVE, reason, kind="module")
            return
    _, _, _, start, end = hunks[0]
    line = after[start].line if start < end else 0
    where = f"line {line}" if line else "what it did there"
    reason = f"the module itself runs something else ({where}), and no new flag reaches it"
    yield finding(pair, "", line, FeatureVerdict.UNGUARDED, reason, kind="module")


def _only_adds(pair: Pair, node: ast.stmt) -> bool:
    """Whether a statement registers something that nobody goes through, or stands where only a script gets."""
    assert pair.base is not None
    if isinstance(node, ast.If):
        return "__name__" in loaded_names(node.test) or dump(node.test).find("TYPE_CHECKING") >= 0
    match node:
        case ast.Expr(value=ast.Call(func=func)):
            keeper = pair.base.functions.get(last_name(func))
            kept = loaded_names(keeper.node) if keeper else {dotted(func).partition(".")[0]}
            return last_name(func) in _REGISTERING and not any(_iterated(pair, n) for n in kept)
        case ast.Assign(targets=[ast.Subscript(value=held)]):
            return not _iterated(pair, dotted(held))
        case _:
            return False

"""The door of the room: features that no flag reaches in, the files that put them behind one out.

First both bodies are put side by side, feature by feature; a feature that cannot be is refused and leaves no trace. Then
the flag is put along all its paths at once, names that only the base's code needs come back, and the features engine
reads the result: what it does not call guarded is refused with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import libcst as cst

from branchlab.analysis.features.changes import Elsewhere, FileChange
from branchlab.analysis.features.engine import find_features
from branchlab.analysis.features.syntax import Class, Module, parse_module
from branchlab.analysis.features.trees import loaded_names, walk
from branchlab.analysis.guard.bodies import Site, merge_site, site_of
from branchlab.analysis.guard.chain import Chain, Path
from branchlab.analysis.guard.constants import (
    both_values,
    changed_constants,
    guard_class_constants,
    guard_module_constant,
    readers_of_constant,
)
from branchlab.analysis.guard.defaults import changed_defaults, passes, positional, restore_defaults
from branchlab.analysis.guard.files import HeadFiles
from branchlab.analysis.guard.flips import turn_off
from branchlab.analysis.guard.proposal import CannotGuardError, Proposal, Refusal
from branchlab.analysis.guard.restoring import restore_names
from branchlab.analysis.guard.threading import Modules, Thread, is_dataclass
from branchlab.analysis.guard.uses import Place
from branchlab.domain import Feature, FeatureVerdict

GUARDABLE = (FeatureVerdict.UNGUARDED, FeatureVerdict.DEFAULT_CHANGED, FeatureVerdict.DEFAULT_ON)
_BROKEN = {FeatureVerdict.BROKEN, FeatureVerdict.UNPARSED, FeatureVerdict.BREAKING}
_ORDER = ("body", "default")


@dataclass(slots=True, kw_only=True)
class _Work:
    """What is being written: modules that differ from the head, and what has to happen to them."""

    changes: Sequence[FileChange]
    around: Elsewhere
    files: HeadFiles
    chain: Chain
    flag: str
    modules: Modules = field(default_factory=dict)
    paths: list[tuple[Path, Place, bool]] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    switched: list[str] = field(default_factory=list)
    broken: Sequence[Feature] = ()


def guard_features(
    changes: Sequence[FileChange],
    around: Elsewhere,
    *,
    wanted: Sequence[Feature],
    flag: str,
    task: str = "",
) -> Proposal:
    """Return what puts the wanted features behind ``flag``, and which of them cannot be.

    Args:
        changes: Every path that differs between base and head.
        around: The files of the base tree that did not change.
        wanted: Features of this pair; those of a verdict that no flag mends are refused.
        flag: Name of the new flag; nothing in the project may be called so.
        task: ``module:Class`` whose constructor takes the flag at the end; without it the topmost caller does.
    """
    files = HeadFiles(changes, around)
    chain = Chain(files, task)
    known: list[Refusal] = []
    while True:  # ends: each round refuses one more, or none
        left = [one for one in wanted if one not in [r.feature for r in known]]
        work = _Work(
            changes=changes,
            around=around,
            files=files,
            chain=chain,
            flag=flag,
            broken=[one for one in wanted if one.verdict in _BROKEN],
        )
        proposal = _attempt(work, left, known)
        entangled = _entangled(proposal)
        if not entangled:
            return proposal
        known = [*proposal.refused, *entangled]


def _entangled(proposal: Proposal) -> list[Refusal]:
    """Refuse features of a class in which another one is refused: its objects would be half of each."""
    found = []
    halves = {
        (one.feature.path, one.feature.symbol.rpartition(".")[0]): one
        for one in proposal.refused
        if "." in one.feature.symbol
    }
    for feature in proposal.guarded:
        other = halves.get((feature.path, feature.symbol.rpartition(".")[0]))
        if other is not None and feature.verdict is not FeatureVerdict.DEFAULT_ON:
            found.append(
                Refusal(
                    feature=feature,
                    reason=f"{other.feature.symbol} beside it cannot be guarded: {other.reason}",
                    by_hand=other.by_hand,
                )
            )
    return found


def _attempt(work: _Work, wanted: Sequence[Feature], known: Sequence[Refusal]) -> Proposal:
    guarded: list[Feature] = []
    refused = list(known)
    for feature in sorted(wanted, key=_order):
        kept = dict(work.modules), list(work.paths), list(work.sites), list(work.switched)
        try:
            _guard_one(work, feature)
            guarded.append(feature)
        except CannotGuardError as error:
            work.modules, work.paths, work.sites, work.switched = kept
            refused.append(Refusal(feature=feature, reason=error.reason, by_hand=error.by_hand))
    if not guarded:
        return Proposal(flag="", files={}, guarded=(), refused=tuple(refused))
    try:
        return _finish(work, guarded, refused)
    except CannotGuardError as error:
        refused += [
            Refusal(feature=one, reason=error.reason, by_hand=error.by_hand) for one in guarded
        ]
        return Proposal(flag="", files={}, guarded=(), refused=tuple(refused))


def _order(feature: Feature) -> int:
    return _ORDER.index(feature.kind) if feature.kind in _ORDER else len(_ORDER)


def _guard_one(work: _Work, feature: Feature) -> None:
    if feature.verdict not in GUARDABLE:
        raise CannotGuardError(
            f"it is {feature.verdict}, which no flag mends: {feature.reason}",
            by_hand=_ADVICE.get(feature.verdict, "leave it: nothing has to be guarded"),
        )
    change, base, head = _sides(work, feature)
    if feature.verdict is FeatureVerdict.DEFAULT_ON:
        work.modules = turn_off(work.modules, work.changes, feature)
        work.switched.append(feature.flag or "")
        return
    if feature.kind == "body":
        site = site_of(change, base, head, feature.symbol)
        _check_beside(work, site)
        path = work.chain.path_from(site.place, work.flag)
        _put(work, site.path, merge_site(_module(work, site.path), site, work.flag))
        _read_by(work, site, path)
    elif feature.kind == "default" and head is not None and feature.symbol in head.functions:
        site = site_of(change, base, head, feature.symbol)
        path = work.chain.path_from(site.place, work.flag)
        _check_callers(work, site, path)
        _put(work, site.path, restore_defaults(_module(work, site.path), site, work.flag))
        _read_by(work, site, path)
    elif feature.kind == "constant" and base is not None and head is not None:
        _guard_constant(work, change, base, head, feature)
    elif base and head and feature.symbol in base.classes and feature.symbol in head.classes:
        _guard_class(work, base.classes[feature.symbol], head.classes[feature.symbol], feature)
    else:
        raise CannotGuardError(
            f"a change of this kind ({feature.kind}) runs before any flag is known: {feature.reason}",
            by_hand=f"restore {feature.symbol or 'the code'} in {feature.path}, and choose the new "
            f"value in a function that can read `{work.flag}`",
        )


def _guard_class(work: _Work, old: Class, new: Class, feature: Feature) -> None:
    """Choose between two values of a class's constants in its constructor."""
    if is_dataclass(new) or feature.verdict is not FeatureVerdict.DEFAULT_CHANGED:
        what = "the default of a field" if is_dataclass(new) else "the class itself"
        raise CannotGuardError(
            f"{what} changed, and that is decided before any flag is known: {feature.reason}",
            by_hand=f"restore {new.symbol} in {feature.path}, and pass the new value where it is made",
        )
    place = Place(path=feature.path, symbol=new.symbol, is_class=True)
    path = work.chain.path_from(place, work.flag)
    made = guard_class_constants(
        _module(work, feature.path), work.files, old, new, path=feature.path, flag=work.flag
    )
    _put(work, feature.path, made)
    work.paths.append((path, place, False))
    work.switched.append(work.flag)


def _guard_constant(
    work: _Work, change: FileChange, base: Module, head: Module, feature: Feature
) -> None:
    """Keep both values of a module's constant, and let each function that reads it choose."""
    name, path = feature.symbol, feature.path
    pairs = changed_constants(base, head)
    if name not in pairs:
        raise CannotGuardError(
            f"{name} is not assigned once on both sides: {feature.reason}",
            by_hand=f"restore {name} in {path}, and choose the new value where it is read",
        )
    for symbol in readers_of_constant(work.files, head, path, name):
        site = site_of(change, base, head, symbol)
        reached = work.chain.path_from(site.place, work.flag)
        _put(work, path, guard_module_constant(_module(work, path), site, name, work.flag))
        _read_by(work, site, reached)
    _put(work, path, both_values(_module(work, path), pairs[name], name, work.flag))


def _check_beside(work: _Work, site: Site) -> None:
    """Raise where the base's code would call what the branch has broken."""
    read = {one.attr for one in walk(site.old_node) if isinstance(one, ast.Attribute)}
    read |= loaded_names(site.old_node)
    for one in work.broken:
        name = one.symbol.removesuffix(".__init__").rpartition(".")[2]
        if one.path == site.path and _comes_back(site, one.symbol):
            continue
        if name and (name in read or (one.path == site.path and name == site.owner)):
            raise CannotGuardError(
                f"the base's {site.symbol} could not run beside the branch's code: {one.reason}",
                by_hand=f"mend {one.symbol} in {one.path} first ({_ADVICE[one.verdict]})",
            )


def _comes_back(site: Site, symbol: str) -> bool:
    """Whether what is gone from the file stands on the base, and is copied from there when it is needed."""
    old = {**site.base.functions, **site.base.classes}
    return symbol in old and symbol not in {**site.head.functions, **site.head.classes}


def _check_callers(work: _Work, site: Site, path: Path) -> None:
    """Raise where a caller gives the value itself: the old value and no value could not be told apart."""
    changed = frozenset(changed_defaults(site))
    order = positional(site)
    for call in path.calls:
        module = work.files.module(call.path)
        function = module.functions.get(call.context) if module else None
        for node in walk(function.node) if function else ():
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in call.spelled:
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            is_here = name in {site.place.name, "cls"} or name == site.node.name
            if is_here and passes(node, changed, order):
                raise CannotGuardError(
                    f"{call.path}:{node.lineno} gives {ast.unparse(node)} the value itself, so the new "
                    f"default of {site.symbol} does not reach the task there, or only by chance",
                    by_hand=f"restore the default in {site.path}, and pass the new value in {call.context}",
                )


_ADVICE = {
    FeatureVerdict.BROKEN: "mend the branch first",
    FeatureVerdict.UNPARSED: "mend the file first",
    FeatureVerdict.BREAKING: "keep the old name or position beside the new one, then ask again",
    FeatureVerdict.UNDECIDED: "branchlab parity: training can tell what reading cannot",
}


def _read_by(work: _Work, site: Site, path: Path) -> None:
    is_read_from_self = site.is_method and site.node.name != "__init__"
    work.paths.append((path, site.place, is_read_from_self))
    work.sites.append(site)
    work.switched.append(work.flag)


def _sides(work: _Work, feature: Feature) -> tuple[FileChange, Module | None, Module | None]:
    for change in work.changes:
        if change.head_path == feature.path:
            base = parse_module(change.base_path, change.base) if change.base is not None else None
            head = parse_module(change.head_path, change.head) if change.head is not None else None
            return (
                change,
                base if isinstance(base, Module) else None,
                head if isinstance(head, Module) else None,
            )
    raise CannotGuardError(
        f"{feature.path} is not among the files that differ",
        by_hand=f"look at {feature.path}",
    )


def _module(work: _Work, path: str) -> cst.Module:
    return work.modules.get(path) or cst.parse_module(work.files.text(path))


def _put(work: _Work, path: str, module: cst.Module) -> None:
    work.modules[path] = module


def _finish(work: _Work, guarded: list[Feature], refused: list[Refusal]) -> Proposal:
    for site in work.sites:
        _put(work, site.path, restore_names(_module(work, site.path), site))
    thread = Thread(work.files, work.modules, work.flag)
    for way, place, is_read_from_self in work.paths:
        thread.along(way, [place] if is_read_from_self else [])
    texts = {path: module.code for path, module in work.modules.items()}
    texts = {path: text for path, text in texts.items() if text != work.files.text(path)}
    for path, text in texts.items():
        try:
            ast.parse(text)
        except SyntaxError as error:
            raise CannotGuardError(
                f"the rewritten {path} would not parse (line {error.lineno})",
                by_hand="put both versions behind a new argument by hand",
            ) from None
    after = find_features(_with_texts(work, texts), work.around)
    touched = {(one.path, one.symbol) for one in guarded}
    for one in after:
        is_bad = one.verdict in {*GUARDABLE, FeatureVerdict.BREAKING, FeatureVerdict.BROKEN}
        if is_bad and ((one.path, one.symbol) in touched or one.flag == work.flag):
            raise CannotGuardError(
                f"read again, {one.symbol} is still {one.verdict}: {one.reason}",
                by_hand=f"put both versions of {one.symbol} in {one.path} behind `{work.flag}`",
            )
    still = {(one.path, one.symbol, one.verdict) for one in after}
    refused = [
        one
        for one in refused
        if (one.feature.path, one.feature.symbol, one.feature.verdict) in still
    ]
    switched = tuple(dict.fromkeys(work.switched))
    return Proposal(
        flag=work.flag if work.flag in switched else switched[0],
        switched_on=switched,
        files=texts,
        guarded=tuple(guarded),
        refused=tuple(refused),
    )


def _with_texts(work: _Work, texts: dict[str, str]) -> list[FileChange]:
    found = [replace(one, head=texts.get(one.head_path, one.head)) for one in work.changes]
    known = {one.head_path for one in work.changes}
    found += [
        FileChange(base_path=path, head_path=path, base=work.files.text(path), head=text)
        for path, text in texts.items()
        if path not in known
    ]
    return found

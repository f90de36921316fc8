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
from branchlab.analysis.features.syntax import Module, parse_module
from branchlab.analysis.guard.bodies import Site, merge_site, site_of
from branchlab.analysis.guard.chain import Chain, Path
from branchlab.analysis.guard.defaults import restore_defaults
from branchlab.analysis.guard.files import HeadFiles
from branchlab.analysis.guard.proposal import CannotGuardError, Proposal, Refusal
from branchlab.analysis.guard.restoring import restore_names
from branchlab.analysis.guard.threading import Modules, Thread
from branchlab.analysis.guard.uses import Place
from branchlab.domain import Feature, FeatureVerdict

GUARDABLE = (FeatureVerdict.UNGUARDED, FeatureVerdict.DEFAULT_CHANGED, FeatureVerdict.DEFAULT_ON)
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
    work = _Work(
        changes=changes,
        around=around,
        files=files,
        chain=Chain(files, task),
        flag=flag,
    )
    guarded: list[Feature] = []
    refused: list[Refusal] = []
    for feature in sorted(wanted, key=_order):
        kept = dict(work.modules), list(work.paths), list(work.sites)
        try:
            _guard_one(work, feature)
            guarded.append(feature)
        except CannotGuardError as error:
            work.modules, work.paths, work.sites = kept
            refused.append(
                Refusal(feature=feature, reason=error.reason, by_hand=error.by_hand)
            )
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
    if feature.kind == "body":
        site = site_of(change, base, head, feature.symbol)
        path = work.chain.path_from(site.place, work.flag)
        _put(work, site.path, merge_site(_module(work, site.path), site, work.flag))
        _read_by(work, site, path)
    elif feature.kind == "default" and head is not None and feature.symbol in head.functions:
        site = site_of(change, base, head, feature.symbol)
        path = work.chain.path_from(site.place, work.flag)
        _put(work, site.path, restore_defaults(_module(work, site.path), site, work.flag))
        _read_by(work, site, path)
    else:
        raise CannotGuardError(
            f"a change of this kind ({feature.kind}) runs before any flag is known: {feature.reason}",
            by_hand=f"restore {feature.symbol or 'the code'} in {feature.path}, and choose the new "
            f"value in a function that can read `{work.flag}`",
        )


_ADVICE = {
    FeatureVerdict.BROKEN: "mend the branch first",
    FeatureVerdict.UNPARSED: "mend the file first",
    FeatureVerdict.BREAKING: "keep the old name or position beside the new one, then ask again",
    FeatureVerdict.UNDECIDED: "train both and compare: a run can tell what reading cannot",
}


def _read_by(work: _Work, site: Site, path: Path) -> None:
    is_read_from_self = site.is_method and site.node.name != "__init__"
    work.paths.append((path, site.place, is_read_from_self))
    work.sites.append(site)


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
    for path, place, is_read_from_self in work.paths:
        thread.along(path, [place] if is_read_from_self else [])
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
    return Proposal(flag=work.flag, files=texts, guarded=tuple(guarded), refused=tuple(refused))


def _with_texts(work: _Work, texts: dict[str, str]) -> list[FileChange]:
    found = [
        replace(one, head=texts.get(one.head_path, one.head))
        for one in work.changes
    ]
    known = {one.head_path for one in work.changes}
    found += [
        FileChange(base_path=path, head_path=path, base=work.files.text(path), head=text)
        for path, text in texts.items()
        if path not in known
    ]
    return found

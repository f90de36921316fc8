"""The door of the features engine: texts of changed files in, features with verdicts out."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

from branchlab.analysis.features.bodies import body_findings
from branchlab.analysis.features.callers import caller_findings
from branchlab.analysis.features.changes import Elsewhere, FileChange, Nowhere
from branchlab.analysis.features.classes import class_findings
from branchlab.analysis.features.files import file_finding, kind_of
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Flag, Pair
from branchlab.analysis.features.imports import import_findings
from branchlab.analysis.features.joining import join
from branchlab.analysis.features.modules import module_findings
from branchlab.analysis.features.reach import (
    broken_findings,
    gone_name_findings,
    new_name_findings,
)
from branchlab.analysis.features.settings import config_findings
from branchlab.analysis.features.syntax import Failure, Module, parse_module
from branchlab.analysis.features.trees import FunctionNode, last_name
from branchlab.analysis.features.world import build_world
from branchlab.domain import Feature, FeatureVerdict

_FILES_MAX = 2_000
_CALLS_MAX = 8_000


def find_features(
    changes: Sequence[FileChange], elsewhere: Elsewhere | None = None
) -> tuple[Feature, ...]:
    """Return the features of a pair of revisions, the most demanding first.

    Args:
        changes: Every path that differs.
        elsewhere: The files of the base tree; without it nothing is known beyond the changed files.
    """
    limit = sys.getrecursionlimit()
    # A chain of a hundred elif is a tree a hundred deep, and every level takes several calls.
    sys.setrecursionlimit(max(limit, _CALLS_MAX))
    # Trees are many small objects without cycles; looking for some takes a fifth of the time (November 2026).
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        return _find(changes, elsewhere or Nowhere({}))
    finally:
        sys.setrecursionlimit(limit)
        if is_collecting:
            gc.enable()


def _find(changes: Sequence[FileChange], around: Elsewhere) -> tuple[Feature, ...]:
    findings: list[Finding] = []
    pairs: list[Pair] = []
    keys: list[Flag] = []
    for change in changes[:_FILES_MAX]:
        kind = kind_of(change.head_path)
        if kind == "python" and change.what == "text":
            pair, failures = _pair(change)
            findings += failures
            if pair is not None:
                pairs.append(pair)
        elif kind == "config" and change.what == "text":
            found, flags = config_findings(change)
            findings += found
            keys += flags
        else:
            findings.append(file_finding(change, kind))
    around.expect(_words(pairs))
    world = build_world(pairs, keys, around)
    findings += body_findings(world)
    findings += class_findings(world)
    findings += module_findings(world)
    findings += new_name_findings(world, around)
    findings += gone_name_findings(world, around)
    findings += broken_findings(world)
    findings += import_findings(world)
    findings += caller_findings(world)
    touched = {one.path for one in findings}
    findings += [_silent(pair) for pair in pairs if pair.change.head_path not in touched]
    return join(world, findings)


def _words(pairs: Sequence[Pair]) -> set[str]:
    """Return the names about which the files around will be asked."""
    found = {"__subclasses__", "__init_subclass__"}
    for pair in pairs:
        place = PurePosixPath(pair.change.base_path)
        if pair.base is not None:
            found.add(place.parent.name if place.stem == "__init__" else place.stem)
        old, new = _symbols(pair.base), _symbols(pair.head)
        if pair.base is not None:
            found |= {name.rpartition(".")[2].partition("#")[0] for name in old.keys() ^ new.keys()}
        for symbol in new.keys() - old.keys():
            decorators = new[symbol].decorator_list
            found |= {
                last_name(one.func if isinstance(one, ast.Call) else one) for one in decorators
            }
        for module in (pair.base, pair.head):
            for cls in (
                module.classes.values() if module is not None and pair.base is not None else ()
            ):
                found |= {cls.name, *cls.bases}
    return found - {""}


def _symbols(module: Module | None) -> dict[str, FunctionNode | ast.ClassDef]:
    if module is None:
        return {}
    functions = {symbol: one.node for symbol, one in module.functions.items()}
    return {**functions, **{symbol: one.node for symbol, one in module.classes.items()}}


def _pair(change: FileChange) -> tuple[Pair | None, list[Finding]]:
    base = None if change.base is None else parse_module(change.base_path, change.base)
    head = None if change.head is None else parse_module(change.head_path, change.head)
    if isinstance(head, Failure):
        reason = f"{change.head_path} {head.reason}"
        verdict = FeatureVerdict.UNPARSED if head.is_fault else FeatureVerdict.UNDECIDED
        return None, [_unread(change, verdict, reason, head.line)]
    if isinstance(base, Failure):
        reason = f"{change.base_path} could not be read before ({base.reason}), so there is nothing to compare with"
        return None, [_unread(change, FeatureVerdict.UNDECIDED, reason, 0)]
    return Pair(change=change, base=_module(base), head=_module(head)), []


def _module(found: Module | None) -> Module | None:
    return found


def _unread(change: FileChange, verdict: FeatureVerdict, reason: str, line: int) -> Finding:
    return Finding(
        verdict=verdict,
        kind="file",
        symbol="",
        path=change.head_path,
        line=line,
        reason=reason,
        text=reason,
    )


def _silent(pair: Pair) -> Finding:
    """Return the line of a file in which nothing that runs has changed."""
    return Finding(
        verdict=FeatureVerdict.INERT,
        kind="text",
        symbol="",
        path=pair.change.head_path,
        line=0,
        reason=f"{pair.change.head_path} differs in comments, docstrings, annotations or spelling alone",
        text=pair.change.head_path,
    )

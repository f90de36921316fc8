"""Findings joined into features: a flag, its plumbing, its option, its key and what only it reaches are one."""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Flag
from branchlab.analysis.features.trees import last_name, walk
from branchlab.analysis.features.world import World
from branchlab.domain import Feature, FeatureVerdict

_ID_LENGTH = 12
_TEXT_KINDS = {"docs", "packaging", "tooling", "tests", "data", "notebook", "script", "experiment"}


def join(world: World, findings: Sequence[Finding]) -> tuple[Feature, ...]:
    """Return the features that findings make, the most demanding first."""
    tested = _tested(world)
    features = [_feature(world, group, tested) for group in _grouped(findings)]
    return tuple(
        sorted(features, key=lambda one: (one.verdict.rank, one.path, one.line, one.symbol))
    )


def _grouped(findings: Sequence[Finding]) -> list[list[Finding]]:
    parents = list(range(len(findings)))

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    by_flag: dict[str, int] = {}
    for at, one in enumerate(findings):
        for flag in one.flags:
            if flag in by_flag:
                parents[root(at)] = root(by_flag[flag])
            by_flag.setdefault(flag, at)
    _adopt_new_symbols(findings, parents, root)
    _join_alike(findings, parents, root)
    groups: dict[int, list[Finding]] = defaultdict(list)
    for at, one in enumerate(findings):
        groups[root(at)].append(one)
    return list(groups.values())


def _adopt_new_symbols(findings: Sequence[Finding], parents: list[int], root) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Let a new symbol belong to the one feature that mentions it."""
    new = {
        one.symbol.rpartition(".")[2] if one.kind == "method" else one.symbol: at
        for at, one in enumerate(findings)
        if one.verdict is FeatureVerdict.ADDITIVE
        and one.kind in {"function", "class", "method", "constant"}
    }
    for name, at in new.items():
        users = {root(i) for i, one in enumerate(findings) if i != at and name in one.names}
        if len(users) == 1:
            parents[root(at)] = users.pop()


def _join_alike(findings: Sequence[Finding], parents: list[int], root) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Let everything in a new file be one feature, and everything that changes nothing in a file be one."""
    first: dict[tuple[str, str], int] = {}
    new_files = {one.path for one in findings if one.kind == "file"}
    for at, one in enumerate(findings):
        key = None
        if one.verdict is FeatureVerdict.INERT:
            key = ("inert", "" if one.kind in _TEXT_KINDS else one.path)
        elif one.path in new_files and one.verdict is FeatureVerdict.ADDITIVE and root(at) == at:
            key = ("new", one.path)
        if key is not None:
            if key in first and root(first[key]) != root(at):
                parents[root(at)] = root(first[key])
            first.setdefault(key, at)


def _feature(world: World, group: Sequence[Finding], tested: set[str]) -> Feature:
    deciding = min(group, key=lambda one: one.verdict.rank)
    names = frozenset().union(*(one.flags for one in group))
    flags = [flag for flag in world.flags if flag.name in names]
    main = min(flags, key=lambda f: _rank(f, deciding, tested), default=None)
    line = deciding.line
    return Feature(
        id=_digest(group, main.name if main else ""),
        verdict=deciding.verdict,
        kind="flag" if main and deciding.verdict is FeatureVerdict.GUARDED else deciding.kind,
        symbol=deciding.symbol,
        path=deciding.path,
        line=line,
        flag=main.name if main else None,
        default=main.shown_default if main else None,
        reason=_reason(group, deciding),
        warnings=tuple(dict.fromkeys(w for one in group for w in one.warnings)),
    )


def _rank(flag: Flag, deciding: Finding, tested: set[str]) -> tuple[bool, bool, bool]:
    """Put first what decided, then what a test asks for, last what is only handed on."""
    is_rest = isinstance(flag.default, ast.Dict | ast.Tuple)
    return is_rest, flag.name not in deciding.flags, flag.name not in tested


def _tested(world: World) -> set[str]:
    """Return the names that some test of head asks for."""
    return {
        last_name(inner) if not isinstance(inner, ast.Constant) else str(inner.value)
        for pair in world.pairs
        if pair.head is not None
        for node in pair.head.nodes
        if isinstance(node, ast.If | ast.IfExp | ast.While)
        for inner in walk(node.test)
    }


def _reason(group: Sequence[Finding], deciding: Finding) -> str:
    """Return the deciding sentence; where all is inert and no code, how many files there are."""
    if deciding.verdict is FeatureVerdict.INERT and len(group) > 1:
        if all(one.kind in _TEXT_KINDS for one in group):
            kinds = ", ".join(sorted({one.kind for one in group}))
            return f"{len(group)} files that hold no code of the project: {kinds}"
        return f"{deciding.reason}, and so do {len(group) - 1} more in {deciding.path}"
    alike = sum(one.verdict is deciding.verdict for one in group) - 1
    return deciding.reason + (f" (and {alike} more alike)" if alike else "")


def _digest(group: Iterable[Finding], flag: str) -> str:
    content = "\0".join([flag, *sorted(f"{one.symbol}\1{one.text}" for one in group)])
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_LENGTH]

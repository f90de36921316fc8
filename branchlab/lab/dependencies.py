"""Which branches change what the project depends on, since they left main: from git's objects, kept by both object ids.

For branches that are new it takes two processes, however many they are: one for the changed files that name dependencies,
one for their texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from branchlab.analysis.dependencies import dependencies_of, is_dependency_file
from branchlab.config import CONFIG_NAME
from branchlab.domain import Branch, Standing
from branchlab.git.changes import Pair, read_diffs
from branchlab.git.graph import read_graph
from branchlab.lab.project import Project
from branchlab.lab.words import few

_KIND = "dependencies-1"
"""Raise the number when a rule changes."""


def dependencies_changed(
    project: Project, standings: Sequence[Standing]
) -> dict[str, tuple[str, ...]]:
    """Return the files in which branches change dependencies, by branch; those that change none, or have landed, are left out."""
    pairs = {
        one.branch.name: (one.branch.tip, one.main.merge_base)
        for one in standings
        if one.has_content and one.main.merge_base and not one.landed.is_settled
    }
    return _changed(project, pairs)


def dependencies_changed_since_main(
    project: Project, branches: Iterable[Branch], main: Branch
) -> dict[str, tuple[str, ...]]:
    """Return the same of branches whose standing nobody has asked for."""
    others = [branch for branch in branches if branch.tip != main.tip]
    if not others or project.repository.is_shallow():
        return {}
    graph = read_graph(
        project.repository, [branch.tip for branch in others], main=main.tip, reference=None
    )
    bases = {branch.name: (branch.tip, graph.drift(branch.tip).merge_base) for branch in others}
    pairs = {name: (tip, base) for name, (tip, base) in bases.items() if base and base != tip}
    return _changed(project, pairs)


def dependency_notes(project: Project, changed: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Say of branches that change dependencies in which environment they train, and what to do about it."""
    if project.config.env.manager != "none":
        how = "it trains in an environment of its own"
    else:
        how = (
            'it trains in this environment all the same; install what it needs, or set [env] manager = "uv" '
            f"in {CONFIG_NAME}, which gives it one of its own"
        )
    return tuple(
        f"{name} changes dependencies against main ({few(paths)}); {how}"
        for name, paths in changed.items()
    )


def _changed(project: Project, pairs: Mapping[str, Pair]) -> dict[str, tuple[str, ...]]:
    memo = project.memo()
    keys = {name: f"{base} {tip}" for name, (tip, base) in pairs.items()}
    kept = memo.get(_KIND, list(keys.values()))
    known = {key: paths for key, value in kept.items() if (paths := _unpacked(value)) is not None}
    missing = {pairs[name] for name, key in keys.items() if key not in known}
    if missing:
        new = {f"{base} {tip}": paths for (tip, base), paths in _read(project, missing).items()}
        memo.put(_KIND, {key: json.dumps(paths).encode() for key, paths in new.items()})
        known |= new
    return {name: known[key] for name, key in keys.items() if known[key]}


def _unpacked(kept: bytes) -> tuple[str, ...] | None:
    """Return what was kept; None when it is damaged."""
    try:
        return tuple(str(path) for path in json.loads(kept))
    except (ValueError, TypeError):
        return None


def _read(project: Project, pairs: Iterable[Pair]) -> dict[Pair, tuple[str, ...]]:
    """Return, by pair, the paths whose dependencies differ."""
    # Told by git which paths count, with patterns, the diffs of 800 branches take 0.77 s; read whole, 0.06 s.
    found = {
        pair: [path for path, _, _ in entries if is_dependency_file(path)]
        for pair, entries in read_diffs(project.repository, pairs).items()
    }
    wanted = {(commit, path) for pair, paths in found.items() for path in paths for commit in pair}
    texts = project.repository.read_files(sorted(wanted))
    return {
        (tip, base): tuple(
            path
            for path in paths
            if dependencies_of(path, texts[tip, path]) != dependencies_of(path, texts[base, path])
        )
        for (tip, base), paths in found.items()
    }

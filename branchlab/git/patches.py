"""Whether one commit of main makes the very change that a branch makes: a squash merge, also after main has moved.

Equal object ids (``analysis.landing``) miss a squash onto a main that had changed the same files before. The patch
itself is then compared, by git's patch id without context lines, and only for commits of main that touch exactly the
branch's paths: a constant number of processes, and few patches are ever read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from branchlab.git.call import git, object_id, text
from branchlab.git.changes import Changes, first_place_after
from branchlab.git.graph import Graph
from branchlab.git.repository import Repository


def squashed_tips(
    repository: Repository, graph: Graph, changes: Changes, bases: Mapping[str, str]
) -> set[str]:
    """Return the tips whose whole patch since their merge base is the patch of one commit of main after it."""
    chain = graph.chain()
    places: dict[frozenset[str], list[int]] = {}
    for place, paths in changes.main.paths.items():
        places.setdefault(paths, []).append(place)
    candidates: dict[str, list[str]] = {}
    for tip, base in bases.items():
        since = first_place_after(graph, base)
        alike = places.get(frozenset(changes.branches[tip].after), ())
        found = [chain[place] for place in alike if place >= since and changes.branches[tip].after]
        if found:
            candidates[tip] = found
    parents = {
        commit: chain[graph.place(commit) - 1] for found in candidates.values() for commit in found
    }
    pairs = {tip: bases[tip] for tip in candidates} | parents
    ids = _patch_ids(repository, pairs.items())
    return {
        tip
        for tip, found in candidates.items()
        if tip in ids and ids[tip] in {ids.get(commit) for commit in found}
    }


def _patch_ids(repository: Repository, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the patch id of each (commit, base), by commit; an empty patch has none."""
    lines = "".join(f"{object_id(commit)} {object_id(base)}\n" for commit, base in pairs)
    if not lines:
        return {}
    how = ("-r", "-p", "-U0", "--no-renames", "--no-ext-diff", "--no-textconv", "--full-index")
    patches = git(repository.root, "diff-tree", "--stdin", *how, stdin=lines.encode())
    out = text(git(repository.root, "patch-id", "--stable", stdin=patches))
    found = (line.split(" ") for line in out.splitlines())
    return {commit: patch for patch, commit in found}

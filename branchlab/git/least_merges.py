"""What merging each branch into main would give, with the least work that tells: none, single files, or the whole merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from branchlab.git.changes import Diffs, MainChanges, branch_changes
from branchlab.git.file_merges import FileVersions, has_merge_drivers, merge_files
from branchlab.git.forecast import Merge, forecast_merges, overlap
from branchlab.git.graph import Graph
from branchlab.git.repository import Repository


@dataclass(frozen=True, slots=True)
class History:
    """All that was read of it: the graph, the diffs, and what main changed when."""

    graph: Graph
    diffs: Diffs
    on_main: MainChanges


def merges_of(
    repository: Repository, seen: History, tips: Sequence[str], *, main_tree: str
) -> dict[str, Merge | None]:
    """Return what merging each tip into main would give, merging as little as tells it.

    A merge of single files that leaves everything as main has it carries ``main_tree``, main's tree.
    """
    graph = seen.graph
    found: dict[str, Merge | None] = {}
    small: dict[str, list[FileVersions]] = {}
    whole = []
    for tip in tips:
        bases = graph.bases(tip)
        if not bases:
            found[tip] = None
            continue
        if {tip, graph.main_tip} & set(bases):
            found[tip] = Merge()
            continue
        files = _overlap(seen, tip, bases)
        if files is None:
            whole.append(tip)
        elif files:
            small[tip] = files
        else:
            found[tip] = Merge()
    if small and not has_merge_drivers(repository, graph.main_tip):
        for tip, merge in merge_files(repository, small).items():
            is_all = merge.is_as_on_main and _is_on_main(seen, tip, graph.bases(tip)[0])
            found[tip] = Merge(merge.conflicts, main_tree if is_all else "")
    rest = [*whole, *(tip for tip in small if tip not in found)]
    return found | forecast_merges(repository, graph.main_tip, rest)


def _overlap(seen: History, tip: str, bases: Sequence[str]) -> list[FileVersions] | None:
    """Return the files that a merge comes down to; None where only the merge itself can tell."""
    # From several bases, or one beside main's chain, what main changed since is more than what its chain says.
    graph, on_main = seen.graph, seen.on_main
    if len(bases) != 1 or not graph.is_on_chain(bases[0]):
        return None
    own = branch_changes(seen.diffs[tip, bases[0]])
    paths = overlap(own, on_main, since=graph.place(bases[0]) + 1)
    if paths is None:
        return None
    return [
        FileVersions(
            path, own.before[path] or "", on_main.at[path][-1][1] or "", own.after[path] or ""
        )
        for path in paths
    ]


def _is_on_main(seen: History, tip: str, base: str) -> bool:
    """Whether main changed every path that the branch changed: to the same, or what was merged."""
    since = seen.graph.place(base) + 1
    at = seen.on_main.at
    return all(path in at and at[path][-1][0] >= since for path, _, _ in seen.diffs[tip, base])

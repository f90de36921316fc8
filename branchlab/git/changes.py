"""Which paths each branch changed, and what main did to which path when: object ids only, no file is read.

All branches and all of main go through one ``diff-tree --stdin``: its lines ``<tip> <merge base>`` name a pretended
parent, so that a branch's whole diff comes out labelled with its tip. What is read feeds two questions, whether a branch
has landed (``analysis.landing``) and whether its merge is surely clean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.git.call import git, object_id, text
from branchlab.git.graph import Graph
from branchlab.git.repository import Repository

Content = str | None
"""Mode and object id of a path, as ``100644 1f3c…``; None where the path is absent."""

_ABSENT = "000000"


@dataclass(frozen=True, slots=True)
class BranchChanges:
    """A branch's diff from its merge base: what every changed path holds now, and which are new."""

    after: Mapping[str, Content]
    added: tuple[str, ...]

    @property
    def deleted(self) -> list[str]:
        return [path for path, content in self.after.items() if content is None]


@dataclass(frozen=True, slots=True)
class MainChanges:
    """Main's diffs along its first-parent chain, since the oldest merge base that was asked for.

    Attributes:
        at: For every changed path the places of the chain at which it changed, ascending, and what it held then.
        paths: For every place the paths that changed there.
        below: Latest place at which anything below a folder changed; ``gained`` and ``lost`` likewise for files added
            to it and deleted from it.
    """

    at: dict[str, list[tuple[int, Content]]] = field(default_factory=dict)
    paths: dict[int, frozenset[str]] = field(default_factory=dict)
    below: dict[str, int] = field(default_factory=dict)
    gained: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """All that was read."""

    branches: Mapping[str, BranchChanges]
    main: MainChanges


def read_changes(repository: Repository, graph: Graph, pairs: Iterable[tuple[str, str]]) -> Changes:
    """Read the diffs of (tip, merge base) pairs, and main's since the oldest of these bases, in one process.

    Every tip must have commits of its own.
    """
    bases = {object_id(tip): object_id(base) for tip, base in pairs}
    if not bases:
        return Changes({}, MainChanges())
    chain = graph.chain()
    start = min(first_place_after(graph, base) for base in bases.values())
    lines = [f"{tip} {base}\n" for tip, base in bases.items()]
    lines += [f"{chain[k]} {chain[k - 1]}\n" for k in range(start, len(chain))]
    how = ("-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv")
    out = git(repository.root, "diff-tree", "--stdin", *how, stdin="".join(lines).encode())
    places = {chain[k]: k for k in range(start, len(chain))}
    branches = {tip: BranchChanges({}, ()) for tip in bases}
    main: dict[int, list[_Entry]] = {}
    for commit, entries in _diffs(out):
        if commit in places:
            main[places[commit]] = entries
        else:
            branches[commit] = _branch_changes(entries)
    return Changes(branches, _main_changes(main))


def first_place_after(graph: Graph, base: str) -> int:
    """Return the first place of main's chain at which ``base`` lies in the past.

    A base beside the chain comes in with a merge, which may itself bring what is looked for.
    """
    return graph.place(base) + (1 if graph.is_on_chain(base) else 0)


def folders_of(path: str) -> Iterator[str]:
    """Yield the folders above a path, nearest first; a file at the top lies in the folder ````."""
    at = path.rfind("/")
    if at < 0:
        yield ""
    while at >= 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


_Entry = tuple[str, Content, Content]


def _diffs(out: bytes) -> Iterator[tuple[str, list[_Entry]]]:
    """Yield each commit with its (path, before, after): ``<id> NUL (:modes ids letter NUL path NUL)*``."""
    commit: str | None = None
    entries: list[_Entry] = []
    tokens = iter(text(out).split("\0"))
    for token in tokens:
        if token.startswith(":"):
            old_mode, mode, old_id, new_id, _ = token[1:].split(" ")
            before = None if old_mode == _ABSENT else f"{old_mode} {old_id}"
            after = None if mode == _ABSENT else f"{mode} {new_id}"
            entries.append((next(tokens), before, after))
        elif token:
            if commit is not None:
                yield commit, entries
            commit, entries = token, []
    if commit is not None:
        yield commit, entries


def _branch_changes(entries: Sequence[_Entry]) -> BranchChanges:
    added = tuple(path for path, before, _ in entries if before is None)
    return BranchChanges({path: after for path, _, after in entries}, added)


def _main_changes(diffs: Mapping[int, Sequence[_Entry]]) -> MainChanges:
    changes = MainChanges()
    for place, entries in sorted(diffs.items()):
        changes.paths[place] = frozenset(path for path, _, _ in entries)
        for path, before, after in entries:
            changes.at.setdefault(path, []).append((place, after))
            for folder in folders_of(path):
                changes.below[folder] = place
                if before is None:
                    changes.gained[folder] = place
                elif after is None:
                    changes.lost[folder] = place
    return changes

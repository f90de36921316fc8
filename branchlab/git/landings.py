"""What main's history shows of each branch: which of its changes were made there, in whole or in part, and undone again.

Two changes are the same when their entries are (path, object ids before and after: nothing is read), or else their patch
ids; these are only computed where both touch the same paths in the same way, so that few patches are ever read. Every
commit that came into main counts, on its first-parent chain or behind a merge. Of object ids alone,
``MainChanges.held_at_once`` also finds squashes that brought more than the branch. The rule over all this is ``analysis.landing``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.domain import LandingEvidence, Trace
from branchlab.git.call import git, object_id
from branchlab.git.changes import Diffs, Entry, Pair
from branchlab.git.graph import Graph
from branchlab.git.least_merges import History
from branchlab.git.memo import Memo
from branchlab.git.patches import patch_ids
from branchlab.git.repository import Repository

Signature = frozenset[tuple[str, str | None, str]]
_BEGINNINGS_MAX = 64


@dataclass(frozen=True, slots=True)
class Step:
    """One commit that came into main, with the place at which it did."""

    place: int
    pair: Pair
    entries: Sequence[Entry]


Steps = Mapping[Signature, Sequence[Step]]


@dataclass(slots=True)
class _Change:
    """A change that a branch makes, while main is searched for it."""

    pair: Pair
    entries: Sequence[Entry]
    num_commits: int
    since: int
    made: set[int] = field(default_factory=set)
    undone: set[int] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    """Main's commits that made it."""

    def trace(self) -> Trace:
        return Trace(
            num_commits=self.num_commits,
            made=tuple(sorted(self.made)),
            undone=tuple(sorted(self.undone)),
        )


@dataclass(slots=True)
class _Case:
    """One branch: its commits and its squashes as changes."""

    tip: str
    num_own: int
    num_brought: int
    commits: list[_Change]
    squashes: list[_Change]

    def changes(self) -> Iterator[_Change]:
        yield from self.commits
        yield from self.squashes


class Landings:
    """Gathers evidence for many branches together, in a constant number of git processes.

    Args:
        seen: With the diffs of all pairs that ``pairs_of`` names for these tips, and ``main_pairs``.
        steps: What came into main, from ``main_steps``.
        starts: Where branches began whose tip main itself was once at: only then are they known to have had commits.
    """

    def __init__(self, seen: History, steps: Steps, *, starts: Mapping[str, str]) -> None:
        self._graph = seen.graph
        self._diffs = seen.diffs
        self._main = seen.on_main
        self._steps = steps
        self._starts = starts
        self.is_complete = True
        """Whether every patch that was asked for could be read; not so in a partial clone."""

    def evidence(
        self,
        tips: Iterable[str],
        repository: Repository,
        *,
        without_effect: Mapping[str, bool],
        memo: Memo,
    ) -> dict[str, LandingEvidence]:
        """Return what is known of each tip; ``without_effect``: whether merging it would change nothing."""
        cases = [self._case(tip) for tip in tips]
        self._find_made(cases, repository, memo=memo)
        self._find_undone(cases, repository, memo=memo)
        kept_date = _with_author_date_kept(repository, cases)
        return {
            case.tip: LandingEvidence(
                num_own=case.num_own,
                num_brought=case.num_brought,
                commits=tuple(change.trace() for change in case.commits),
                squashes=tuple(change.trace() for change in case.squashes),
                is_same_author_date=case.tip in kept_date,
                is_without_effect=without_effect.get(case.tip, False),
            )
            for case in cases
        }

    def _case(self, tip: str) -> _Case:
        graph = self._graph
        own = graph.own(tip)
        if not own:
            return self._merged_case(tip)
        since = graph.since(tip)
        bases = graph.bases(tip)
        commits = self._single_changes(own, since)
        squashes: list[_Change] = []
        if bases:
            base = max(bases, key=graph.number.__getitem__)
            squashes = self._beginnings(tip, base, commits)
        return _Case(tip, len(own), 0, commits, squashes)

    def _merged_case(self, tip: str) -> _Case:
        """Main has every commit: they came in with a merge, or main was fast-forwarded to them."""
        graph, place = self._graph, self._graph.place(tip)
        start = self._starts.get(tip)
        if start is not None:
            brought = graph.beyond(tip, start)
            pair = (tip, start)
        elif graph.is_on_chain(tip) or place == 0:
            return _Case(tip, 0, 0, [], [])
        else:
            brought = graph.brought(tip)
            pair = (graph.chain[place], graph.chain[place - 1])
        commits = self._single_changes(brought, place + 1)
        for change in commits:
            change.made.add(graph.place(change.pair[0]))
        whole = _Change(pair, self._diffs[pair], len(commits), place + 1, {place})
        return _Case(tip, 0, len(brought), commits, [whole])

    def _single_changes(self, commits: Sequence[str], since: int) -> list[_Change]:
        """Return the commits that change something, oldest first; what a merge brings is no change of its own."""
        found = []
        for commit in reversed(commits):
            parents = self._graph.parents_of(commit)
            if len(parents) == 1 and self._diffs[commit, parents[0]]:
                pair = (commit, parents[0])
                found.append(_Change(pair, self._diffs[pair], 1, since))
        return found

    def _beginnings(self, tip: str, base: str, commits: Sequence[_Change]) -> list[_Change]:
        """Return the first commits of the branch together, for each number of them; the last is all of it."""
        since = self._graph.since(tip)
        found: list[_Change] = []
        held: dict[str, Entry] = {}
        is_line = len(commits) <= _BEGINNINGS_MAX and bool(self._graph.own_in_line(tip))
        for number, commit in enumerate(commits[:-1] if is_line else [], 1):
            for path, before, after in commit.entries:
                held[path] = (path, held[path][1] if path in held else before, after)
            entries = [entry for entry in held.values() if entry[1] != entry[2]]
            found.append(_Change((commit.pair[0], base), entries, number, since))
        found.append(_Change((tip, base), self._diffs[tip, base], len(commits), since))
        for change in found:
            contents = {path: after for path, _, after in change.entries}
            change.made.update(self._main.held_at_once(contents, since))
        return found

    def _find_made(self, cases: Sequence[_Case], repository: Repository, *, memo: Memo) -> None:
        """Note the commits of main that make a branch's changes."""
        doubtful: list[tuple[_Change, Step]] = []
        for case in cases:
            for change in case.changes():
                for step in self._like(change.entries, change.since):
                    if self._graph.shares(case.tip, step.pair[0]):
                        continue
                    if list(step.entries) == list(change.entries):
                        _note_made(change, step)
                    else:
                        doubtful.append((change, step))
        pairs = {pair for change, step in doubtful for pair in (change.pair, step.pair)}
        ids = patch_ids(repository, pairs, is_reversed=False, memo=memo)
        self.is_complete &= pairs <= ids.keys()
        for change, step in doubtful:
            if ids.get(change.pair) and ids[change.pair] == ids.get(step.pair):
                _note_made(change, step)

    def _find_undone(self, cases: Sequence[_Case], repository: Repository, *, memo: Memo) -> None:
        """Note the commits of main that undo a branch's changes, as the branch or as main made them."""
        doubtful: list[tuple[_Change, Pair, Step]] = []
        for change in (change for case in cases for change in case.changes() if change.made):
            first = min(change.made)
            for pair, entries in self._as_made(change).items():
                undoing = _inverse(entries)
                for step in self._like(undoing, first + 1):
                    if sorted(step.entries, key=_path) == sorted(undoing, key=_path):
                        change.undone.add(step.place)
                    else:
                        doubtful.append((change, pair, step))
        backward = {pair for _, pair, _ in doubtful}
        forward = {step.pair for _, _, step in doubtful}
        undoing_ids = patch_ids(repository, backward, is_reversed=True, memo=memo)
        ids = patch_ids(repository, forward, is_reversed=False, memo=memo)
        self.is_complete &= backward <= undoing_ids.keys() and forward <= ids.keys()
        for change, pair, step in doubtful:
            if undoing_ids.get(pair) and undoing_ids[pair] == ids.get(step.pair):
                change.undone.add(step.place)

    def _as_made(self, change: _Change) -> dict[Pair, Sequence[Entry]]:
        """Return the change as the branch has it, and as the commits of main that made it have it."""
        found: dict[Pair, Sequence[Entry]] = {change.pair: change.entries}
        found |= {step.pair: step.entries for step in change.steps}
        chain = self._graph.chain
        for place in change.made:
            pair = (chain[place], chain[place - 1])
            if place and pair in self._diffs and not change.steps:
                found[pair] = self._diffs[pair]
        return found

    def _like(self, entries: Sequence[Entry], since: int) -> list[Step]:
        """Return the commits that came into main from a place on and touch the same paths in the same way."""
        if not entries:
            return []
        steps = self._steps.get(_signature(entries), ())
        return [step for step in steps if step.place >= since]


def pairs_of(graph: Graph, tip: str, starts: Mapping[str, str]) -> list[Pair]:
    """Return the diffs that evidence for a tip needs beyond main's own."""
    own = graph.own(tip)
    start = starts.get(tip)
    if own:
        bases = graph.bases(tip)
        whole = [(tip, max(bases, key=graph.number.__getitem__))] if bases else []
    else:
        own = graph.beyond(tip, start) if start is not None else graph.brought(tip)
        whole = [(tip, start)] if start is not None else []
        if start is None and graph.is_on_chain(tip):
            return []
    return whole + [
        (commit, parents[0]) for commit in own if len(parents := graph.parents_of(commit)) == 1
    ]


def since_of(graph: Graph, tip: str) -> int:
    """Return the first place of main's chain whose diff evidence for a tip needs."""
    return graph.since(tip) if graph.own(tip) else graph.place(tip)


def main_pairs(graph: Graph, start: int) -> list[Pair]:
    """Return all diffs of main from a place of its chain on, those of commits behind its merges too."""
    chain = graph.chain
    pairs = []
    for place, commit in graph.came_in(start):
        parents = graph.parents_of(commit)
        if chain[place] == commit and place:
            pairs.append((commit, chain[place - 1]))
        elif len(parents) == 1:
            pairs.append((commit, parents[0]))
    return pairs


def main_steps(graph: Graph, diffs: Diffs, *, start: int) -> Steps:
    """Return every commit that came into main from a place of its chain on, by the signature of what it changed."""
    found: dict[Signature, list[Step]] = {}
    for pair in main_pairs(graph, start):
        step = Step(graph.place(pair[0]), pair, diffs[pair])
        found.setdefault(_signature(step.entries), []).append(step)
    return found


def _note_made(change: _Change, step: Step) -> None:
    change.made.add(step.place)
    change.steps.append(step)


def _signature(entries: Sequence[Entry]) -> Signature:
    """Return the paths with how each is touched: equal for equal patches. What is added or deleted is known whole."""
    return frozenset(
        (path, after, "A") if before is None else (path, before, "D") if after is None else (path, None, "M")
        for path, before, after in entries
    )  # fmt: skip


def _inverse(entries: Sequence[Entry]) -> list[Entry]:
    return [(path, after, before) for path, before, after in entries]


def _path(entry: Entry) -> str:
    return entry[0]


def _with_author_date_kept(repository: Repository, cases: Sequence[_Case]) -> set[str]:
    """Return the tips of one commit each that main has with the same author date."""
    single = {
        case.tip: [step.pair[0] for step in case.commits[0].steps]
        for case in cases
        if case.num_own and len(case.commits) == 1 and case.commits[0].steps
    }
    if not single:
        return set()
    commits = {tip: case.commits[0].pair[0] for case in cases if (tip := case.tip) in single}
    wanted = {*commits.values(), *(commit for found in single.values() for commit in found)}
    lines = "".join(f"{object_id(commit)}\n" for commit in sorted(wanted)).encode()
    how = ("--no-walk=unsorted", "--format=%H %at", "--stdin")
    out = git(repository.root, "log", *how, stdin=lines).decode("ascii")
    dates = dict(line.split(" ") for line in out.splitlines())
    return {
        tip
        for tip, found in single.items()
        if dates[commits[tip]] in {dates[commit] for commit in found}
    }

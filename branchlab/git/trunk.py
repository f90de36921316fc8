"""One branch's history as a line, so that every other branch costs no more than its own commits.

The first-parent chain is numbered, and every ancestor of the tip is marked with the place of the chain at which it came in:
each commit once. What another tip shares with the branch is then "all that came in up to place k" plus, rarely, a few
commits that a later merge brought. Nothing here knows of git: commits are numbers, smaller than their descendants'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_Parents = Sequence[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Trunk:
    """A branch's history.

    Attributes:
        chain: First parents of the tip, oldest first.
        place: Where on the chain a commit came into history; -1 for one that is not in it.
        counts: ``counts[k + 1]`` is how many commits had come in at place k.
    """

    parents: _Parents
    chain: list[int]
    place: list[int]
    counts: list[int]

    def is_on_chain(self, commit: int) -> bool:
        return self.place[commit] >= 0 and self.chain[self.place[commit]] == commit

    def walk(self, tip: int) -> Walk:
        """Return what ``tip`` has of its own, and what it shares with the trunk."""
        place, parents = self.place, self.parents
        own: set[int] = set()
        frontier: set[int] = set()
        stack = [tip]
        while stack:
            commit = stack.pop()
            if place[commit] >= 0:
                frontier.add(commit)
            elif commit not in own:
                own.add(commit)
                stack.extend(parents[commit])
        upto, extra = self._reach(frontier)
        return Walk(own, frontier, upto, extra)

    def _reach(self, commits: Iterable[int]) -> tuple[int, list[int]]:
        """Return k and those ancestors of ``commits`` that came in after place k; all up to k are ancestors too."""
        place, chain, upto = self.place, self.chain, -1
        seen: set[int] = set()
        stack = list(commits)
        while stack:
            commit = stack.pop()
            at = place[commit]
            if at <= upto or commit in seen:
                continue
            if chain[at] == commit:
                upto = at
            else:
                seen.add(commit)
                stack.extend(self.parents[commit])
        return upto, [commit for commit in seen if place[commit] > upto]

    def bases(self, shared: Iterable[int], upto: int) -> list[int]:
        """Return those of ``shared`` that are ancestors of no other; ``upto`` as ``_reach`` gives it."""
        top = self.chain[upto] if upto >= 0 else -1
        kept = [c for c in shared if c == top or self.place[c] > upto]
        if len(kept) <= 1:
            return kept
        lowest = min(kept)
        seen: set[int] = set()
        stack = [parent for commit in kept for parent in self.parents[commit]]
        while stack:
            commit = stack.pop()
            if commit >= lowest and commit not in seen:
                seen.add(commit)
                stack.extend(self.parents[commit])
        return [commit for commit in kept if commit not in seen]


@dataclass(frozen=True, slots=True)
class Walk:
    """A tip in the terms of a trunk: its own commits, where they meet it, and what of the trunk they reach."""

    own: set[int]
    frontier: set[int]
    upto: int
    extra: list[int]

    def num_shared(self, trunk: Trunk) -> int:
        return trunk.counts[self.upto + 1] + len(self.extra)


def trunk_of(parents: _Parents, tip: int) -> Trunk:
    """Number the first-parent chain of ``tip`` and mark all its ancestors, each once."""
    chain = [tip]
    while parents[chain[-1]]:
        chain.append(parents[chain[-1]][0])
    chain.reverse()
    place = [-1] * len(parents)
    counts, total = [0], 0
    for at, commit in enumerate(chain):
        place[commit] = at
        total += 1
        stack = [commit]
        while stack:
            for parent in parents[stack.pop()]:
                if place[parent] < 0:
                    place[parent] = at
                    total += 1
                    stack.append(parent)
        counts.append(total)
    return Trunk(parents, chain, place, counts)

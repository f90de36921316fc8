"""Ahead, behind and merge base of every branch, against main and the reference, from one walk of the commit graph.

Git would need two processes a branch (a minute for 1,000 branches). Here one ``rev-list`` gives all edges, and the rest is
arithmetic along main (see ``trunk``). The reference is mostly in main's history, and then costs nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from branchlab.domain import Drift
from branchlab.errors import RepositoryError
from branchlab.git.call import git, object_id
from branchlab.git.refs import moment
from branchlab.git.repository import Repository
from branchlab.git.trunk import Trunk, Walk, trunk_of


@dataclass
class Graph:
    """The commits of all branches, with main as the trunk; asked by object ids."""

    ids: list[str]
    number: dict[str, int]
    times: list[str]
    trunk: Trunk
    reference_tip: int | None
    _walks: dict[str, Walk] = field(default_factory=dict)

    @property
    def main_tip(self) -> str:
        return self.ids[self.trunk.chain[-1]]

    def drift(self, tip: str) -> Drift:
        """Return where ``tip`` stands against main. Of several merge bases the topologically latest is named."""
        return self._drift(self.trunk, self._walk(tip))

    def reference_drift(self, tip: str) -> Drift | None:
        """Return where ``tip`` stands against the reference; None without one."""
        if self.reference_tip is None:
            return None
        walk, joint = self._walk(tip), self._joint
        if joint is None or not walk.own.isdisjoint(joint.own):
            return self._drift(self._reference_trunk, self._reference_trunk.walk(self.number[tip]))
        return self._drift_at(joint, walk)

    def __contains__(self, commit: str) -> bool:
        return commit in self.number

    def between(self, tip: str, other: str) -> tuple[int, int]:
        """Return how many commits ``tip`` has that ``other`` has not, and the reverse."""
        one, two = self._walk(tip), self._walk(other)
        return (
            len(one.own - two.own) + self._num_main_beyond(one, two),
            len(two.own - one.own) + self._num_main_beyond(two, one),
        )

    def _num_main_beyond(self, one: Walk, two: Walk) -> int:
        """Return how many of main's commits ``one`` reaches and ``two`` does not."""
        counts, place = self.trunk.counts, self.trunk.place
        extra = len(set(one.extra) - set(two.extra))
        if one.upto <= two.upto:
            return sum(place[c] > two.upto for c in set(one.extra) - set(two.extra))
        also = sum(place[c] <= one.upto for c in two.extra)
        return extra + counts[one.upto + 1] - counts[two.upto + 1] - also

    def committed_at(self, commit: str) -> datetime:
        """Return the time of a commit."""
        return moment(self.times[self.number[commit]])

    def bases(self, tip: str) -> list[str]:
        """Return all merge bases with main: none for an unrelated history, several after a criss-cross."""
        walk = self._walk(tip)
        return [self.ids[c] for c in self.trunk.bases(walk.frontier, walk.upto)]

    def own(self, tip: str) -> list[str]:
        """Return the commits that ``tip`` has and main has not, latest first."""
        return [self.ids[commit] for commit in sorted(self._walk(tip).own, reverse=True)]

    def beyond(self, tip: str, other: str) -> list[str]:
        """Return the commits that ``tip`` has and ``other`` has not, both in main's history, latest first."""
        seen: set[int] = set()
        stack, below = [self.number[tip]], self._ancestors_on_main(other)
        while stack:
            commit = stack.pop()
            if commit not in below and commit not in seen:
                seen.add(commit)
                stack.extend(self.trunk.parents[commit])
        return [self.ids[commit] for commit in sorted(seen, reverse=True)]

    def _ancestors_on_main(self, commit: str) -> set[int]:
        walk, place = self._walk(commit), self.trunk.place
        return {n for n, at in enumerate(place) if 0 <= at <= walk.upto} | set(walk.extra)

    def own_in_line(self, tip: str) -> list[str]:
        """Return the own commits that lead to ``tip`` by first parents, oldest first; none where one is a merge."""
        own, parents = self._walk(tip).own, self.trunk.parents
        line: list[int] = []
        commit = self.number[tip]
        while commit in own:
            if len(parents[commit]) != 1:
                return []
            line.append(commit)
            commit = parents[commit][0]
        return [self.ids[commit] for commit in reversed(line)]

    def since(self, tip: str) -> int:
        """Return the first place of main's chain at which something came in that ``tip`` has not."""
        return self._walk(tip).upto + 1

    def shares(self, tip: str, commit: str) -> bool:
        """Whether a commit that came in after ``since(tip)`` is an ancestor of ``tip`` all the same."""
        return self.number[commit] in self._walk(tip).extra

    def parents_of(self, commit: str) -> list[str]:
        """Return a commit's parents."""
        return [self.ids[parent] for parent in self.trunk.parents[self.number[commit]]]

    def came_in(self, start: int) -> list[tuple[int, str]]:
        """Return (place, commit) of all that came into main from a place of its chain on, in topological order."""
        return [
            (place, self.ids[commit])
            for commit, place in enumerate(self.trunk.place)
            if place >= start
        ]

    def is_on_chain(self, commit: str) -> bool:
        """Whether main itself was once at ``commit``, by first parents."""
        return self.trunk.is_on_chain(self.number[commit])

    def place(self, commit: str) -> int:
        """Return the place of main's chain at which ``commit`` came in; -1 when it has not."""
        return self.trunk.place[self.number[commit]]

    @cached_property
    def chain(self) -> list[str]:
        """Main's first-parent chain, oldest first."""
        return [self.ids[commit] for commit in self.trunk.chain]

    def brought(self, tip: str) -> list[str]:
        """Return the commits that came into main through ``tip``, at the merge that brought it, latest first."""
        place, at = self.trunk.place, self.place(tip)
        seen: set[int] = set()
        stack = [self.number[tip]]
        while stack:
            commit = stack.pop()
            if place[commit] == at and commit not in seen:
                seen.add(commit)
                stack.extend(self.trunk.parents[commit])
        return [self.ids[commit] for commit in sorted(seen, reverse=True)]

    def _walk(self, tip: str) -> Walk:
        found = self._walks.get(tip)
        if found is None:
            found = self._walks[tip] = self.trunk.walk(self.number[tip])
        return found

    def _drift(self, trunk: Trunk, walk: Walk) -> Drift:
        bases = trunk.bases(walk.frontier, walk.upto)
        return Drift(
            merge_base=self.ids[max(bases)] if bases else None,
            ahead=len(walk.own),
            behind=trunk.counts[-1] - walk.num_shared(trunk),
        )

    @cached_property
    def _joint(self) -> Walk | None:
        """The reference as main sees it, when what they share is all of main up to a place; else None."""
        assert self.reference_tip is not None
        walk = self.trunk.walk(self.reference_tip)
        return None if walk.extra else walk

    @cached_property
    def _reference_trunk(self) -> Trunk:
        assert self.reference_tip is not None
        return trunk_of(self.trunk.parents, self.reference_tip)

    def _drift_at(self, joint: Walk, walk: Walk) -> Drift:
        """Return the drift of ``walk`` against a reference that left main's chain at ``joint.upto``."""
        trunk = self.trunk
        upto = min(walk.upto, joint.upto)
        late = [c for c in walk.extra if trunk.place[c] <= joint.upto] if walk.extra else []
        shared = [*late, trunk.chain[upto]] if upto >= 0 else late
        num_common = trunk.counts[upto + 1] + len(late)
        bases = trunk.bases(shared, upto)
        return Drift(
            merge_base=self.ids[max(bases)] if bases else None,
            ahead=len(walk.own) + walk.num_shared(trunk) - num_common,
            behind=len(joint.own) + trunk.counts[joint.upto + 1] - num_common,
        )


def read_graph(
    repository: Repository,
    tips: Iterable[str],
    *,
    main: str,
    reference: str | None = None,
    also: Iterable[str] = (),
) -> Graph:
    """Read the history of all tips in one process; all are commit ids.

    A shallow repository gives a graph whose counts are wrong: ask ``is_shallow`` first.

    Args:
        repository: Where to look.
        tips: Commits to walk from.
        main: The tip of main.
        reference: The tip of the reference, or None without one.
        also: Commits that may be gone; ``in`` tells.

    Raises:
        RepositoryError: A tip's history has holes.
    """
    wanted = {object_id(tip) for tip in (*tips, main, *([reference] if reference else []))}
    lines = "".join(f"{tip}\n" for tip in sorted({*wanted, *map(object_id, also)})).encode()
    how = ("--parents", "--timestamp", "--topo-order", "--ignore-missing", "--stdin")
    out = git(repository.root, "rev-list", *how, stdin=lines)
    rows = [line.split(" ") for line in out.decode("ascii").splitlines()]
    rows.reverse()  # parents before children: a commit's number exceeds those of its ancestors
    ids = [row[1] for row in rows]
    number = {commit: n for n, commit in enumerate(ids)}
    missing = next((tip for tip in wanted if tip not in number), None)
    if missing is not None:
        raise RepositoryError(
            f"commit {missing} is missing from the repository", hint="git fsck --connectivity-only"
        )
    parents = [tuple([number[parent] for parent in row[2:]]) for row in rows]
    reference_tip = number[reference] if reference else None
    times = [row[0] for row in rows]
    return Graph(ids, number, times, trunk_of(parents, number[main]), reference_tip)

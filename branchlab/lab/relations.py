"""``map``: all experiments with how they did, and what they tell about each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from branchlab.domain import Fate, Landed, Relation, Verdict
from branchlab.errors import RepositoryError, nearest
from branchlab.lab.known_experiments import KnownExperiment, KnownExperiments, known_experiments
from branchlab.lab.project import Project
from branchlab.lab.status import BranchStatus, Status, status


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An experiment of the map.

    Attributes:
        parent: The experiment that it is drawn below; "" for one that grows from main.
        reason: Why it was dropped.
        num_failed: Runs without a result, where there is no verdict.
    """

    name: str
    branch: str
    title: str
    idea: str
    fate: Fate
    parent: str = ""
    verdict: Verdict | None = None
    mean: float | None = None
    reason: str = ""
    num_failed: int = 0
    num_notes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What one experiment tells of another; ``text`` is the note that says so, "" where the branch itself does."""

    source: str
    target: str
    relation: Relation
    text: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentMap:
    """The graph. Nodes come so that each stands behind the one that it is drawn below."""

    main: str
    metric: str
    main_mean: float | None
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    complaints: tuple[str, ...] = ()

    def below(self, name: str) -> list[Node]:
        """Return the experiments that are drawn below one, or below main ("")."""
        return [node for node in self.nodes if node.parent == name]


def experiment_map(
    project: Project, names: Sequence[str] = (), *, seen: Status | None = None
) -> ExperimentMap:
    """Return all experiments and their relations, or some and those that they are related to.

    ``seen`` is the overview of all branches, deleted ones too, where that is known already.

    Raises:
        RepositoryError: There is no main, or an experiment is unknown.
    """
    index = project.index()
    records = index.runs()
    index.close()
    known = known_experiments(project, records)
    seen = seen or status(project, with_deleted=True)
    by_branch = {one.standing.branch.own_name: one for one in seen.branches}
    edges = [*_from_bases(known, by_branch), *_from_notes(known)]
    wanted = _wanted(known, names, edges)
    edges = [e for e in edges if {e.source, e.target} <= wanted]
    parents = _parents(edges)
    nodes = [
        _node(one, by_branch.get(one.branch), parent=parents.get(one.name, ""))
        for one in known.by_name.values()
        if one.name in wanted
    ]
    values = list(seen.main_results.seeds(seen.metric).values())
    return ExperimentMap(
        main=known.main.name,
        metric=seen.metric,
        main_mean=sum(values) / len(values) if values else None,
        nodes=tuple(_in_order(nodes, is_max=seen.goal == "max")),
        edges=tuple(edges),
        complaints=known.complaints,
    )


def _wanted(known: KnownExperiments, names: Sequence[str], edges: Sequence[Edge]) -> set[str]:
    if not names:
        return set(known.by_name)
    wanted = set()
    for name in names:
        found = known.called(name)
        if found is None:
            raise RepositoryError(
                f"there is no experiment '{name}'",
                hint=f"{nearest(name, known.names)}see them: branchlab map",
            )
        wanted.add(found.name)
    related = {e.target for e in edges if e.source in wanted}
    return wanted | related | {e.source for e in edges if e.target in wanted}


def _from_bases(known: KnownExperiments, by_branch: Mapping[str, BranchStatus]) -> list[Edge]:
    """Return what branches build on: the experiment that ``new-exp --from`` named, or the branch that one is stacked on."""
    found = []
    for one in known.by_name.values():
        stand = by_branch.get(one.branch)
        stacked = stand.standing.base_branch if stand is not None and one.is_live else ""
        target = known.called(one.experiment.base) or known.called(stacked)
        if target is not None and target.name != one.name:
            edge = Edge(source=one.name, target=target.name, relation=Relation.BUILDS_ON)
            found.append(edge)
    return found


def _from_notes(known: KnownExperiments) -> list[Edge]:
    return [
        Edge(source=one.name, target=_name(known, other), relation=kind, text=note.text, at=note.at)
        for one in known.by_name.values()
        for note in one.notes
        for kind, other in note.relations
        if _name(known, other) in known.by_name
    ]


def _name(known: KnownExperiments, other: str) -> str:
    found = known.called(other)
    return found.name if found is not None else other


def _parents(edges: Sequence[Edge]) -> dict[str, str]:
    """Return below which other experiment each is drawn: the first that it builds on, unless that led in a circle."""
    found: dict[str, str] = {}
    for edge in edges:
        if edge.relation is not Relation.BUILDS_ON or edge.source in found:
            continue
        above: str | None = edge.target
        while above is not None and above != edge.source:
            above = found.get(above)
        if above is None:
            found[edge.source] = edge.target
    return found


def _node(one: KnownExperiment, stand: BranchStatus | None, *, parent: str) -> Node:
    fate = one.fate
    if stand is not None and fate is Fate.OPEN and _is_in_main(stand):
        fate = Fate.LANDED
    node = Node(
        name=one.name,
        branch=one.branch,
        title=one.experiment.title,
        idea=one.experiment.idea,
        fate=fate,
        parent=parent,
        reason=one.experiment.given_up,
        num_notes=len(one.notes),
    )
    if stand is None:
        return node
    return replace(node, verdict=stand.verdict, mean=stand.mean, num_failed=stand.num_failed)


def _is_in_main(stand: BranchStatus) -> bool:
    landed = stand.standing.landed
    return stand.is_landed_as_flag or (landed.is_settled and landed is not Landed.REVERTED)


def _in_order(nodes: Sequence[Node], *, is_max: bool) -> list[Node]:
    """Return nodes parents first, of one parent the best first and those without a result last."""
    sign = 1 if is_max else -1

    def rank(node: Node) -> tuple[bool, float, str]:
        difference = node.verdict.difference if node.verdict is not None else None
        return difference is None, -sign * (difference or 0.0), node.name

    names = {node.name for node in nodes}
    found: list[Node] = []
    left = sorted((n for n in nodes if n.parent not in names), key=rank, reverse=True)
    while left:
        node = left.pop()
        found.append(node)
        left += sorted((n for n in nodes if n.parent == node.name), key=rank, reverse=True)
    return found

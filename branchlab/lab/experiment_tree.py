"""The map of experiments as the lines of a tree, which the command line and the screens draw alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from branchlab.domain import Relation
from branchlab.lab.relations import Edge, ExperimentMap, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLine:
    """An experiment in the tree.

    Attributes:
        stem: What is drawn before its name.
        inner: What is drawn before the lines that tell what it says of others.
        notes: What it tells of others, a note at a time; where it stands says what it builds on.
    """

    stem: str
    inner: str
    node: Node
    notes: tuple[tuple[Edge, ...], ...]


def tree_lines(found: ExperimentMap) -> list[TreeLine]:
    """Return the experiments of a map, each behind the one that it grew from."""
    names = {node.name for node in found.nodes}
    below: dict[str, list[Node]] = {}
    for node in found.nodes:
        below.setdefault(node.parent if node.parent in names else "", []).append(node)
    edges: dict[str, list[Edge]] = {}
    for edge in found.edges:
        edges.setdefault(edge.source, []).append(edge)
    return list(_lines(below, edges))


def _lines(below: dict[str, list[Node]], edges: dict[str, list[Edge]]) -> Iterator[TreeLine]:
    """Yield lines; what is still to be drawn is kept by hand, for a chain may be longer than calls may be deep."""
    left = [("", node, i == 0) for i, node in enumerate(reversed(below.get("", [])))]
    while left:
        indent, node, is_last = left.pop()
        gap = "   " if is_last else "│  "
        others = below.get(node.name, [])
        yield TreeLine(
            stem=f"{indent}{'└─ ' if is_last else '├─ '}",
            inner=f"{indent}{gap}{'│  ' if others else '   '}",
            node=node,
            notes=_by_note(edges.get(node.name, []), node),
        )
        left += [(f"{indent}{gap}", other, i == 0) for i, other in enumerate(reversed(others))]


def _by_note(edges: Sequence[Edge], node: Node) -> tuple[tuple[Edge, ...], ...]:
    notes: dict[str, list[Edge]] = {}
    for edge in edges:
        is_tree = edge.relation is Relation.BUILDS_ON and edge.target == node.parent
        if edge.text or not is_tree:
            notes.setdefault(edge.text, []).append(edge)
    return tuple(tuple(ones) for ones in notes.values())

"""The map of experiments as rows, and what one tells of the others as lines. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Fate, Relation
from branchlab.lab.columns import Column
from branchlab.lab.experiment_tree import TreeLine, tree_lines
from branchlab.lab.relations import Edge, ExperimentMap, Node
from branchlab.lab.words import RELATION_WORDS, figure
from branchlab.tui.looks import Line, Look, Piece, outcome_piece
from branchlab.tui.rows import Row, metric_title
from branchlab.tui.wrapping import wrapped

MAIN = ""
"""The key of main's row: no experiment is called so."""
_FATES = {
    Fate.OPEN: ("● open", Look.LIVE),
    Fate.LANDED: ("◆ landed", Look.GOOD),
    Fate.DROPPED: ("✗ dropped", Look.DIM),
    Fate.GONE: ("- gone", Look.DIM),
}
_OVER = {Fate.DROPPED, Fate.GONE}
_PASSIVE = {
    Relation.BUILDS_ON: "taken further by",
    Relation.RELATES: "related by",
    Relation.CONTRADICTS: "contradicted by",
}
_NOTES_MAX = 4


class MapView(StrEnum):
    """How the map is drawn; ``t`` goes through them."""

    TREE = "tree"
    LIST = "list"


def map_columns(metric: str) -> tuple[Column, ...]:
    """Return the columns of the map, which ``map_rows`` fills."""
    return (
        Column(title="EXPERIMENT", width_min=20),
        Column(title="STATE", rank=1),
        Column(title="VERDICT"),
        Column(title="Δ MAIN", is_right=True),
        Column(title="INTERVAL", rank=5),
        Column(title=metric_title(metric), rank=3, is_right=True),
        Column(title="TELLS", rank=2),
        Column(title="", width_min=10),
    )


def map_rows(found: ExperimentMap, view: MapView, wanted: str = "") -> list[Row]:
    """Return main, then each experiment: behind the one that it grew from, or by what has become of it.

    Of a filter every word has to occur in what is said of an experiment; those that it grew from are not kept for it.
    """
    counts = _counts(found)
    main_cells: tuple[Line, ...] = (
        ((found.main, Look.STRONG),), (), (), (), (), ((figure(found.main_mean), Look.PLAIN),), (),
        (("what all of them are held against", Look.DIM),),
    )  # fmt: skip
    rows = [Row(key=MAIN, cells=main_cells)]
    lines = tree_lines(found)
    if view is MapView.LIST:
        fates = list(Fate)
        lines = sorted(lines, key=lambda line: fates.index(line.node.fate))
    words = wanted.casefold().split()
    for line in lines:
        said = _said(line.node).casefold()
        if all(word in said for word in words):
            stem = line.stem if view is MapView.TREE and not words else ""
            rows.append(_row(line, stem, counts.get(line.node.name, 0)))
    return rows


def _row(line: TreeLine, stem: str, num_edges: int) -> Row:
    node = line.node
    is_over = node.fate in _OVER
    verdict = node.verdict
    judged: Piece = ("", Look.DIM)
    if verdict is not None:
        judged = outcome_piece(verdict.outcome, is_interim=verdict.is_interim)
    elif node.num_failed:
        judged = ("✗ failed", Look.BAD)
    look = Look.DIM if is_over else judged[1]
    about = node.reason if node.fate is Fate.DROPPED and node.reason else node.title
    tells = f"↔ {num_edges}" if num_edges else ""
    cells: tuple[Line, ...] = (
        ((stem, Look.DIM), (node.name, Look.DIM if is_over else Look.PLAIN)),
        (_FATES[node.fate],),
        ((judged[0], look),),
        ((difference_text(verdict) if verdict else "", look),),
        ((interval_text(verdict) if verdict else "", Look.DIM),),
        ((figure(node.mean) if node.mean is not None else "", Look.DIM),),
        ((tells, Look.LIVE),),
        ((about, Look.DIM),),
    )
    return Row(key=node.name, cells=cells)


def _said(node: Node) -> str:
    verdict = outcome_piece(node.verdict.outcome)[0] if node.verdict else ""
    failed = "failed" if node.num_failed and not verdict else ""
    return "\n".join((node.name, node.branch, node.title, node.reason, node.idea, str(node.fate), verdict, failed))  # fmt: skip


def _counts(found: ExperimentMap) -> dict[str, int]:
    """Return how many others each experiment is related to beside the one that it grew from."""
    parents = {node.name: node.parent for node in found.nodes}
    counts: dict[str, set[str]] = {}
    for edge in found.edges:
        is_tree = edge.relation is Relation.BUILDS_ON and parents.get(edge.source) == edge.target
        if edge.text or not is_tree:
            counts.setdefault(edge.source, set()).add(edge.target)
            counts.setdefault(edge.target, set()).add(edge.source)
    return {name: len(others) for name, others in counts.items()}


def relation_lines(found: ExperimentMap, name: str, width: int) -> list[Line]:
    """Return what is said of an experiment, then what it and the others tell about each other."""
    node = next((one for one in found.nodes if one.name == name), None)
    if node is None:
        return _main_lines(found)
    state, look = _FATES[node.fate]
    lines: list[Line] = [
        (
            (node.name, Look.STRONG),
            (f"  {node.branch}  ", Look.DIM),
            (state, look),
            (f"  {node.title}" if node.title != node.name else "", Look.PLAIN),
        )
    ]
    if node.reason:
        lines += wrapped((("dropped: ", Look.BAD), (node.reason, Look.PLAIN)), width, num_max=4)
    if node.verdict is not None:
        lines += wrapped(((node.verdict.sentence, Look.PLAIN),), width, num_max=4)
    elif node.num_failed:
        lines.append(((f"no result: {node.num_failed} failed", Look.BAD),))
    if node.idea:
        lines += wrapped((("idea: ", Look.DIM), (node.idea, Look.PLAIN)), width, num_max=_NOTES_MAX)
    told = [edge for edge in found.edges if edge.source == name]
    heard = [edge for edge in found.edges if edge.target == name]
    for edges, words in ((told, RELATION_WORDS), (heard, _PASSIVE)):
        for edge in edges:
            other = edge.target if edges is told else edge.source
            lines += _edge_lines(edge, words, other, width)
    if not told and not heard:
        said = f"it tells nothing of others yet; E writes it down: branchlab note {shlex.quote(node.name)} TEXT --relates OTHER"
        lines += wrapped(((said, Look.DIM),), width, num_max=2)
    return lines


def _edge_lines(edge: Edge, words: Mapping[Relation, str], other: str, width: int) -> list[Line]:
    is_against = edge.relation is Relation.CONTRADICTS
    pieces: list[Piece] = [
        (f"{words[edge.relation]} ", Look.BAD if is_against else Look.LIVE),
        (other, Look.STRONG),
    ]
    if edge.text:
        at = f"  {edge.at.astimezone():%d %b}" if edge.at is not None else ""
        pieces += [(f": {' '.join(edge.text.split())}", Look.PLAIN), (at, Look.DIM)]
    return wrapped(tuple(pieces), width, num_max=_NOTES_MAX)


def _main_lines(found: ExperimentMap) -> list[Line]:
    counts = [(fate, sum(node.fate is fate for node in found.nodes)) for fate in Fate]
    said = ", ".join(f"{number} {fate}" for fate, number in counts if number)
    many = len(found.nodes)
    return [
        (
            (found.main, Look.STRONG),
            (f"  {many} experiment{'' if many == 1 else 's'}", Look.PLAIN),
            (f": {said}" if said else "", Look.DIM),
        )
    ]


def fates_text(nodes: Sequence[Node]) -> str:
    """Return how many experiments there are."""
    return f"{len(nodes)} experiment{'' if len(nodes) == 1 else 's'}"

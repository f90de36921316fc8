"""The map of experiments as a picture: a tree from left to right, relations as curves across it."""

from __future__ import annotations

from html import escape

from branchlab.analysis.wording import difference_text
from branchlab.domain import Fate, Outcome, Relation
from branchlab.lab.relations import Edge, ExperimentMap, Node
from branchlab.lab.words import OUTCOME_MARKS, figure
from branchlab.terminal_text import safe_text

_COLUMN, _ROW, _WIDTH, _HEIGHT, _MARGIN = 260, 58, 210, 42, 24
_BEND = 30
"""How far a curve leaves its boxes."""
_NAME_LENGTH_MAX = 26
_STYLE = """
svg.map text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1c2430; }
svg.map text.small { font-size: 11px; fill: #57606a; }
svg.map rect { fill: #ffffff; stroke: #8c959f; }
svg.map .better { stroke: #1a7f37; stroke-width: 2; } svg.map .worse { stroke: #cf222e; stroke-width: 2; }
svg.map .dropped, svg.map .gone { stroke-dasharray: 4 3; fill: #f6f8fa; } svg.map .landed { fill: #dafbe1; }
svg.map path { fill: none; stroke: #8c959f; } svg.map .relates { stroke: #0969da; stroke-dasharray: 5 3; }
svg.map .contradicts { stroke: #cf222e; stroke-dasharray: 2 3; } svg.map .builds-on { stroke: #57606a; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
svg.map { background: #0d1117; } svg.map text { fill: #e6edf3; } svg.map text.small { fill: #9198a1; } svg.map rect { fill: #161b22; }
svg.map .dropped, svg.map .gone { fill: #0d1117; } svg.map .landed { fill: #12261e; }
}
"""


def map_svg(found: ExperimentMap) -> str:
    """Return an SVG document of the map; it needs no font, script or file of anybody's."""
    return map_element(found).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def map_element(found: ExperimentMap) -> str:
    """Return the map as an element of a page; its style reaches nothing else there."""
    places = _places(found)
    width = _MARGIN * 2 + _BEND + _WIDTH + _COLUMN * max((x for x, _ in places.values()), default=0)
    height = _MARGIN * 2 + _HEIGHT + _ROW * max((y for _, y in places.values()), default=0)
    lines = [_branch_line(places, node.parent, node.name) for node in found.nodes]
    crossing = [_curve(places, edge) for edge in found.edges if not _is_drawn_as_tree(found, edge)]
    boxes = [_box(places[""], [found.main, figure(found.main_mean)], "main")]
    boxes += [
        _box(places[node.name], _words(node), _classes(node), node.idea) for node in found.nodes
    ]
    body = "\n".join((*lines, *crossing, *boxes))
    return (
        f'<svg class="map" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="map of experiments">\n<style>{_STYLE}</style>\n{body}\n</svg>\n'
    )


def _places(found: ExperimentMap) -> dict[str, tuple[int, int]]:
    """Return (column, row) by name, main's as ""; a node stands in the row of the first one below it."""
    names = {node.name for node in found.nodes}
    places: dict[str, tuple[int, int]] = {"": (0, 0)}
    row = 0

    def put(node: Node, column: int) -> None:
        nonlocal row
        places[node.name] = (column, row)
        below = found.below(node.name)
        for number, one in enumerate(below):
            row += number > 0
            put(one, column + 1)

    tops = [node for node in found.nodes if node.parent not in names]
    for number, node in enumerate(tops):
        row += number > 0
        put(node, 1)
    return places


def _is_drawn_as_tree(found: ExperimentMap, edge: Edge) -> bool:
    if edge.relation is not Relation.BUILDS_ON:
        return False
    return any(node.name == edge.source and node.parent == edge.target for node in found.nodes)


def _point(place: tuple[int, int]) -> tuple[int, int]:
    return _MARGIN + _COLUMN * place[0], _MARGIN + _ROW * place[1]


def _branch_line(places: dict[str, tuple[int, int]], parent: str, name: str) -> str:
    x1, y1 = _point(places.get(parent, places[""]))
    x2, y2 = _point(places[name])
    start, end, bend = x1 + _WIDTH, x2, x2 - (_COLUMN - _WIDTH) // 2
    middle1, middle2 = y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    kind = "builds-on" if parent in places and parent else "grew"
    return f'<path class="{kind}" d="M{start},{middle1} H{bend} V{middle2} H{end}"/>'


def _curve(places: dict[str, tuple[int, int]], edge: Edge) -> str:
    x1, y1 = _point(places[edge.source])
    x2, y2 = _point(places[edge.target])
    right = max(x1, x2) + _WIDTH + _BEND
    middle1, middle2 = y1 + _HEIGHT * 2 // 3, y2 + _HEIGHT // 3
    said = f"{edge.source} {edge.relation} {edge.target}" + (f": {edge.text}" if edge.text else "")
    return (
        f'<path class="{edge.relation}" d="M{x1 + _WIDTH},{middle1} C{right},{middle1} {right},{middle2} '
        f'{x2 + _WIDTH},{middle2}"><title>{_text(said)}</title></path>'
    )


def _box(place: tuple[int, int], words: list[str], classes: str, title: str = "") -> str:
    x, y = _point(place)
    first, *rest = words
    hover = f"<title>{_text(title)}</title>" if title else ""
    return (
        f'<g>{hover}<rect class="{classes}" x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>'
        f'<text x="{x + 10}" y="{y + 17}">{_text(first, _NAME_LENGTH_MAX)}</text>'
        f'<text class="small" x="{x + 10}" y="{y + 33}">{_text("  ".join(filter(None, rest)), 34)}</text></g>'
    )


def _words(node: Node) -> list[str]:
    verdict = node.verdict
    said = "no result" if not node.num_failed else "failed"
    if verdict is not None:
        said = f"{OUTCOME_MARKS[verdict.outcome]} {verdict.outcome} {difference_text(verdict)}"
    return [node.name, said, "" if node.fate is Fate.OPEN else str(node.fate)]


def _classes(node: Node) -> str:
    classes = [str(node.fate)]
    if node.verdict is not None and node.verdict.outcome in {Outcome.BETTER, Outcome.WORSE}:
        classes.append(str(node.verdict.outcome))
    return " ".join(classes)


def _text(text: str, length_max: int = 300) -> str:
    line = safe_text(" ".join(text.split()))
    return escape(line if len(line) <= length_max else f"{line[: length_max - 1]}…")

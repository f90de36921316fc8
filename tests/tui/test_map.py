"""The map as rows and lines, and one session that presses every key."""

from __future__ import annotations

from datetime import UTC, datetime

from branchlab.domain import Fate, Relation
from branchlab.lab.experiment_tree import tree_lines
from branchlab.lab.relations import Edge, ExperimentMap, Node
from branchlab.tui.looks import Look, plain
from branchlab.tui.map_lines import MAIN, MapView, map_rows, relation_lines


def node(name: str, *, parent: str = "", fate: Fate = Fate.OPEN, **more) -> Node:
    known = {"branch": f"exp/{name}", "title": f"About {name}", "idea": "", **more}
    return Node(name=name, fate=fate, parent=parent, **known)


def a_map(*nodes: Node, edges: tuple[Edge, ...] = ()) -> ExperimentMap:
    return ExperimentMap(
        main="main", metric="val/accuracy", main_mean=0.9, nodes=nodes, edges=edges
    )


A_MAP = a_map(
    node("wide"),
    node("deep", parent="wide"),
    node("deeper", parent="deep", fate=Fate.DROPPED, reason="no gain, [red]twice[/red] as slow"),
    node("focal", fate=Fate.LANDED),
    edges=(
        Edge(source="deep", target="wide", relation=Relation.BUILDS_ON),
        Edge(
            source="focal",
            target="wide",
            relation=Relation.CONTRADICTS,
            text="loses where it wins",
            at=datetime(2026, 11, 20, tzinfo=UTC),
        ),
    ),
)


def names(view: MapView, wanted: str = "") -> list[str]:
    return [plain(row.cells[0]) for row in map_rows(A_MAP, view, wanted)]


def test_the_tree_stands_below_main_and_the_list_goes_by_state():
    assert names(MapView.TREE) == ["main", "├─ wide", "│  └─ deep", "│     └─ deeper", "└─ focal"]
    assert names(MapView.LIST) == ["main", "wide", "deep", "focal", "deeper"]


def test_what_was_dropped_is_dim_and_says_why_as_it_was_written():
    row = next(row for row in map_rows(A_MAP, MapView.TREE) if row.key == "deeper")
    assert row.cells[0][1][1] is Look.DIM
    assert plain(row.cells[-1]) == "no gain, [red]twice[/red] as slow"


def test_a_filter_keeps_main_and_what_has_every_word():
    assert names(MapView.TREE, "deep dropped") == ["main", "deeper"]
    assert names(MapView.TREE, "nothing") == ["main"]


def test_both_sides_of_a_relation_tell_of_it():
    told = "\n".join(plain(line) for line in relation_lines(A_MAP, "focal", 80))
    heard = "\n".join(plain(line) for line in relation_lines(A_MAP, "wide", 80))
    assert "contradicts wide: loses where it wins" in told
    assert "contradicted by focal: loses where it wins" in heard
    assert "taken further by deep" in heard
    assert "4 experiments: 2 open, 1 landed, 1 dropped" in plain(relation_lines(A_MAP, MAIN, 80)[0])


def test_a_chain_longer_than_calls_are_deep_is_drawn():
    chain = [node("n0"), *(node(f"n{i}", parent=f"n{i - 1}") for i in range(1, 3000))]
    lines = tree_lines(a_map(*chain))
    assert [line.node.name for line in lines] == [one.name for one in chain]


def test_an_experiment_whose_parent_is_not_shown_stands_below_main():
    assert [line.stem for line in tree_lines(a_map(node("deep", parent="gone")))] == ["└─ "]


def test_every_key_of_the_map(full_lab, tui):
    lab = full_lab
    lab.git("checkout", "--quiet", "exp/gelu")
    note = '\n[[notes]]\nat = 2023-11-15T10:00:00Z\ntext = "Both smooth"\nrelates = ["wider"]\n'
    lab.commit({"experiments/gelu.toml": f'title = "GELU in place of ReLU"\n{note}'}, "Note")
    lab.git("checkout", "--quiet", "exp/focal")
    lab.commit({"experiments/focal.toml": "title = [broken\n"}, "Break the file")
    lab.git("checkout", "--quiet", "main")

    async def look(eyes):
        await eyes.press("4")
        assert "▲ better" in await eyes.see("├─ gelu")
        await eyes.see("experiments/focal.toml")  # a damaged file is said
        await eyes.see("relates to wider: Both smooth")
        await eyes.press("j")
        await eyes.see("related by gelu: Both smooth")
        await eyes.press("t")
        await eyes.see("list · 4 experiments")
        assert "├─" not in eyes.text()
        await eyes.press("slash", *"gelu", "enter")
        await eyes.see("[/gelu]")
        await eyes.see("1 of 4 experiments")
        await eyes.press("E", *"seen", "enter", "enter", "enter", "enter")
        await eyes.see("branchlab note exp/gelu seen")
        await eyes.press("escape", "z")
        await eyes.see("relates to wider")
        assert "VERDICT" not in eyes.text()
        await eyes.press("escape", "enter")
        await eyes.see("last commit: Note")

    tui.watch(lab.app(), look, size=(100, 24))

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from branchlab.domain import RunState
from branchlab.lab.curves import KnownCurves
from branchlab.lab.project import open_project
from branchlab.lab.status import status
from branchlab.store.index import Index
from branchlab.tui.tabs import Place
from branchlab.tui.views import snapshot_of

NOW = datetime(2026, 1, 10, tzinfo=UTC)
_PICTURES = Path(__file__).parent / "pictures"


def row_of(eyes, name):
    return next(row for row in eyes.rows() if row[1:].startswith(name))


def order_of(eyes):
    rows = (row[1:] for row in eyes.rows()[4:])
    return [row.split()[0] for row in rows if row.startswith("exp/") and "  " in row][:4]


def test_branches_are_turned_marked_grouped_and_folded(full_lab, tui):
    async def look(eyes):
        app = eyes.app
        await eyes.see("▁▃▆█")
        first = order_of(eyes)
        await eyes.press("S")
        await eyes.see("Δ MAIN▴")
        assert set(order_of(eyes)) == set(first)
        assert order_of(eyes)[:2] == first[1::-1]
        await eyes.press("S", "j", "space")
        await eyes.see("* 1 marked")
        name = app.marked[0]
        assert row_of(eyes, name).startswith("*")
        await eyes.press("a")
        await eyes.see("1 of 4 branches")
        assert order_of(eyes)[0] == name
        await eyes.press("Y")
        await eyes.see(f"copied branchlab status {name}")
        await eyes.press("R")
        await eyes.see(f"branchlab run {name} --detach")
        await eyes.press("escape", "A")
        await eyes.see("4 branches")
        assert app.marked == []
        await eyes.press("a")
        await eyes.see("no branch is marked; Space marks")

        await eyes.press("t")
        await eyes.see("▾ merge it back  1")
        for words in ("▾ mend it  2", "▾ drop it, and say why  1"):
            assert words in eyes.text()
        await eyes.press("h")
        await eyes.see("▸ ")
        await eyes.see("capitals are about all of them")
        folded = next(row for row in eyes.rows() if row.startswith("▌"))
        assert folded.startswith("▌▸ ")
        await eyes.press("enter")
        await eyes.see("▌▾ ")
        await eyes.press("h", "l", "space")
        await eyes.see("* 2 marked")
        await eyes.press("A", "t", "h")
        await eyes.see("t groups by what to do next")

    tui.watch(full_lab.app(), look)


def test_columns_the_merge_and_the_zoom_answer_their_keys(full_lab, tui):
    async def look(eyes):
        await eyes.see("▁▃▆█")
        await eyes.press("c")
        await eyes.see("Columns   type to narrow")
        await eyes.press(*"merge ba", "space")
        await eyes.see("[mergeba]")
        await eyes.press("escape", *"VERDICT", "space")
        await eyes.see("○ no")
        await eyes.press("enter")
        await eyes.see("Δ MAIN▾")
        assert "VERDICT" not in eyes.text()
        await eyes.press("c", *"verdict", "space", "enter")
        await eyes.see("VERDICT")

        await eyes.press("slash", *"gelu", "enter", "m")
        await eyes.see("exp/gelu  into main   m: back")
        await eyes.press("escape", "escape")
        await eyes.see("GELU in place of ReLU")
        await eyes.press("slash", *"merge:conflict", "enter", "m")
        await eyes.see("✗ model.py")
        await eyes.press("m", "slash", *" verdict:od")
        await eyes.see("▲ verdict is one of better")
        await eyes.press("escape", "z", "z")
        await eyes.see("✓ done")
        assert "Δ MAIN" not in eyes.text()
        await eyes.press("escape")
        await eyes.see("Δ MAIN")

    tui.watch(full_lab.app(), look)


def test_capitals_show_what_they_would_do_and_v_hands_over_to_compare(full_lab, tui):
    async def look(eyes):
        app = eyes.app
        await eyes.see("▁▃▆█")
        for key, words in {
            "N": "New experiment",
            "P": "branchlab promote",
            "B": "branchlab merge-back",
            "V": "branchlab parity",
            "F": "branchlab guard",
            "U": "branchlab sync",
            "E": "Note",
            "D": "branchlab retire",
        }.items():
            await eyes.press(key)
            await eyes.see(words)
            await eyes.press("escape")
        await eyes.press("X")
        await eyes.see("nothing runs here")
        await eyes.press("d")
        await eyes.see("[summary]")
        await eyes.press("escape")
        await eyes.see("Δ MAIN")
        chosen = app.screen.chosen().name
        await eyes.press("v")
        await eyes.see("[3 Compare]")
        assert app.place is Place.COMPARE
        assert app.marked == [chosen]

    tui.watch(full_lab.app(), look)


def test_how_one_looked_is_there_at_the_next_start(full_lab, tui):
    async def first(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("s", "s", "S", "t", "slash", *"exp", "enter", "G")
        await eyes.see("BRANCH▴")

    async def second(eyes):
        await eyes.see("BRANCH▴")
        await eyes.see("[/exp]")
        await eyes.see("▾ mend it")
        kept = json.loads((full_lab.root / ".branchlab/tui/state.json").read_text())
        assert eyes.app.screen.chosen().name == kept["branches.selected"]

    tui.watch(full_lab.app(), first)
    tui.watch(full_lab.app(), second)


def test_a_click_on_a_title_sorts_and_a_second_one_turns_it(full_lab, tui):
    async def look(eyes):
        await eyes.see("Δ MAIN▾")
        await eyes.pilot.click("#branches", offset=(2, 0))
        await eyes.see("BRANCH▾")
        assert order_of(eyes) == ["exp/focal", "exp/gelu", "exp/new-idea", "exp/wider"]
        await eyes.pilot.click("#branches", offset=(2, 0))
        await eyes.see("BRANCH▴")
        assert order_of(eyes)[0] == "exp/wider"

    tui.watch(full_lab.app(), look)


def test_a_missing_main_is_said_with_what_to_do_where_the_branches_would_be(full_lab, tui):
    full_lab.git("branch", "-m", "main", "trunk")

    async def look(eyes):
        row = await eyes.see("main")
        await eyes.see("✗ ")
        assert "reading branches" not in eyes.text()
        table = [row for row in eyes.rows()[2:12] if "✗" in row]
        assert table, eyes.text()
        assert row

    tui.watch(full_lab.app(), look)


def test_a_detached_head_shows_all_the_same(full_lab, tui):
    full_lab.git("checkout", "--quiet", "--detach", "main")

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.see("4 branches")

    tui.watch(full_lab.app(), look)


def test_only_the_views_of_branches_whose_runs_moved_are_other_objects(full_lab):
    project = open_project(full_lab.root)
    index = project.index()
    records, seen = tuple(index.runs()), status(project)
    index.close()
    first = snapshot_of(seen, records, read_at=NOW)
    moved = tuple(
        replace(one, epoch=3) if one.run.branch == "exp/gelu" and one.run.seed == 1 else one
        for one in records
    )
    second = snapshot_of(seen, moved, read_at=NOW, before=first)
    changed = [
        new.name for old, new in zip(first.views, second.views, strict=True) if new is not old
    ]
    assert changed == ["exp/gelu"]
    assert second.views == snapshot_of(seen, moved, read_at=NOW).views


def test_curves_that_are_known_are_not_read_again(full_lab):
    project = open_project(full_lab.root)
    index = project.index()
    records = [one for one in index.runs() if one.state is RunState.DONE]
    known = KnownCurves()
    curves = dict(known.read(index, "val/accuracy", records))
    assert len(curves) == len(records)
    assert [epoch for epoch, _ in next(iter(curves.values()))] == [1, 2, 3, 4]
    index.close()
    for path in (full_lab.root / ".branchlab").glob("index.sqlite*"):
        path.unlink()
    empty = Index(project.state)
    assert dict(known.read(empty, "val/accuracy", records)) == curves
    assert known.read(empty, "no/metric", records) == {}
    empty.close()


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_the_grouped_overview_looks_as_it_did(full_lab, tui, size):
    seen = []

    async def look(eyes):
        await eyes.see("▁▃▆█" if size[0] < 120 else "epoch 1")
        await eyes.press("t", "space", "g", "j", "j", "j")
        await eyes.see("▾ merge it back  1")
        await eyes.see("▌exp/gelu" if "▌exp/gelu" in eyes.text() else "*exp/gelu")
        seen.extend(eyes.rows())

    tui.watch(full_lab.app(), look, size=size)
    picture = _PICTURES / f"branches_grouped_{size[0]}x{size[1]}.txt"
    text = "\n".join(seen) + "\n"
    if os.environ.get("BRANCHLAB_NEW_PICTURES"):
        picture.write_text(text, encoding="utf-8")
    assert text == picture.read_text(encoding="utf-8")

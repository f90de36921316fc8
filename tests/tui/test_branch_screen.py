"""The screen of a branch, as somebody walks through it."""

import os
from pathlib import Path

import pytest
from PIL import Image

_PICTURES = Path(__file__).parent / "pictures"

NET = "".join(f"    layer_{n} = {n}\n" for n in range(40))


def build(lab):
    """A branch that changes two files far apart, against a main with a net."""
    lab.commit({"net.py": f"class Net:\n{NET}"}, "A net")
    new = NET.replace("layer_1 = 1\n", "layer_1 = -1\n").replace("layer_35 = 35", "layer_35 = 0")
    lab.branch(
        "exp/deeper",
        {"net.py": f"class Net:\n{new}", "extra.py": "def more():\n    return 1\n"},
        "Go deeper",
        title="A deeper net",
    )
    lab.done("main", 0.860, 0.862, 0.861)
    lab.done("exp/deeper", 0.871, 0.873, 0.8715)
    return lab


async def walk_the_diff(eyes, edited):
    await eyes.press("d")
    await eyes.see("[diff 3]")
    await eyes.see("-     layer_1 = 1")
    await eyes.see("▲ default-changed: Net.layer_1")
    assert "layer_35" not in eyes.text()
    await eyes.press("right_square_bracket", "right_square_bracket")
    await eyes.see("+     layer_35 = 0")
    await eyes.press("e")
    await eyes.see("exp/deeper is checked out nowhere")
    assert not edited
    await eyes.press("right_square_bracket")
    await eyes.see("no change after this one")
    await eyes.press("left_square_bracket")
    await eyes.see("▌ 3 -     layer_1 = 1")
    await eyes.press("left_square_bracket")
    await eyes.see("▌1 + def more():")
    await eyes.press("comma")
    await eyes.see('+ title = "A deeper net"')
    await eyes.press("b")
    await eyes.see("vs original at")
    await eyes.press("b")
    await eyes.see("nothing differs vs run deeper-s0")


async def walk_curves_and_words(eyes):
    await eyes.press("f", "enter")
    await eyes.see("[diff 3]")
    await eyes.see("vs main at")
    await eyes.press("v")
    await eyes.see("val/accuracy  1 of 1 over epochs")
    await eyes.see("── exp/deeper (3 seeds)   ╌╌ main (3 seeds)")
    await eyes.press("x")
    await eyes.see("over steps")
    await eyes.press("o")
    await eyes.see("smoothed")
    await eyes.press("plus")
    await eyes.see("50% to 100% of it")
    await eyes.press("h")
    await eyes.see("25% to 75% of it")
    await eyes.press("minus", "w", "Y")
    await eyes.see("copied branchlab compare exp/deeper --metric val/accuracy")
    await eyes.press("t")
    await eyes.see("no hypothesis in its experiment file")
    await eyes.press("n")
    await eyes.see("nothing was written down yet")
    await eyes.press("p")
    await eyes.see("no probe is kept of it yet; O probes it: branchlab probe exp/deeper")
    await eyes.press("tab")
    await eyes.see("[summary]")
    await eyes.press("shift+tab")
    await eyes.see("[probe]")


async def walk_runs_and_verbs(eyes):
    await eyes.press("u", "enter")
    await eyes.see("epoch 4 of 4")
    await eyes.press("escape")
    await eyes.see("[runs 3]")
    for key, said in (
        ("R", "$ branchlab run exp/deeper"),
        ("P", "$ branchlab promote exp/deeper"),
        ("U", "$ branchlab sync exp/deeper"),
        ("D", "$ branchlab retire exp/deeper"),
    ):
        await eyes.press(key)
        await eyes.see(said)
        await eyes.press("escape")


def test_every_pane_and_every_key_of_a_branch(lab, tui):
    build(lab)
    edited = []

    async def look(eyes):
        await eyes.see("exp/deeper")
        eyes.app.edit = lambda path, line=1: edited.append((path, line))
        await eyes.press("enter")
        await eyes.see("next: guard it: better than main")
        await eyes.see("F branchlab guard exp/deeper")
        await eyes.see("[summary] diff 3  features")
        await eyes.see("val/accuracy ▁")  # the curve of the run that is selected
        await walk_the_diff(eyes, edited)
        await walk_curves_and_words(eyes)
        await walk_runs_and_verbs(eyes)
        await eyes.press("escape")
        await eyes.see("Δ MAIN")

    tui.watch(lab.app(), look)


def test_a_branch_that_moves_or_goes_keeps_its_place(lab, tui):
    build(lab)

    async def look(eyes):
        await eyes.see("exp/deeper")
        await eyes.press("enter", "d")
        await eyes.see("-     layer_1 = 1")
        lab.git("checkout", "--quiet", "exp/deeper")
        lab.commit({"late.py": "late = 1\n"}, "Come late")
        lab.git("checkout", "--quiet", "main")
        await eyes.see("[diff 4]")
        await eyes.see("late.py")
        lab.git("branch", "-D", "exp/deeper")
        await eyes.see("the branch is gone; its runs stay")
        await eyes.press("f")
        await eyes.press("d")
        await eyes.see("-     layer_1 = 1")

    tui.watch(lab.app(), look)


def test_what_entered_the_model_is_drawn_and_what_is_no_picture_is_not(lab, tui):
    build(lab)
    pictures = lab.state.run("deeper-s0").pictures
    pictures.mkdir()
    Image.new("RGB", (40, 20), (250, 10, 10)).save(pictures / "inputs-epoch4.png")
    cut = (pictures / "inputs-epoch4.png").read_bytes()[:40]
    (pictures / "broken-epoch4.png").write_bytes(cut)

    async def look(eyes):
        await eyes.see("exp/deeper")
        await eyes.press("enter", "p")
        await eyes.see("inputs, 40x20: seed 0 after epoch 4")
        await eyes.see("▀" * 40)
        await eyes.see("it cannot be drawn:")
        await eyes.pilot.click("#panes", offset=(11, 0))
        await eyes.see("[diff 3]")
        await eyes.pilot.click("#files", offset=(4, 1))
        await eyes.see('+ title = "A deeper net"')
        eyes.app.open_run("deeper-s0")
        await eyes.see("[facts]")
        await eyes.press("t", "t", "t", "t")
        await eyes.see("inputs, 40x20: seed 0 after epoch 4")
        await eyes.see("▀▀▀▀")

    tui.watch(lab.app(), look, size=(80, 40))


def test_hostile_files_are_shown_as_text(lab, tui):
    lab.branch(
        "exp/odd",
        {
            "a[red]b.py": "x = '\x1b]52;c;cHduZWQ=\x07'\n# [@click=app.quit]y[/] \u202e\r\n\ty = 1",
            "b\x1b[2J.txt": "[/foo]\n",
        },
        "odd",
    )
    (lab.root / "unused").mkdir()

    async def look(eyes):
        await eyes.see("exp/odd")
        await eyes.press("enter", "d")
        await eyes.see("␛]52;c;cHduZWQ=␇")
        await eyes.see("# [@click=app.quit]y[/] <202E>")
        await eyes.see("no newline at the end")
        await eyes.press("full_stop")
        await eyes.see("+ [/foo]")
        assert "\x1b" not in eyes.text()

    tui.watch(lab.app(), look)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_a_branch_looks_as_it_did(lab, tui, size):
    build(lab)
    seen = {}

    async def look(eyes):
        await eyes.see("exp/deeper")
        await eyes.press("enter")
        await eyes.see("▲ default-changed")
        await eyes.see("val/accuracy ▁")
        if size[0] > 100:
            await eyes.see("main (3 seeds)")
            await eyes.see("Net.layer_1 was 1 and is now -1")
        seen["branch"] = eyes.rows()
        await eyes.press("d", "right_square_bracket")
        await eyes.see("▌ 3 -     layer_1 = 1")
        await eyes.see("▲ default-changed: Net.layer_1 was 1")
        await eyes.see("Y copies: git diff 5d055290bc exp/deeper -- net.py")
        if size[0] > 100:
            await eyes.see("main (3 seeds)")
        seen["branch_diff"] = eyes.rows()

    tui.watch(lab.app(), look, size=size)
    for name, rows in seen.items():
        picture = _PICTURES / f"{name}_{size[0]}x{size[1]}.txt"
        text = "\n".join(rows) + "\n"
        if os.environ.get("BRANCHLAB_NEW_PICTURES"):
            picture.write_text(text, encoding="utf-8")
        assert text == picture.read_text(encoding="utf-8")

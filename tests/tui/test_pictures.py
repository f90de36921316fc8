"""What the screen looks like, as text. To accept a change: run with BRANCHLAB_NEW_PICTURES=1 and read the diff."""

import os
from pathlib import Path

import pytest

_PICTURES = Path(__file__).parent / "pictures"


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_the_overview_looks_as_it_did(full_lab, tui, size):
    events = full_lab.begin("exp/new-idea", 0)
    for number, value in enumerate((0.5, 0.6, 0.58), 1):
        tui.epoch(events, number, value)
    seen = []

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.see("▁▃▆█" if size[0] < 120 else "epoch 1")
        seen.extend(eyes.rows())

    tui.watch(full_lab.app(), look, size=size)
    _compare(f"overview_{size[0]}x{size[1]}.txt", seen, size)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_the_runs_look_as_they_did(full_lab, tui, size):
    events = full_lab.begin("exp/new-idea", 0)
    for number, value in enumerate((0.5, 0.6, 0.58), 1):
        events.write(
            "metric", epoch=number - 1, step=number * 10, values={"train/loss": 1 / number}
        )
        tui.epoch(events, number, value)
    seen = []

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("2")
        await eyes.see("train/loss  now 0.3333")
        await eyes.see("starting")
        seen.append(eyes.rows())
        await eyes.press("j", "j", "j", "j", "enter", "t", "t")
        await eyes.see("METRIC")
        await eyes.see("epoch 4 of 4")
        if size[0] > 100:  # narrower ones show it in a view of its own
            await eyes.see("now 0.8605")
        seen.append(eyes.rows())

    tui.watch(full_lab.app(), look, size=size)
    _compare(f"runs_{size[0]}x{size[1]}.txt", seen[0], size)
    _compare(f"run_{size[0]}x{size[1]}.txt", seen[1], size)


def _compare(name, seen, size):
    assert len(seen) == size[1]
    picture = _PICTURES / name
    text = "\n".join(seen) + "\n"
    if os.environ.get("BRANCHLAB_NEW_PICTURES"):
        picture.parent.mkdir(exist_ok=True)
        picture.write_text(text, encoding="utf-8")
    assert text == picture.read_text(encoding="utf-8")

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
    assert len(seen) == size[1]
    picture = _PICTURES / f"overview_{size[0]}x{size[1]}.txt"
    text = "\n".join(seen) + "\n"
    if os.environ.get("BRANCHLAB_NEW_PICTURES"):
        picture.parent.mkdir(exist_ok=True)
        picture.write_text(text, encoding="utf-8")
    assert text == picture.read_text(encoding="utf-8")

"""What comparison, map and journal look like, as text. To accept a change: BRANCHLAB_NEW_PICTURES=1, and read the diff."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

_PICTURES = Path(__file__).parent / "pictures"
_NOTE = """
[[notes]]
at = 2023-11-15T10:00:00Z
text = "Both are cheap; this one is on shirts alone."
relates = ["wider"]
"""
_DROPPED = """title = "Focal loss"
[[notes]]
at = 2023-11-16T08:30:00Z
text = "Logits are NaN whatever the rate."
dropped = true
"""


def lived_in(lab):
    """Give the lab notes, slices, two seeds in place of three, and runs that ended at times that stand still."""
    for name, text in {
        "gelu": f'title = "GELU in place of ReLU"\nidea = "A smooth bend."\n{_NOTE}',
        "focal": _DROPPED,
    }.items():
        lab.git("checkout", "--quiet", f"exp/{name}")
        lab.commit({f"experiments/{name}.toml": text}, "Write down what it has taught")
    lab.git("checkout", "--quiet", "main")
    lab.done("exp/new-idea", 0.865, 0.867)
    for number, path in enumerate(
        sorted((lab.root / ".branchlab/runs").glob("*/attempts/1/result.json"))
    ):
        result = json.loads(path.read_text())
        result["ended_at"] = f"2023-11-16T1{number // 6}:{number % 6}0:00Z"
        value = result.get("metrics", {}).get("val/accuracy")
        if value is not None:
            result["slices"] = {
                "val/accuracy[bag]": value - 0.001,
                "val/accuracy[shirt]": value / 2,
            }
        path.write_text(json.dumps(result))
    return lab


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_comparison_map_and_journal_look_as_they_did(full_lab, tui, size):
    lab = lived_in(full_lab)
    seen: dict[str, list[str]] = {}

    async def look(eyes):
        await eyes.press("3")
        await eyes.see("better than main")
        # All that is asked for has come: what is below the fold makes the scrollbar.
        await eyes.press("tab", "z", "G")
        await eyes.see("which it trains without")
        await eyes.press("g", "escape", "shift+tab")
        await eyes.see("held against")
        seen["compare"] = eyes.rows()
        await eyes.press("4")
        await eyes.see("relates to wider")
        seen["map"] = eyes.rows()
        await eyes.press("5")
        await eyes.see("▲ verdict")
        seen["journal"] = eyes.rows()

    tui.watch(lab.app(), look, size=size)
    for name, rows in seen.items():
        assert len(rows) == size[1]
        picture = _PICTURES / f"{name}_{size[0]}x{size[1]}.txt"
        text = "\n".join(rows) + "\n"
        if os.environ.get("BRANCHLAB_NEW_PICTURES"):
            picture.write_text(text, encoding="utf-8")
        assert text == picture.read_text(encoding="utf-8"), name

"""Draws docs/tui.svg, the picture in the README: the overview of a lab whose branches have been trained.

branchlab demo build/demo && python docs/picture.py build/demo
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from branchlab.lab.project import open_project
from branchlab.tui.app import BranchlabApp

SIZE = (150, 34)
_SETTLED_S = 3.0


async def draw(lab: Path, target: Path) -> None:
    """Open the overview without a terminal, wait until it is filled, save it."""
    app = BranchlabApp(open_project(lab))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(_SETTLED_S)
        await pilot.press("j")
        await pilot.pause(1.0)
        drawn = app.export_screenshot(title="branchlab tui")
    # The fonts it names would be fetched from elsewhere; any monospaced one does.
    target.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1]), Path(__file__).with_name("tui.svg")))

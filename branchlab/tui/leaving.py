"""What is written down when the app is left, for the next start to begin with: the rows, and the frame that stands."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from rich.console import COLOR_SYSTEMS

from branchlab.tui import first_frame, kept
from branchlab.tui.branches_screen import BranchesScreen
from branchlab.tui.frame import LabScreen
from branchlab.tui.plain import PlainCharacters

if TYPE_CHECKING:
    from branchlab.tui.app import BranchlabApp


def keep_what_stands(app: BranchlabApp) -> None:
    """Write the overview's rows, and the frame where it is one that a start begins with: no dialog, nothing opened."""
    if app.snapshot is None:
        return
    folder = app.project.state.path
    for screen in app.screen_stack:
        rows = screen.rows_to_keep() if isinstance(screen, BranchesScreen) else None
        if rows is not None:
            kept.keep_rows(folder / kept.FILE_NAME, rows)
    is_plain = any(isinstance(one, PlainCharacters) for one in app.get_line_filters())
    if len(app.screen_stack) == 1 and isinstance(app.screen, LabScreen) and not is_plain:
        first_frame.keep_frame(folder / first_frame.FILE_NAME, _frame(app, app.snapshot.read_at))


def _frame(app: BranchlabApp, at: datetime) -> first_frame.Frame:
    update = app.screen._compositor.render_full_update()  # noqa: SLF001  as it stands, which no public call returns
    return first_frame.frame_of(
        (chain.from_iterable(line) for line in update.strips),
        width=app.size.width,
        height=app.size.height,
        colours=COLOR_SYSTEMS.get(app.console.color_system or ""),
        at=at,
    )

"""``tui``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from branchlab.errors import ConfigError
from branchlab.git.glance import main_work_tree_near


@click.command(epilog="\b\nExamples:\n  branchlab tui")
def tui() -> int:
    """Open the overview: every branch, its state and its last result, live while runs go on. `?` shows the keys."""
    from branchlab.tui.first_frame import PLACE, standing

    # Textual draws on stderr, reads stdin, and ignores TERM=dumb.
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()
    can_draw = is_terminal and os.environ.get("TERM", "dumb") != "dumb"
    top = main_work_tree_near(Path.cwd()) if can_draw else None
    with standing(top / PLACE if top else None) as frame:
        # Only now: all that is imported from here on takes longer than the frame may.
        from branchlab.cli.options import project_here

        project = project_here(warns=not can_draw)
        if not can_draw:
            raise ConfigError(
                "branchlab tui needs a terminal", hint="for text, try: branchlab status"
            )
        from branchlab.tui.app import BranchlabApp

        app = BranchlabApp(project)
        if frame is not None:
            from branchlab.tui.takeover import taking_over

            app.driver_class = taking_over(frame)
        app.run()
        return app.return_code or 0

"""``tui``."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path

import click

from branchlab.cli.terminal import is_plain_locale
from branchlab.errors import ConfigError
from branchlab.git.glance import main_work_tree_near

_THREADS_END_WITHIN_S = 2.0


@click.command(
    epilog="\b\nExamples:\n  branchlab tui\n  branchlab tui --theme textual-light\n  branchlab tui --ascii"
)
@click.option(
    "--ascii",
    "is_ascii",
    is_flag=True,
    help="Draw in ASCII alone, as where the locale has nothing else.",
)
@click.option("--theme", metavar="NAME", default="", help="Colours; ^t in there changes them.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
def tui(*, is_ascii: bool, theme: str, no_mouse: bool) -> int:
    """Open the overview: every branch, its state and its last result, live while runs go on. `?` shows the keys."""
    from branchlab.tui.first_frame import PLACE, standing

    # Textual draws on stderr, reads stdin, and ignores TERM=dumb.
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()
    can_draw = is_terminal and os.environ.get("TERM", "dumb") != "dumb"
    is_ascii = is_ascii or is_plain_locale(os.environ)
    is_like_last = can_draw and not is_ascii and not theme
    top = main_work_tree_near(Path.cwd()) if is_like_last else None
    with standing(top / PLACE if top else None) as frame:
        # Only now: all that is imported from here on takes longer than the frame may.
        # Looking for garbage while modules come in is a fifteenth of the start (2026-11-27).
        gc.set_threshold(50_000, 20, 50)
        from branchlab.cli.options import project_here

        project = project_here(warns=not can_draw)
        if not can_draw:
            raise ConfigError(
                "branchlab tui needs a terminal", hint="for text, try: branchlab status"
            )
        from branchlab.tui.app import BranchlabApp

        app = BranchlabApp(project, is_ascii=is_ascii, theme=theme)
        if theme and theme not in app.available_themes:
            known = ", ".join(sorted(app.available_themes))
            raise ConfigError(f"there is no theme '{theme}'", hint=f"take one of: {known}")
        if frame is not None:
            from branchlab.tui.takeover import taking_over

            app.driver_class = taking_over(frame)
        app.run(mouse=not no_mouse)
    code = app.return_code or 0
    _end_with_all_threads(code)
    return code


def _end_with_all_threads(code: int) -> None:
    """End this process where a thread does not.

    When a terminal goes away just while one leaves, Textual's threads are left behind, and one of them turns round for
    ever on what it reads (Textual 8.2.8); a reading of a large lab would be waited for as well.
    """
    until = time.monotonic() + _THREADS_END_WITHIN_S
    others = [one for one in threading.enumerate() if one is not threading.current_thread()]
    for thread in others:
        if not thread.daemon:
            thread.join(max(0.0, until - time.monotonic()))
    if any(thread.is_alive() and not thread.daemon for thread in others):
        sys.stdout.flush()
        os._exit(code)

"""``tui``."""

from __future__ import annotations

import os
import sys

import click

from branchlab.cli.options import project_here
from branchlab.errors import ConfigError


@click.command(
    epilog="\b\nExamples:\n  branchlab tui\n  branchlab tui --theme textual-light\n  branchlab tui --ascii"
)
@click.option("--ascii", "is_ascii", is_flag=True, help="Draw in ASCII alone.")
@click.option("--theme", metavar="NAME", default="", help="Colours; ^t in there changes them.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
def tui(*, is_ascii: bool, theme: str, no_mouse: bool) -> int:
    """Open the overview: every branch, its state and its last result, live while runs go on. `?` shows the keys."""
    project = project_here()
    # Textual draws on stderr, reads stdin, and ignores TERM=dumb.
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()
    if not is_terminal or os.environ.get("TERM", "dumb") == "dumb":
        raise ConfigError("branchlab tui needs a terminal", hint="for text, try: branchlab status")
    from branchlab.tui.app import BranchlabApp

    app = BranchlabApp(project, is_ascii=is_ascii, theme=theme)
    if theme and theme not in app.available_themes:
        known = ", ".join(sorted(app.available_themes))
        raise ConfigError(f"there is no theme '{theme}'", hint=f"take one of: {known}")
    app.run(mouse=not no_mouse)
    return app.return_code or 0

"""``tui``."""

from __future__ import annotations

import os
import sys

import click

from branchlab.cli.options import project_here
from branchlab.errors import ConfigError


@click.command(epilog="\b\nExamples:\n  branchlab tui")
def tui() -> int:
    """Open the overview: every branch, its state and its last result, live while runs go on. `?` shows the keys."""
    project = project_here()
    # Textual draws on stderr, reads stdin, and ignores TERM=dumb.
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()
    if not is_terminal or os.environ.get("TERM", "dumb") == "dumb":
        raise ConfigError("branchlab tui needs a terminal", hint="for text, try: branchlab status")
    from branchlab.tui.app import BranchlabApp

    app = BranchlabApp(project)
    app.run()
    return app.return_code or 0

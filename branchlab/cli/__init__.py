"""The command line: arguments in, exit code out. Each command is imported only when it is called."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``branchlab`` (or ``git lab``) with the arguments of this process, and exit.

    Exit codes: 0 done, 1 a run or a check fell short, 2 the user must change something, 130 interrupted.
    """
    if sys.argv[1:] in (["--help"], ["-h"]):
        # The page is generated and checked by a test: importing click alone takes three times a bare Python.
        from branchlab.cli.help_page import print_help_page

        if print_help_page():
            return
    from branchlab.cli.app import run_app

    sys.exit(run_app(sys.argv[1:]))

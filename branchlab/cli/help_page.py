"""The page of ``branchlab --help`` as it was generated, printed without importing the parser."""

from __future__ import annotations

import os
import sys

_PAGE = os.path.join(os.path.dirname(__file__), "help_page.txt")  # noqa: PTH118, PTH120  pathlib is not imported yet


def print_help_page() -> bool:
    """Print the generated page; False when it is missing, and the parser has to write it."""
    try:
        with open(_PAGE, encoding="utf-8") as file:  # noqa: PTH123
            sys.stdout.write(file.read())
    except OSError:
        return False
    return True

"""A change of files as a unified diff that ``git apply`` takes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def unified_diff(changes: Iterable[tuple[str, str | None, str]]) -> str:
    """Return the diff of files, each given as (path, old text, new text); a file without an old text is new."""
    found: list[str] = []
    for path, old, new in changes:
        before = f"a/{path}" if old is not None else "/dev/null"
        lines = difflib.unified_diff(_lines(old or ""), _lines(new), before, f"b/{path}")
        end = "\n\\ No newline at end of file\n"
        found += [line if line.endswith("\n") else f"{line}{end}" for line in lines]
    return "".join(found)


def _lines(text: str) -> list[str]:
    """Split as git does: a form feed ends no line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)

"""Names of metrics under the rules of another tool: what it refuses is written as its code point, and can be read back."""

from __future__ import annotations

import re
from collections.abc import Callable

_WRITTEN = re.compile(r":([0-9A-F]+):")
_MARK = ":"


def written(name: str, is_allowed: Callable[[str], bool]) -> str:
    """Return a name in which every character that a tool refuses is its code point between colons: ``[`` is ``:5B:``.

    Args:
        name: Any text.
        is_allowed: Whether the tool takes a character; the colon is always written, so that names can be read back.
    """
    return "".join(c if is_allowed(c) and c != _MARK else f":{ord(c):X}:" for c in name)


def read_back(name: str) -> str:
    """Return the name that ``written`` was given."""
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), name)


def for_mlflow(name: str) -> str:
    """Return a name that MLflow takes: letters, digits, ``_-. /``, and none that a file system would read otherwise."""
    parts = written(name, lambda c: c.isalnum() or c in "_-. /").split("/")
    # MLflow refuses what is another path after normalising: empty parts, one dot, two dots.
    is_path = all(part.strip(".") or len(part) > len("..") for part in parts)
    if is_path and all(parts):
        return "/".join(parts)
    return ":2F:".join(part if part.strip(".") else part.replace(".", ":2E:") for part in parts)


def for_wandb(name: str) -> str:
    """Return a name that W&B takes for a curve: those with an underscore before them are its own."""
    return f":5F:{name[1:]}" if name.startswith("_") else written(name, lambda _: True)

"""What the screens keep between two starts: the place, order, filter, theme. Lost or damaged, nothing is missing.

One file a lab, written beside and renamed; two terminals that are open at once overwrite each other's, the last wins.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

_SIZE_MAX = 1 << 20


class Memory:
    """Values by name. A screen asks with a fallback, whose type a kept value must have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, object] = {}

    def load(self) -> None:
        """Read what the last start left."""
        try:
            if self._path.stat().st_size > _SIZE_MAX:
                return
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return
        if isinstance(found, Mapping):
            self._values = {str(name): value for name, value in found.items()}

    def text(self, name: str, fallback: str = "", *, among: frozenset[str] | None = None) -> str:
        """Return a text; the fallback where there is none, or none of those that it may be."""
        value = self._values.get(name)
        is_good = isinstance(value, str) and (among is None or value in among)
        return str(value) if is_good else fallback

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; empty where there is none."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            return ()
        return tuple(value)

    def is_set(self, name: str, *, fallback: bool = False) -> bool:
        """Return a switch."""
        value = self._values.get(name)
        return value if isinstance(value, bool) else fallback

    def keep(self, name: str, value: str | bool | list[str]) -> None:  # noqa: FBT001  a value, no switch
        """Remember a value until the file is written."""
        self._values[name] = value

    def save(self) -> None:
        """Write the file; where that cannot be, nothing is said: a start without it shows all the same."""
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(self._values), encoding="utf-8")
            beside.replace(self._path)

"""What this room needs of its caller while it works: a place to keep what never changes, and an ear for progress.

Facts about object ids stay true for ever, so they are worth keeping; where they are kept is another room's business
(``store.memo``). Losing them costs time alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

Tell = Callable[[str, int, int], None]
"""Takes what is going on, how much of it is done, and how much there is."""


class Memo(Protocol):
    """Keeps bytes by kind and key."""

    def get(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is kept of some keys."""

    def put(self, kind: str, items: Mapping[str, bytes]) -> None:
        """Keep more; failing to is no error."""


class Forgetful:
    """Keeps nothing."""

    def get(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        return {}

    def put(self, kind: str, items: Mapping[str, bytes]) -> None:
        """Forget."""


def silently(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""

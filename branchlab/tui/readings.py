"""What a screen has asked to be read, and what came back; an older answer stays until a newer one is there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from branchlab.tui.asking import Answer, Read
from branchlab.tui.branch_reads import Wish

_T = TypeVar("_T")


class Readings:
    """The answers of one screen, whose slots begin with a name of its own."""

    def __init__(self, name: str, ask: Callable[[str, Hashable, Read], None]) -> None:
        self._name, self._ask = name, ask
        self._asked: dict[str, Hashable] = {}
        self._answers: dict[str, tuple[Hashable, object]] = {}

    def ask(self, wish: Wish) -> None:
        """Have something read, unless it was asked already."""
        if self._asked.get(wish.slot) != wish.key:
            self._asked[wish.slot] = wish.key
            self._ask(f"{self._name}.{wish.slot}", wish.key, wish.read)

    def take(self, answer: Answer) -> bool:
        """Keep an answer; return whether it was waited for. One that failed leaves the older one."""
        name, _, slot = answer.slot.partition(".")
        if name != self._name or self._asked.get(slot) != answer.key:
            return False
        if answer.value is not None:
            self._answers[slot] = answer.key, answer.value
        return True

    def of(self, slot: str, kind: type[_T]) -> _T | None:
        """Return what was read last for a slot, which may be older than what is asked for now."""
        value = self._answers.get(slot, (None, None))[1]
        return value if isinstance(value, kind) else None

    def key(self, slot: str) -> Hashable:
        """Return what the last answer of a slot depends on."""
        return self._answers.get(slot, (None, None))[0]

    def forget_open(self) -> None:
        """Ask again what has no answer: one that came while another screen was seen went there."""
        self._asked = {slot: key for slot, (key, _) in self._answers.items()}

    def forget(self) -> None:
        """Ask everything again; the answers stay until newer ones are there."""
        self._asked.clear()

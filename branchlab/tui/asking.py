"""What screens want to know beyond the snapshot, read in threads: curves, a diff, features, the journal.

A screen names a slot and a key; only the latest wish of a slot is read, so that holding a key down over a hundred
branches reads a handful of them. The event loop gets answers as messages.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from textual.message import Message

from branchlab.errors import BranchlabError
from branchlab.lab.project import Project
from branchlab.tui.failure import record_failure
from branchlab.tui.messages import Said

_NUM_THREADS = 2
Read = Callable[[Project], object]


class Answer(Message):
    """What was read for a slot.

    Attributes:
        value: What ``read`` returned; None where it failed, which the status line says.
        failed: Why, in a line; empty where it did not.
    """

    def __init__(self, slot: str, key: Hashable, value: object, failed: str = "") -> None:
        super().__init__()
        self.slot, self.key, self.value, self.failed = slot, key, value, failed

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Answer) and message.slot == self.slot


@dataclass(frozen=True, slots=True)
class _Wish:
    slot: str
    key: Hashable
    read: Read


class Asking:
    """Threads that read the latest wish of every slot. ``ask`` and ``stop`` may be called from any thread."""

    def __init__(self, project: Callable[[], Project], tell: Callable[[Message], object]) -> None:
        self._project, self._tell = project, tell
        self._condition = threading.Condition()
        self._wishes: dict[str, _Wish] = {}
        self._being_read: dict[str, Hashable] = {}
        self._num_threads = 0
        self._is_stopping = False

    def ask(self, slot: str, key: Hashable, read: Read) -> None:
        """Have something read; a wish of the same slot that nobody reads yet is forgotten."""
        with self._condition:
            if self._being_read.get(slot) == key and slot not in self._wishes:
                return
            self._wishes[slot] = _Wish(slot, key, read)
            if self._num_threads < _NUM_THREADS:
                self._num_threads += 1
                threading.Thread(target=self._work, daemon=True, name="asking").start()
            self._condition.notify()

    def stop(self) -> None:
        """Let the threads end after what they read now."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()

    def _work(self) -> None:
        while (wish := self._next()) is not None:
            try:
                self._tell(Answer(wish.slot, wish.key, wish.read(self._project())))
            except BranchlabError as error:
                said = f"{error.message}; {error.hint}" if error.hint else error.message
                self._fail(wish, said)
            except Exception as error:  # noqa: BLE001  the door of a worker: recorded whole, and shown
                self._fail(wish, record_failure(error, self._project().state))
            finally:
                with self._condition:
                    self._being_read.pop(wish.slot, None)
                    self._condition.notify_all()

    def _next(self) -> _Wish | None:
        with self._condition:
            while not self._is_stopping:
                # One reader a slot: answers come in the order of the wishes.
                slot = next((slot for slot in self._wishes if slot not in self._being_read), None)
                if slot is not None:
                    wish = self._wishes.pop(slot)
                    self._being_read[slot] = wish.key
                    return wish
                self._condition.wait()
        return None

    def _fail(self, wish: _Wish, said: str) -> None:
        self._tell(Answer(wish.slot, wish.key, None, said))
        self._tell(Said(said, is_error=True))

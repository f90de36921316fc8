"""What workers tell the screens. Each carries frozen values, and a newer one replaces an older one in the queue."""

from __future__ import annotations

from textual.message import Message

from branchlab.tui.views import Snapshot


class SnapshotRead(Message):
    """The lab as it is now."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotRead)


class Said(Message):
    """A line for the status line: what a command answered, or what went wrong."""

    def __init__(self, text: str, *, is_error: bool) -> None:
        super().__init__()
        self.text = text
        self.is_error = is_error

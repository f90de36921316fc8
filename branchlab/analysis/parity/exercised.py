"""Which changed functions a recorded training never ran: of those, parity says nothing."""

from __future__ import annotations

from collections.abc import Iterable

from branchlab.analysis.features.changes import FileChange
from branchlab.analysis.features.files import is_test, kind_of
from branchlab.analysis.features.syntax import Failure, parse_module
from branchlab.domain import Noted, Recording


def not_exercised(changes: Iterable[FileChange], recording: Recording) -> tuple[str, ...]:
    """Return ``path:symbol`` of each function that both sides have, that differs, and that did not run.

    Methods of tests are left out; what only the branch has is reached by its flags, and is no part of this.
    """
    ran = {(path, name) for note in recording.named(Noted.EXECUTED) for path, name in note.value}
    return tuple(
        f"{path}:{symbol}"
        for path, symbol in _changed_functions(changes)
        if (path, symbol) not in ran
    )


def _changed_functions(changes: Iterable[FileChange]) -> Iterable[tuple[str, str]]:
    for change in changes:
        is_code = kind_of(change.head_path) == "python" and not is_test(change.head_path)
        if not is_code or change.base is None or change.head is None:
            continue
        base = parse_module(change.base_path, change.base)
        head = parse_module(change.head_path, change.head)
        if isinstance(base, Failure) or isinstance(head, Failure):
            continue
        for symbol, function in head.functions.items():
            old = base.functions.get(symbol)
            if old is not None and old.text != function.text:
                yield change.head_path, symbol

"""The arguments that a merge adds to the task: the flags, and whether one of them is on although it should be off."""

from __future__ import annotations

from branchlab.domain import Noted, Recording

_NAMED_MAX = 3
_OFF = {"False", "None", "0", "0.0", "''", "()", "[]", "{}", "'none'", "'identity'", "1.0", "1"}


def new_arguments(main: Recording, other: Recording) -> dict[str, str]:
    """Return the arguments of the task that main has not, with their defaults as source text."""
    ours, theirs = (
        {row[0]: row[2] for note in one.named(Noted.SIGNATURE) for row in note.value}
        for one in (main, other)
    )
    return {name: default or "" for name, default in theirs.items() if name not in ours}


def if_off(main: Recording, other: Recording) -> str:
    """Return `` although NAME is off`` where the merge adds flags, a few; else the empty string."""
    names = [name for name, default in new_arguments(main, other).items() if default in _OFF]
    if not 0 < len(names) <= _NAMED_MAX:
        return ""
    return f" although {' and '.join(names)} {'is' if len(names) == 1 else 'are'} off"


def on_by_default(main: Recording, other: Recording) -> str:
    """Return the remedy where a new argument is true by default; the empty string where none is."""
    for name, default in new_arguments(main, other).items():
        if default == "True":
            return f"{name} is new and defaults to True: let it default to False"
    return ""


def remedy_of(main: Recording, other: Recording) -> str:
    """Return what to do about a change that takes effect without a flag."""
    names = list(new_arguments(main, other))
    if len(names) == 1:
        return f"let it take effect only when {names[0]} is on"
    return "put it behind a flag that is off by default: branchlab guard"

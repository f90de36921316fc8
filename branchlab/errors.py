"""Every error that branchlab raises on purpose.

    BranchlabError            the base: a message and the next command to type
    ├── ConfigError           edit a file: .branchlab.toml, experiments/<name>.toml, a value on the command line
    │   └── ClaimError        one claim of a hypothesis cannot be read; knows the column
    ├── RepositoryError       change the state of git: no repository, no such branch, no commits
    ├── ExecutorError         a run could not be started or reached
    └── StoreError            recorded data is locked, newer than this program, or damaged

They are split by what the user does next. Anything else that is raised is a bug and stays a traceback. Expected
outcomes (a failed run, a conflict, no difference shown) are values in ``domain``, never exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BranchlabError(Exception):
    """Something the user can mend, said in one line.

    Args:
        message: Names the thing, the value found and the value needed.
        hint: The next command to type, or the edit to make.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(BranchlabError):
    """A file or an argument says something that cannot be used."""


class ClaimError(ConfigError):
    """A claim of a hypothesis cannot be read.

    Attributes:
        text: The claim. ``column``: where it stops being one, from 1.
        reason: What was expected there, or what is wrong.
    """

    def __init__(self, reason: str, *, text: str, column: int, hint: str = "") -> None:
        super().__init__(f"{_shortened(text)!r}: column {column}: {reason}", hint=hint)
        self.text = text
        self.column = column
        self.reason = reason

    def pointed(self) -> tuple[str, str]:
        """Return the claim and, to go below it, a caret under the column, with the reason behind it."""
        return self.text, f"{' ' * (self.column - 1)}^ {self.reason}"


class RepositoryError(BranchlabError):
    """Git is not in the state that the command needs."""


class ExecutorError(BranchlabError):
    """A run could not be started or reached."""


class StoreError(BranchlabError):
    """Recorded data is locked, newer than this program, or damaged."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'? `` for the closest known word, or the empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean '{found[0]}'? " if found else ""


def _shortened(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"

"""What the engine is given: the changed files of a pair of revisions, and a way to ask for the files around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A path that differs between base and head.

    Attributes:
        base_path: Where it stood; equal to ``head_path`` unless it was renamed.
        base: Its text; None where it is absent or holds no text.
        what: What it holds when it holds no text: ``binary``, ``submodule``, ``symlink``, ``huge``, ``pointer``;
            ``text`` otherwise.
    """

    base_path: str
    head_path: str
    base: str | None
    head: str | None
    is_added: bool = False
    is_deleted: bool = False
    what: str = "text"


class Elsewhere(Protocol):
    """The files of the base tree. Those that did not change stand in head as well."""

    def expect(self, words: Iterable[str]) -> None:
        """Hear which words will be asked for, so that they can be looked for at once."""
        ...

    def mentioning(self, words: Iterable[str]) -> Mapping[str, str]:
        """Return the texts of Python files in which one of ``words`` stands as a whole word, by path."""
        ...

    def texts(self, paths: Iterable[str]) -> Mapping[str, str]:
        """Return the texts of those of the named files that exist."""
        ...


@dataclass(frozen=True, slots=True)
class Nowhere:
    """A tree of which nothing else is known; also a tree in memory, for tests."""

    files: Mapping[str, str]

    def expect(self, words: Iterable[str]) -> None:
        pass

    def mentioning(self, words: Iterable[str]) -> Mapping[str, str]:
        asked = set(words)
        return {path: text for path, text in self.files.items() if asked & set(_words(text))}

    def texts(self, paths: Iterable[str]) -> Mapping[str, str]:
        return {path: self.files[path] for path in paths if path in self.files}


def _words(text: str) -> Iterable[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in text).split()

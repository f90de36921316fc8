"""Classes and who inherits from whom, in the changed files and in those around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from branchlab.analysis.features.changes import Elsewhere
from branchlab.analysis.features.options import fields_of, is_made_of_fields
from branchlab.analysis.features.syntax import Class, Failure, Module, parse_module

_FILES_MAX = 80
_SIZE_MAX = 400_000
_HEAD = re.compile(r"^\s*class\s+(\w+)(?=(?:\s*\(([^)]*))?)", re.MULTILINE)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heads:
    """What a text says of classes without being parsed: the names that it defines, and those it may inherit from."""

    defined: frozenset[str]
    bases: frozenset[str]


class Kin:
    """Knows every class that is related to a changed one, by name; files are read when they are first asked for.

    Args:
        modules: Head versions of the changed files.
        elsewhere: The files around them.
    """

    def __init__(self, modules: Iterable[Module], elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere
        self._classes: dict[str, list[Class]] = {}
        self._heads: dict[str, _Heads] = {}
        self._read: set[str] = set()
        self._defined: set[str] = set()
        """Names of which the definitions were looked for, ``_inherited`` those of which the heirs were."""
        self._inherited: set[str] = set()
        for module in modules:
            self._add(module)

    def _add(self, module: Module) -> None:
        for cls in module.classes.values():
            self._classes.setdefault(cls.name, []).append(cls)

    def _look_for_definitions(self, names: set[str]) -> None:
        """Read the files around that define classes of these names."""
        new = names - self._defined
        self._defined |= new
        self._read_where(new, lambda heads: heads.defined)

    def _look_for_heirs(self, names: set[str]) -> None:
        """Read the files around that inherit from classes of these names."""
        new = names - self._inherited
        self._inherited |= new
        self._read_where(new, lambda heads: heads.bases)

    def _read_where(self, names: set[str], part: Callable[[_Heads], frozenset[str]]) -> None:
        found = self._elsewhere.mentioning(sorted(names)) if names else {}
        for path, text in list(found.items())[:_FILES_MAX]:
            if path not in self._read and names & part(self._heads_of(path, text)):
                self._read.add(path)
                module = parse_module(path, text)
                if not isinstance(module, Failure):
                    self._add(module)

    def _heads_of(self, path: str, text: str) -> _Heads:
        if path not in self._heads:
            heads = _HEAD.findall(text) if len(text) < _SIZE_MAX else []
            self._heads[path] = _Heads(
                defined=frozenset(name for name, _ in heads),
                bases=frozenset(word for _, bases in heads for word in _WORD.findall(bases)),
            )
        return self._heads[path]

    def above(self, cls: Class) -> list[Class]:
        """Return the classes that a class inherits from, those of other files included."""
        found: list[Class] = []
        waiting = [cls]
        while waiting:
            one = waiting.pop()
            self._look_for_definitions(set(one.bases))
            for name in one.bases:
                for base in self._classes.get(name, ()):
                    if base is not cls and base not in found:
                        found.append(base)
                        waiting.append(base)
        return found

    def below(self, cls: Class) -> list[Class]:
        """Return the classes that inherit from a class."""
        found: list[Class] = []
        names = {cls.name}
        while True:
            self._look_for_heirs(names)
            more = [
                one
                for group in self._classes.values()
                for one in group
                if one is not cls and one not in found and names & set(one.bases)
            ]
            if not more:
                return found
            found += more
            names |= {one.name for one in more}

    def outside(self, cls: Class) -> set[str]:
        """Return bases of which no file is known: those of libraries."""
        known = [cls, *self.above(cls)]
        return {name for one in known for name in one.bases if name not in self._classes}

    def shadowed(self, cls: Class, name: str) -> str:
        """Say which inherited method or attribute a new one of ``cls`` takes the place of, for it or for an heir."""
        if name.startswith("__"):
            return ""
        related = self.above(cls)
        for heir in self.below(cls):
            # An heir's own definition goes first whatever its bases hold.
            if name not in heir.methods and name not in fields_of(heir):
                related += [
                    one for one in self.above(heir) if one is not cls and one.name != cls.name
                ]
        for one in related:
            is_set = name in fields_of(one) or name in one.methods
            if is_set and one.name != cls.name:
                return f"{one.symbol}.{name}"
        return ""

    def sets(self, cls: Class, name: str) -> str:
        """Say which class related to ``cls`` sets an attribute of that name, by itself or in a method."""
        for one in (*self.below(cls), *self.above(cls)):
            is_stored = any(name in method.stored_attributes for method in one.methods.values())
            if one.name != cls.name and (is_stored or name in fields_of(one)):
                return one.symbol
        return ""

    def overriding(self, cls: Class, name: str) -> Iterator[Class]:
        """Yield heirs of a class that have a method of that name."""
        return (one for one in self.below(cls) if name in one.methods)

    def heir_of_fields(self, cls: Class) -> str:
        """Return an heir that adds fields of its own after those of ``cls``; the empty string without any."""
        for heir in self.below(cls):
            if is_made_of_fields(heir) and any(
                one.is_annotated and not one.is_keyword for one in fields_of(heir).values()
            ):
                return heir.symbol
        return ""

    def asks_for(self, name: str) -> str:
        """Return a file of the base that asks by text whether something has that name; empty without any."""
        pattern = re.compile(rf"(?:has|get)attr\(\s*[\w.\[\]]+\s*,\s*['\"]{re.escape(name)}['\"]")
        for path, text in self._elsewhere.mentioning([name]).items():
            if pattern.search(text):
                return path
        return ""

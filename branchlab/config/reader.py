"""Turns tables of TOML into dataclasses, and knows the line of a key for what it has to complain of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from branchlab.domain import Goal
from branchlab.errors import ConfigError, nearest
from branchlab.toml_file import is_plain, shown

_HEADER = re.compile(r"\s*\[{1,2}([^\[\]]+)\]")
_ASSIGNED = re.compile(r"\s*([^=#\[\]]+?)\s*=")


class Reader:
    """Turns tables into dataclasses, and knows the line of a key for what it has to complain of."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path

    def table(self, found: object, kind: type, name: str) -> Any:  # noqa: ANN401  one of the dataclasses above
        if not isinstance(found, dict):
            raise self.error(name, "", f"[{name}] must be a table, found {shown(found)}")
        known = {f.name: f for f in fields(kind)}
        self.check_known(found, known, table=name)
        values: dict[str, object] = {}
        for key, value in found.items():
            nested: object = known[key].default_factory
            values[key] = (
                self.table(value, nested, f"{name}.{key}")
                if isinstance(nested, type) and is_dataclass(nested)
                else self.value(value, str(known[key].type), name, key)
            )
        return kind(**values)

    def check_known(
        self, found: Mapping[str, object], known: Mapping[str, object], *, table: str
    ) -> None:
        for key in found:
            if key not in known:
                what = (
                    f"unknown key {shown(key)} in [{table}]" if table else f"unknown table [{key}]"
                )
                hint = f"{nearest(key, known)}known here: {', '.join(known)}"
                raise self.error(table or key, key if table else "", what, hint=hint)

    def check_choice(
        self, table: str, key: str, words: Iterable[str], known: Sequence[str]
    ) -> None:
        """Complain of the first word that is none of those known, and name the nearest."""
        for word in words:
            if word not in known:
                what = f"{key}: {shown(word)} is not one of {', '.join(map(shown, known))}"
                mend = f"mend {self.path} at line {self.line(table, key)}"
                raise self.error(table, key, what, hint=f"{nearest(word, known)}{mend}")

    def value(self, value: object, kind: str, table: str, key: str) -> object:  # noqa: PLR0911  one line a type
        match kind, value:
            case "str", str():
                return value
            case "bool", bool():
                return value
            case (("int" | "int | None"), int()) if not isinstance(value, bool) and is_plain(value):
                return value
            case (("float" | "float | None"), int() | float()) if not isinstance(
                value, bool
            ) and is_plain(value):
                return float(value)
            case "tuple[str, ...]", list() if all(isinstance(item, str) for item in value):
                return tuple(value)
            case "tuple[float, ...]", list() if all(
                is_plain(item) and isinstance(item, int | float) and not isinstance(item, bool)
                for item in value
            ):
                return tuple(map(float, value))
            case "Goal", ("max" | "min"):
                return Goal(str(value))
            case "Mapping[str, bool | int | float | str]", dict() if all(
                is_plain(item) for item in value.values()
            ):
                return value
            case _:
                pass
        raise self.error(table, key, f"{key} = {shown(value)}: expected {_IN_WORDS[kind]}")

    def error(self, table: str, key: str, what: str, *, hint: str = "") -> ConfigError:
        line = self.line(table, key)
        return ConfigError(
            f"{self.path}:{line}: {what}", hint=hint or f"mend {self.path} at line {line}"
        )

    def line(self, table: str, key: str) -> int:
        """Return the line of a key, as near as a reading of the text can tell."""
        wanted = f"{table}.{key}" if key else table
        places = list(self._places())
        for path in (wanted, table):
            for number, found in places:
                if found == path or found.startswith(f"{path}."):
                    return number
        return 1

    def _places(self) -> Iterator[tuple[int, str]]:
        """Yield the line of every table and key that a line begins with, under its full dotted name."""
        inside = ""
        for number, line in enumerate(self.text.split("\n"), 1):
            if header := _HEADER.match(line):
                inside = _dotted(header[1])
                yield number, inside
            elif assigned := _ASSIGNED.match(line):
                name = _dotted(assigned[1])
                yield number, f"{inside}.{name}" if inside else name


def _dotted(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


_IN_WORDS = {
    "str": "a string",
    "bool": "true or false",
    "int": "a whole number",
    "int | None": "a whole number",
    "float": "a number",
    "float | None": "a number",
    "tuple[str, ...]": "a list of strings",
    "tuple[float, ...]": "a list of numbers",
    "Goal": '"max" or "min"',
    "Mapping[str, bool | int | float | str]": "a table of strings, numbers and booleans",
}

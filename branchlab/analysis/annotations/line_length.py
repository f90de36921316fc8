"""How long a line of a project may be, by what its formatter and linter are told."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Mapping
from typing import Any

LENGTH_DEFAULT = 100
SAYING_FILES = ("pyproject.toml", "ruff.toml", ".ruff.toml", ".flake8", "setup.cfg", "tox.ini")
_LENGTH_OF_FORMATTERS = 88
_LENGTH_MIN = 40


def line_length(files: Mapping[str, str]) -> int:
    """Return the length of a line, from the texts of ``SAYING_FILES`` that a project has; the first that says it counts."""
    is_formatted = False
    for name in SAYING_FILES:
        if name not in files:
            continue
        if name.endswith("toml"):
            tables = _tables(files[name])
            is_formatted = is_formatted or bool(tables)
            found = [one.get("line-length") for one in tables]
        else:
            found = [_of_ini(files[name])]
        lengths = [one for one in found if isinstance(one, int) and one >= _LENGTH_MIN]
        if lengths:
            return lengths[0]
    return _LENGTH_OF_FORMATTERS if is_formatted else LENGTH_DEFAULT


def _tables(text: str) -> list[dict[str, Any]]:
    """Return what a file tells a formatter: ruff's own file, or the tables of ruff and black."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return []
    tools = document.get("tool")
    if not isinstance(tools, dict):
        return [document] if "line-length" in document else []
    return [tools[name] for name in ("ruff", "black") if isinstance(tools.get(name), dict)]


def _of_ini(text: str) -> int | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        for section in ("flake8", "pycodestyle"):
            if parser.has_option(section, "max-line-length"):
                return parser.getint(section, "max-line-length")
    except (configparser.Error, ValueError):
        pass
    return None

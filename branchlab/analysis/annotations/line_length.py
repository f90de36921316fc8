"""How long a line of a project may be, by what its formatter and linter are told."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Mapping

LENGTH_DEFAULT = 100
SAYING_FILES = ("pyproject.toml", "ruff.toml", ".ruff.toml", ".flake8", "setup.cfg", "tox.ini")
_LENGTH_MIN = 40


def line_length(files: Mapping[str, str]) -> int:
    """Return the length of a line, from the texts of ``SAYING_FILES`` that a project has; the first that says it counts."""
    for name in SAYING_FILES:
        if name not in files:
            continue
        found = _of_toml(files[name]) if name.endswith("toml") else _of_ini(files[name])
        if isinstance(found, int) and found >= _LENGTH_MIN:
            return found
    return LENGTH_DEFAULT


def _of_toml(text: str) -> object:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    tools = document.get("tool", {})
    tables = [document, *(tools.get(name) for name in ("ruff", "black") if isinstance(tools, dict))]
    found = [one.get("line-length") for one in tables if isinstance(one, dict)]
    return next((one for one in found if one is not None), None)


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

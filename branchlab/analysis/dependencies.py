"""Which files of a project name its dependencies, and what they name: comments, order of tables and settings of other tools aside.

What is returned of a file is only ever compared or hashed. A file that does not parse is compared as text; a ``setup.py``
that computes what it requires is compared whole, as its syntax tree: in doubt dependencies have changed.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from branchlab.errors import ConfigError
from branchlab.toml_file import parse_toml

_NAMES = (
    *("*requirements*.txt", "*requirements*.in", "requirements/*.txt", "requirements/*.in"),
    *("*constraints*.txt", "pyproject.toml", "setup.py", "setup.cfg"),
    *("environment*.yml", "environment*.yaml", "conda*.yml", "conda*.yaml", "pixi.toml"),
    *("Pipfile", "Pipfile.lock", "uv.lock", "poetry.lock", "pdm.lock", "pixi.lock", "pylock*.toml"),
    ".python-version",
)
"""Names of such files, in any folder and in any case."""
_PATH = re.compile(
    "(?:.*/)?(?:" + "|".join(re.escape(name).replace(r"\*", "[^/]*") for name in _NAMES) + ")",
    re.IGNORECASE,
)
_SETUP = {"install_requires", "extras_require", "python_requires", "setup_requires"}
_PROJECT = ("dependencies", "optional-dependencies", "requires-python", "dynamic")
_POETRY = ("dependencies", "dev-dependencies", "group", "extras", "source")


def is_dependency_file(path: str) -> bool:
    """Whether a path names a file that says what a project depends on."""
    return _PATH.fullmatch(path) is not None


def dependencies_of(path: str, text: str | None) -> str:
    """Return what a file names, as a text that is equal for files that name the same; "" for none, or no file."""
    if text is None:
        return ""
    name = PurePosixPath(path.lower()).name
    read = _READERS.get(name)
    if read is None:
        is_lines = name.endswith((".txt", ".in", ".yml", ".yaml"))
        read = _lines if is_lines else str.strip
    try:
        return read(text)
    except (ConfigError, configparser.Error, SyntaxError, ValueError, RecursionError):
        return text


def _lines(text: str) -> str:
    """Return lines without comments and blank ones; a line that goes on is one. What conda calls itself is left out."""
    joined = re.sub(r"\\\r?\n[ \t]*", " ", text)
    lines = (re.sub(r"(^|\s)#.*", "", line).rstrip() for line in joined.splitlines())
    return "\n".join(line for line in lines if line and not re.match(r"(name|prefix)\s*:", line))


def _pyproject(text: str) -> str:
    document = parse_toml(text, path=PurePosixPath("pyproject.toml"))
    project, tool = _table(document, "project"), _table(document, "tool")
    named: dict[str, Any] = {key: project[key] for key in _PROJECT if project.get(key)}
    if groups := document.get("dependency-groups"):
        named["dependency-groups"] = groups
    poetry = _table(tool, "poetry")
    named |= {f"poetry {key}": poetry[key] for key in _POETRY if poetry.get(key)}
    named |= {key: tool[key] for key in ("uv", "pixi") if tool.get(key)}
    if groups := _table(tool, "pdm").get("dev-dependencies"):
        named["pdm"] = groups
    return _sorted(named) if named else ""


def _setup_cfg(text: str) -> str:
    found = configparser.ConfigParser(interpolation=None)
    found.read_string(text)
    options = dict(found.items("options")) if found.has_section("options") else {}
    extra = "options.extras_require"
    extras = dict(found.items(extra)) if found.has_section(extra) else {}
    named = {key: _lines(value) for key, value in options.items() if key in _SETUP}
    named |= {f"extra {key}": _lines(value) for key, value in extras.items()}
    return _sorted(named) if named else ""


def _setup_py(text: str) -> str:
    tree = ast.parse(text)
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    said = [
        keyword
        for call in calls
        for keyword in call.keywords
        if keyword.arg is None or keyword.arg in _SETUP
    ]
    if not said:
        return ""
    if any(_is_computed(keyword) for keyword in said):
        return ast.dump(tree)
    return _sorted({keyword.arg or "": ast.unparse(keyword.value) for keyword in said})


def _is_computed(keyword: ast.keyword) -> bool:
    if keyword.arg is None:
        return True
    try:
        ast.literal_eval(keyword.value)
    except (ValueError, TypeError):
        return True
    return False


def _toml(text: str) -> str:
    return _sorted(parse_toml(text, path=PurePosixPath("TOML")))


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _sorted(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, default=str)


_READERS: dict[str, Callable[[str], str]] = {
    "pyproject.toml": _pyproject,
    "setup.cfg": _setup_cfg,
    "setup.py": _setup_py,
    "pipfile": _toml,
    "pixi.toml": _toml,
    ".python-version": _lines,
}

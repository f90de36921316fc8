"""Files that are no Python of the project: what kind they are, and whether a change to them can matter."""

from __future__ import annotations

from pathlib import PurePosixPath

from branchlab.analysis.features.changes import FileChange
from branchlab.analysis.features.findings import Finding
from branchlab.domain import FeatureVerdict

CONFIG_SUFFIXES = {".yaml", ".yml", ".toml", ".json"}
_KINDS = {
    **dict.fromkeys((".md", ".rst", ".txt", ".tex", ".html", ".css"), "docs"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf"), "docs"),
    ".ipynb": "notebook",
    **dict.fromkeys((".sh", ".bat", ".ps1", ".dockerfile", ".mk"), "script"),
    **dict.fromkeys((".cfg", ".ini"), "packaging"),
}
_PACKAGING = {
    *("setup.py", "setup.cfg", "pyproject.toml", "manifest.in", "poetry.lock", "pipfile"),
    *("pipfile.lock", "environment.yml", "environment.yaml", "conda.yaml", "tox.ini", "uv.lock"),
    *("dockerfile", "makefile", "package.json", "package-lock.json", "version.py", "_version.py"),
}
_TOOLING = {"mkdocs.yml", "codecov.yml", ".pre-commit-config.yaml", "citation.cff", "license"}


def is_test(path: str) -> bool:
    """Whether a file tests the project and is no part of it."""
    parts = PurePosixPath(path).parts
    name = parts[-1] if parts else ""
    is_named = name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    return is_named or any(part in {"tests", "testing_suite", "unit_tests"} for part in parts[:-1])


def is_packaging(path: str) -> bool:
    """Whether a file says how the project is built, named and shipped."""
    name = PurePosixPath(path).name.lower()
    return name in _PACKAGING or name.startswith("requirements")


def kind_of(path: str) -> str:  # noqa: PLR0911  one rule after the other
    """Return ``python``, ``config``, ``docs``, ``notebook``, ``packaging``, ``tooling``, ``tests``, ``script`` or ``data``."""
    place = PurePosixPath(path)
    name, suffix = place.name.lower(), place.suffix.lower()
    if is_packaging(path):
        return "packaging"
    is_hidden = any(part.startswith(".") for part in place.parts)
    if is_hidden or name in _TOOLING:
        return "docs" if suffix == ".md" else "tooling"
    if suffix in {".py", ".pyw"}:
        return "tests" if is_test(path) else "python"
    if suffix == ".pyi":
        return "docs"
    if any(part.endswith("docs") for part in place.parts[:-1]):
        return "docs"
    if place.parts[0] == "experiments" and suffix == ".toml":
        return "experiment"
    return "config" if suffix in CONFIG_SUFFIXES else _KINDS.get(suffix, "data")


def file_finding(change: FileChange, kind: str) -> Finding:
    """Return one line for a file that holds no code: nothing that it says can be compared."""
    path = change.head_path
    done = "new" if change.is_added else "gone" if change.is_deleted else "changed"
    what = kind if change.what in {"text", "unread", "nothing"} else change.what
    return Finding(
        verdict=FeatureVerdict.INERT,
        kind=kind,
        symbol="",
        path=path,
        line=0,
        reason=f"{path} is {done}: {what}, no code",
        text=f"{done} {path}",
    )

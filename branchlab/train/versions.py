"""The versions that results depend on, told without importing torch: a login node plans runs that others train.

``python -m branchlab.train.versions`` prints them as a JSON document; so a container is asked for its own.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

from branchlab.errors import ExecutorError

TRAINER_VERSION = "2"
"""Raised whenever the same task would give other bits; part of every run's key."""

_TORCH_VERSION = re.compile(r"^__version__ = '([^']+)'", re.MULTILINE)


def versions() -> dict[str, str]:
    """Return the versions of Python, torch and the trainer, as every executor says them.

    Raises:
        ExecutorError: torch is not installed.
    """
    return {"python": python_version(), "torch": _torch_version(), "trainer": TRAINER_VERSION}


def python_version() -> str:
    """Return the version of this Python, without what it was built with."""
    return ".".join(map(str, sys.version_info[:3]))


def torch_version_in(packages: Path) -> str:
    """Return the version of torch that a folder of packages holds; "" for none."""
    try:
        text = (packages / "torch" / "version.py").read_text()
    except OSError:
        return ""
    found = _TORCH_VERSION.search(text)
    return found[1] if found else ""


def _torch_version() -> str:
    spec = importlib.util.find_spec("torch")
    found = torch_version_in(Path(spec.origin).parents[1]) if spec and spec.origin else ""
    if not found:
        raise ExecutorError(
            f"torch is not installed for {sys.executable}", hint="pip install torch"
        )
    return found


if __name__ == "__main__":
    print(json.dumps(versions()))  # noqa: T201  its answer

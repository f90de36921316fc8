"""The pictures of probes, as they are kept below ``.branchlab/``: a folder a probe that says whose it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from branchlab.lab.project import Project
from branchlab.run_folder import write_atomically

FOLDER = "probes"
"""Below ``.branchlab/``."""
_ABOUT = "about.json"
"""Beside its pictures: the branch, commit and step that a probe is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProbe:
    """The pictures of one probe."""

    branch: str
    commit: str
    step: int
    pictures: tuple[Path, ...]


def say_whose(place: Path, *, branch: str, commit: str, step: int) -> None:
    """Write down beside pictures what they are of, for whoever finds them later."""
    document = {"branch": branch, "commit": commit, "step": step}
    write_atomically(place / _ABOUT, json.dumps(document).encode())


def kept_probes(project: Project) -> list[KeptProbe]:
    """Return the pictures of the latest probe of each branch; folders that do not say whose they are are left out."""
    found: dict[str, tuple[float, KeptProbe]] = {}
    for about in sorted((project.state.path / FOLDER).glob(f"*/{_ABOUT}")):
        try:
            document = json.loads(about.read_bytes())
            one = KeptProbe(
                branch=str(document["branch"]),
                commit=str(document["commit"]),
                step=int(document["step"]),
                pictures=tuple(sorted(about.parent.glob("*.png"))),
            )
            made_at = about.stat().st_mtime
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if made_at >= found.get(one.branch, (0.0, one))[0]:
            found[one.branch] = made_at, one
    return [one for _, one in found.values()]

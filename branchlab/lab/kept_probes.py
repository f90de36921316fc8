"""What probes have left below ``.branchlab/``: a folder a probe with its pictures, what was seen, and whose it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from branchlab.domain import Finding, Probe
from branchlab.lab.project import Project
from branchlab.run_folder import pack_probe, unpack_probe, write_atomically

FOLDER = "probes"
"""Below ``.branchlab/``."""
_ABOUT = "about.json"
"""Beside its pictures: the branch, commit and step that a probe is of."""
_SEEN = "probe.json.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProbe:
    """One probe, by what it is of; ``place`` is its folder."""

    branch: str
    commit: str
    step: int
    pictures: tuple[Path, ...]
    place: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenThen:
    """What the latest probe of a branch saw, and what is wrong with it."""

    kept: KeptProbe
    probe: Probe
    findings: tuple[Finding, ...]


def say_whose(
    place: Path, *, branch: str, commit: str, step: int, probe: Probe | None = None
) -> None:
    """Write down beside pictures what they are of, and what was seen, for whoever finds them later."""
    if probe is not None:
        write_atomically(place / _SEEN, pack_probe(probe))
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
                place=about.parent,
            )
            made_at = about.stat().st_mtime
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if made_at >= found.get(one.branch, (0.0, one))[0]:
            found[one.branch] = made_at, one
    return [one for _, one in found.values()]


def last_probe(project: Project, branch: str) -> SeenThen | None:
    """Return what the latest probe of a branch saw; None without one, or where it is damaged or older than this is kept."""
    # Its rules take a while to import, and a page needs the pictures alone.
    from branchlab.analysis.probe.findings import findings

    kept = next((one for one in kept_probes(project) if one.branch == branch), None)
    if kept is None:
        return None
    try:
        probe = unpack_probe((kept.place / _SEEN).read_bytes())
    except OSError:
        return None
    return None if probe is None else SeenThen(kept=kept, probe=probe, findings=findings(probe))

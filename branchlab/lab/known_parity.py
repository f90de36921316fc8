"""What parity has shown, kept for as long as main, branch and config are what they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from branchlab.domain import PARITY_STEPS, Divergence, Parity, ParityCheck, ParityStatus
from branchlab.lab.project import Project

_KIND = "parity-1"


def keep_parity(project: Project, found: Parity, *, steps: int) -> None:
    """Keep what was shown, for as long as main, branch and config are what they are; a short look is no proof for ``status``."""
    if steps < PARITY_STEPS:
        return
    project.memo().put(
        _KIND, {_key(project, found.main, found.tip): json.dumps(asdict(found)).encode()}
    )


def known_parities(project: Project, main: str, tips: Mapping[str, str]) -> dict[str, Parity]:
    """Return what was shown of branches (name -> tip) against a commit of main, by name."""
    keys = {_key(project, main, tip): name for name, tip in tips.items()}
    found = {}
    for key, content in project.memo().get(_KIND, list(keys)).items():
        parity = _decoded(content)
        if parity is not None:
            found[keys[key]] = parity
    return found


def _key(project: Project, main: str, tip: str) -> str:
    config = project.config
    sample = config.sample.sample()
    drawn: dict[str, object] = {
        name: getattr(sample, name) for name in ("fraction", "strategy", "seed")
    }
    if sample.class_min > 1:
        drawn["class_min"] = sample.class_min
    protocol = [config.trainer.task, dict(config.trainer.arguments), drawn]
    digest = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:16]
    return f"{main}:{tip}:{digest}"


def _decoded(content: bytes) -> Parity | None:
    """Return what was kept; None when it is not what this version writes."""
    try:
        row = json.loads(content)
        return Parity(**{**row, "off": _check_of(row["off"]), "on": _check_of(row["on"])})
    except (ValueError, TypeError, KeyError):
        return None


def _check_of(row: dict[str, Any]) -> ParityCheck:
    first = row["first_difference"]
    return ParityCheck(
        **{
            **row,
            "status": ParityStatus(row["status"]),
            "first_difference": Divergence(**first) if isinstance(first, dict) else None,
            "kernels": tuple(row["kernels"]),
            "not_exercised": tuple(row["not_exercised"]),
        }
    )

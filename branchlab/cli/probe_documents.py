"""The JSON documents of ``probe``. Their keys are a contract: more may be added, none renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from branchlab.cli.documents import Document
from branchlab.domain import Finding, Seen, Stage

if TYPE_CHECKING:
    from branchlab.analysis.probe.divergence import Difference
    from branchlab.lab.probe import Against, Probed


def probe_document(found: Probed) -> Document:
    """Return a probe as ``probe --json`` gives it."""
    return {
        "branch": found.branch,
        "commit": found.commit,
        "flags": dict(found.flags),
        "facts": dict(found.probe.facts),
        "failure": found.probe.failure or None,
        "findings": [_finding(one) for one in found.findings],
        "pictures": {name: str(path) for name, path in found.pictures.items()},
        "stages": [_stage(stage) for stage in found.probe.stages],
        "checks": dict(found.probe.checks),
    }


def _finding(one: Finding) -> Document:
    return {
        "id": one.id,
        "severity": str(one.severity),
        "where": one.where,
        "sentence": one.sentence,
        "remedy": one.remedy or None,
    }


def _stage(stage: Stage) -> Document:
    return {
        "kind": str(stage.kind),
        "name": stage.name,
        "type": stage.type,
        "place": stage.place,
        "call": stage.call,
        "inputs": [_look(look) for look in stage.inputs],
        "outputs": [_look(look) for look in stage.outputs],
        "measures": {name: _plain(value) for name, value in stage.measures.items()},
    }


def _look(look: Seen) -> Document:
    return {
        "name": look.name,
        "shape": list(look.shape),
        "dtype": look.dtype,
        "device": look.device,
        "layout": look.layout,
        "low": look.low,
        "high": look.high,
        "mean": look.mean,
        "std": look.std,
        "zeros": look.zeros,
        "nan": look.nan,
        "inf": look.inf,
        "distinct": look.distinct,
    }


def _plain(value: float) -> Any:  # noqa: ANN401  JSON has no NaN
    return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124  NaN


def against_document(held: Against) -> Document:
    """Return a comparison as ``probe --against --json`` gives it."""
    found = held.divergence
    return {
        "branch": held.ours.branch,
        "against": held.theirs.branch,
        "is_same": found.first is None,
        "first_difference": _difference(found.first) if found.first else None,
        "differences": [_difference(one) for one in found.differences],
        "num_stages": found.num_stages,
        "noise": found.noise,
        "renamed": dict(found.renamed),
        "added": list(found.added),
        "removed": list(found.removed),
        "findings": [_finding(one) for one in held.ours.findings],
    }


def _difference(one: Difference) -> Document:
    return {
        "where": one.where,
        "stage": str(one.stage),
        "kind": one.kind,
        "sentence": one.sentence,
        "apart": None if one.apart is None else _plain(one.apart),
        "is_caused_here": one.is_caused_here,
    }

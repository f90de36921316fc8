"""The JSON document of ``sample``: flat, its keys are a contract as those of the other documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from branchlab.cli.documents import Document
from branchlab.domain import SampleCheck
from branchlab.run_folder import to_text

if TYPE_CHECKING:
    from branchlab.lab.sample import SampleReport


def sample_document(found: SampleReport) -> Document:
    """Return the document of ``sample``."""
    manifest = found.manifest
    drawn = manifest.drawn
    return {
        "fraction": drawn.sample.fraction,
        "strategy": drawn.sample.strategy,
        "seed": drawn.sample.seed,
        "class_min": drawn.sample.class_min,
        "num": drawn.num,
        "of": drawn.of,
        "digest": drawn.digest,
        "targets_digest": drawn.targets,
        "groups": manifest.num_groups or None,
        "strata": str(manifest.strata),
        "commit": manifest.commit,
        "made_at": to_text(manifest.made_at),
        "is_new": found.is_new,
        "manifest": str(found.path),
        "picture": None if found.picture is None else str(found.picture),
        "notes": list(found.notes),
        "checks": [check_document(check) for check in manifest.checks],
    }


def check_document(check: SampleCheck) -> Document:
    """Return one check; its figures stand beside what is said."""
    return {
        "name": check.name,
        "ok": check.is_ok,
        "sentence": check.sentence,
        **check.figures,
    }

"""The JSON documents of the baseline and of promotion. Their keys are a contract, as those of ``documents``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from branchlab.cli.documents import Document

if TYPE_CHECKING:
    from branchlab.lab.baseline import BaselineFound


def baseline_document(found: BaselineFound) -> Document:
    """Return what is known of the baseline."""
    verdict, published = found.verdict, found.published
    metric = published.metric if published is not None else None
    return {
        "state": str(verdict.state),
        "metric": metric,
        "mean": verdict.mean,
        "interval": list(verdict.interval) if verdict.interval else None,
        "published": published and published.value,
        "tolerance": published and published.tolerance,
        "seeds": verdict.seeds,
        "seeds_needed": verdict.seeds_needed,
        "source": (published and published.source) or None,
        "reference": found.reference and found.reference.name,
        "commit": found.results.records[0].run.commit if found.results.records else None,
        "is_of_tip": found.results.is_of_tip if found.results.records else None,
        "values": {str(seed): value for seed, value in found.results.seeds(metric).items()}
        if metric is not None
        else {},
        "notes": list(found.notes),
        "sentence": verdict.sentence,
    }

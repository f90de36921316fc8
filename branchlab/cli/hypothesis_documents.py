"""The JSON document of ``hypotheses``. Its keys are a contract: more may be added, none renamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from branchlab.domain import Hypothesis, JudgedClaim, JudgedHypothesis

if TYPE_CHECKING:
    from branchlab.lab.hypotheses import BranchHypotheses

Document = dict[str, Any]


def hypotheses_document(branches: Sequence[BranchHypotheses]) -> Document:
    """Return the document of ``hypotheses``."""
    return {
        "branches": [
            {
                "name": branch.name,
                "hypotheses": [_hypothesis_document(one) for one in branch.judged],
                "remark": branch.remark or None,
                "problem": branch.problem or None,
                "file": branch.file or None,
                "is_of_tip": branch.is_of_tip,
            }
            for branch in branches
        ]
    }


def _hypothesis_document(judged: JudgedHypothesis) -> Document:
    hypothesis = judged.hypothesis
    return {
        "id": hypothesis.id,
        "claim": hypothesis.claim,
        "state": str(judged.state),
        "words": judged.words,
        "registered": str(judged.registration),
        "original": None if judged.original is None else _original_document(judged.original),
        "min_seeds": hypothesis.min_seeds,
        "seeds_needed": judged.seeds_needed,
        "damage": hypothesis.damage or None,
        "expect": [_finding_document(one) for one in judged.expect],
        "guard": [_finding_document(one) for one in judged.guard],
    }


def _original_document(hypothesis: Hypothesis) -> Document:
    return {
        "claim": hypothesis.claim,
        "min_seeds": hypothesis.min_seeds,
        "expect": dict(hypothesis.expect),
        "guard": dict(hypothesis.guard),
        "damage": hypothesis.damage or None,
    }


def _finding_document(found: JudgedClaim) -> Document:
    return {
        "key": found.key,
        "text": found.text,
        "state": str(found.state),
        "estimate": found.estimate,
        "interval": None if found.interval is None else list(found.interval),
        "seeds": found.seeds,
        "seeds_needed": found.seeds_needed,
        "sentence": found.sentence,
        "column": found.column or None,
    }

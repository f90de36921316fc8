"""The JSON documents of the baseline and of promotion. Their keys are a contract, as those of ``documents``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from branchlab.domain import Trust, Verdict
    from branchlab.lab.baseline import BaselineFound
    from branchlab.lab.halving import Halving
    from branchlab.lab.promote import Promotion

Document = dict[str, Any]


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


def trust_document(trust: Trust | None) -> Document | None:
    """Return how far the sample can be trusted; None where nothing has run on it."""
    if trust is None:
        return None
    signs = trust.signs
    return {
        "state": str(trust.state),
        "num": trust.num,
        "num_others": trust.num_others,
        "tau": trust.tau,
        "tau_ceiling": trust.tau_ceiling,
        "tau_ratio": trust.tau_ratio,
        "signs": None
        if signs is None
        else {
            "held": signs.held,
            "of": signs.of,
            "interval": list(signs.interval) if signs.interval else None,
            "better": {"held": signs.better_held, "of": signs.better_of},
            "others": {"held": signs.others_held, "of": signs.others_of},
            "share": signs.share,
        },
        "slope": trust.slope,
        "residual": trust.residual,
        "regret": trust.regret,
        "fell_with": trust.fell_with or None,
        "sentence": trust.sentence,
    }


def promotion_document(found: Promotion, halved: Halving | None = None) -> Document:
    """Return the document of ``promote``."""
    return {
        "scale": "full",
        "metric": found.metric,
        "goal": str(found.goal),
        "against": found.main,
        "branches": [
            {
                "name": one.branch,
                "commit": one.commit or None,
                "flags": dict(one.sample.subject.flags),
                "chosen": str(one.choice),
                "is_moved": one.is_moved,
                "sample": _verdict_document(one.sample.verdict),
                "full": _verdict_document(one.full),
                "expected": None
                if one.expected is None
                else {"difference": one.expected[0], "residual": one.expected[1]},
            }
            for one in found.branches
        ],
        "trust": trust_document(found.trust),
        "notes": list(found.notes),
        "halving": None if halved is None else _halving_document(halved),
    }


def _verdict_document(verdict: Verdict | None) -> Document | None:
    if verdict is None:
        return None
    return {
        "verdict": str(verdict.outcome),
        "difference": verdict.difference,
        "interval": list(verdict.interval) if verdict.interval else None,
        "confidence": verdict.confidence,
        "seeds": verdict.seeds,
        "p_better": verdict.p_better,
        "seeds_needed": verdict.seeds_needed,
        "scale": str(verdict.scale),
        "sentence": verdict.sentence,
    }


def _halving_document(halved: Halving) -> Document:
    return {
        "eta": halved.eta,
        "is_over": halved.is_over,
        "survivors": list(halved.survivors),
        "rungs": [
            {
                "rung": rung.number,
                "part": rung.part,
                "fraction": rung.fraction,
                "gains": dict(rung.gains),
                "kept": list(rung.kept),
                "dropped": [
                    {"name": one.branch, "gain": one.gain, "reason": one.reason}
                    for one in rung.dropped
                ],
            }
            for rung in halved.rungs
        ],
    }

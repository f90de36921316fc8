"""Verdicts in sentences, and differences in the unit that people say them in.

A metric that is a share (accuracy, IoU, Dice and the like, with all values within 0 and 1) is said in points: a hundredth.
Every other metric, and a share that a project logs in percent, is said in its own unit. Documents keep the metric's unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from branchlab.analysis.noise import Noise, Source
from branchlab.domain import Outcome, Verdict

_SHARES = frozenset({
    *("accuracy", "acc", "top1", "top2", "top3", "top5", "iou", "miou", "jaccard", "dice", "f1", "fscore"),
    *("precision", "recall", "sensitivity", "specificity", "auc", "auroc", "auprc", "ap", "map", "pq", "kappa"),
})  # fmt: skip
_WORD = re.compile(r"[a-z0-9]+")
_ALONE = 2
"""A branch and what it is held against: there is nothing to pool."""


def is_share(metric: str, values: Iterable[float]) -> bool:
    """Whether a metric is a share: one of its words says so, and no value is below 0 or above 1."""
    name = metric.partition("[")[0].casefold()
    return not _SHARES.isdisjoint(_WORD.findall(name)) and all(0 <= value <= 1 for value in values)


def amount(value: float, *, in_points: bool, sign: bool = False) -> str:
    """Return a difference as it is said, without its unit: ``+1.14`` for 0.0114 of a share."""
    plus, places = "+" if sign else "", 2 if in_points else 4
    shown = round(100 * value if in_points else value, places) + 0.0  # no -0.00
    return f"{shown:{plus}.{places}f}"


def difference_text(verdict: Verdict) -> str:
    """Return a verdict's difference in few characters: ``+1.14pt``, or ``+0.0114`` in the metric's own unit."""
    if verdict.difference is None:
        return "-"
    unit = "pt" if verdict.is_share else ""
    return amount(verdict.difference, in_points=verdict.is_share, sign=True) + unit


def interval_text(verdict: Verdict) -> str:
    """Return a verdict's interval as ``[+0.70, +1.58]``, in the unit of ``difference_text``; empty where there is none."""
    if verdict.interval is None:
        return ""
    ends = (amount(end, in_points=verdict.is_share, sign=True) for end in verdict.interval)
    return f"[{', '.join(ends)}]"


def sentence(
    verdict: Verdict,
    *,
    against: str,
    min_effect: float,
    noise: Noise | None = None,
    p: float | None = None,
    seeds_max: int,
) -> str:
    """Return all of a verdict in words.

    Args:
        verdict: Of which everything but the sentence is known.
        against: What the branch is held against.
        min_effect: The difference that matters.
        noise: What it is judged by; None where nothing is known of it.
        p: Adjusted for the number of comparisons and looks; None below two seeds.
        seeds_max: More seeds than that are not counted.
    """
    if verdict.difference is None:
        return f"undecided: no seed that both {verdict.branch} and {against} have finished"
    unit = " points" if verdict.is_share else ""
    mean = amount(verdict.difference, in_points=verdict.is_share, sign=True)
    if p is None or noise is None or verdict.interval is None:
        return _provisional(verdict, mean, unit, noise)
    low, high = (amount(end, in_points=verdict.is_share) for end in verdict.interval)
    seeds = f"{_seeds(verdict)}, {_noise(noise, against)}"
    interim = "interim " if verdict.is_interim else ""
    match verdict.outcome:
        case Outcome.BETTER | Outcome.WORSE:
            interval = f"{interim}{100 * verdict.confidence:g}% interval [{low}, {high}]"
            return f"{verdict.outcome} than {against}: {mean}{unit}, {interval}, {seeds}, Holm p {p:.2g}"
        case Outcome.NO_DIFFERENCE:
            margin = f"{100 * min_effect:g}" if verdict.is_share else f"{min_effect:g}"
            return f"same as {against} within ±{margin}{unit}: {mean} {interim}[{low}, {high}], {seeds}"
        case Outcome.UNDECIDED:
            more = (
                f"about {verdict.seeds_needed} seeds"
                if verdict.seeds_needed
                else f"more than {seeds_max} seeds"
            )
            return (
                f"no difference shown: {mean}{unit} {interim}[{low}, {high}], {seeds}, Holm p {p:.2g}; "
                f"{more} would show your min effect"
            )


def same_sentence(against: str, num_seeds: int) -> str:
    """Return the sentence of a branch that computed what the other did."""
    return f"same as {against}: every metric is equal to the bit on all {num_seeds} seeds"


def _provisional(verdict: Verdict, mean: str, unit: str, noise: Noise | None) -> str:
    advice = "provisional, run at least 2 seeds"
    if noise is None or verdict.interval is None or verdict.difference is None:
        return f"undecided: {mean}{unit} on 1 seed: {advice}"
    reach = amount(verdict.interval[1] - verdict.difference, in_points=verdict.is_share)
    pooled = f"pooled over {noise.num_branches} branches"
    return f"undecided: {mean} ± {reach}{unit} if this branch is as noisy as the others ({pooled}): {advice}"


def _seeds(verdict: Verdict) -> str:
    said = f"{verdict.seeds} seeds"
    if verdict.is_interim:
        said = f"{verdict.seeds} of {verdict.num_declared} declared seeds"
    if verdict.looks > 1:
        level = 1 - verdict.confidence
        whole = (1 - verdict.confidence) * (2**verdict.looks - 1)
        said += (
            f" in {verdict.looks} looks (tested at {100 * level:.3g}%: "
            f"all looks together claim wrongly in at most {100 * whole:.3g}%)"
        )
    return said


def _noise(noise: Noise, against: str) -> str:
    pooled = f"noise pooled over {noise.num_branches} branches"
    if noise.source is Source.ALONE or noise.num_branches <= _ALONE:
        return "noise of its own seeds"
    raised = {Source.OWN: ", raised to its own", Source.OTHER: f", raised to that of {against}"}
    return pooled + raised.get(noise.source, "")

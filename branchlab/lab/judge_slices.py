"""``compare --slices``: what the recorded runs say of each branch on every part of the validation set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from branchlab.analysis.results import is_identical
from branchlab.analysis.verdict import judge_parts
from branchlab.domain import Verdict
from branchlab.lab.judge import Comparison, Judged, question_of
from branchlab.lab.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedBranch:
    """One branch's verdicts by slice (``val/accuracy[shirt]``), with its mean on each; the largest difference first."""

    branch: str
    verdicts: Mapping[str, Verdict]
    means: Mapping[str, float]


def judge_slices(project: Project, found: Comparison) -> tuple[SlicedBranch, ...]:
    """Judge each branch of a comparison on every slice of its metric that it has two common seeds of.

    Noise is pooled over all branches of one protocol, slice by slice. P values are adjusted for the number of a branch's
    slices: a branch is asked where it differs, and each slice is one more chance to differ. A branch that computed what
    the other did has nothing to be asked.
    """
    return tuple(_sliced(project, found, one) for one in found.judged)


def _sliced(project: Project, found: Comparison, one: Judged) -> SlicedBranch:
    name = one.subject.branch
    beside = {
        other.subject.branch: other.results
        for other in found.family.values()
        if other.against is one.against and not is_identical(other.results, other.against)
    }
    parts = {}
    for part in one.results.slices(found.metric):
        values = {branch: results.seeds(part) for branch, results in beside.items()}
        measured = {branch: seeds for branch, seeds in values.items() if seeds}
        if name in measured:
            parts[part] = measured, one.against.seeds(part)
    question = question_of(project, found.metric, beside, one.against, other=found.against)
    verdicts = judge_parts(name, parts, question) if parts else {}
    ordered = sorted(verdicts, key=lambda part: -abs(verdicts[part].difference or 0.0))
    means = {part: _mean(parts[part][0][name]) for part in ordered}
    return SlicedBranch(
        branch=name, verdicts={part: verdicts[part] for part in ordered}, means=means
    )


def _mean(seeds: Mapping[int, float]) -> float:
    return sum(seeds.values()) / len(seeds)

"""``compare --slices``: what the recorded runs say of each branch on every part of the validation set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from branchlab.analysis.noise import Noises, noises_of
from branchlab.analysis.results import BranchResults, is_identical
from branchlab.analysis.verdict import Question, judge_pooled
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
    families: dict[int, _Family] = {}
    for one in found.judged:
        if id(one.against) not in families:
            families[id(one.against)] = _family(project, found, one.against)
    return tuple(_sliced(found, one, families[id(one.against)]) for one in found.judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """The branches that are held against the same runs, with what is asked of them and their noise by slice."""

    beside: Mapping[str, BranchResults]
    against: BranchResults
    question: Question
    noises: dict[str, Noises] = field(default_factory=dict)

    def noises_of(self, part: str) -> Noises:
        if part not in self.noises:
            values = {branch: results.seeds(part) for branch, results in self.beside.items()}
            measured = {branch: seeds for branch, seeds in values.items() if seeds}
            self.noises[part] = noises_of(measured, self.against.seeds(part))
        return self.noises[part]


def _family(project: Project, found: Comparison, against: BranchResults) -> _Family:
    beside = {
        other.subject.branch: other.results
        for other in found.family.values()
        if other.against is against and not is_identical(other.results, other.against)
    }
    question = question_of(project, found.metric, beside, against, other=found.against)
    return _Family(beside=beside, against=against, question=question)


def _sliced(found: Comparison, one: Judged, family: _Family) -> SlicedBranch:
    name, results = one.subject.branch, one.results
    names = results.slices(found.metric) if name in family.beside else []
    values = {part: seeds for part in names if (seeds := results.seeds(part))}
    parts = {part: family.noises_of(part) for part in values}
    verdicts = judge_pooled(name, parts, family.question) if parts else {}
    ordered = sorted(verdicts, key=lambda part: -abs(verdicts[part].difference or 0.0))
    means = {part: _mean(values[part]) for part in ordered}
    return SlicedBranch(
        branch=name, verdicts={part: verdicts[part] for part in ordered}, means=means
    )


def _mean(seeds: Mapping[int, float]) -> float:
    return sum(seeds.values()) / len(seeds)

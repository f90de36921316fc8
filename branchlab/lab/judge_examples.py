"""``compare --examples``: what the examples of the validation set say beside a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from branchlab.analysis.by_example import ByExample, by_example
from branchlab.domain import RunRecord, RunState
from branchlab.lab.judge import Comparison, Judged
from branchlab.lab.project import Project
from branchlab.run_folder import read_examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPLIT = "val/"


def judge_examples(project: Project, found: Comparison) -> dict[str, ByExample]:
    """Return, by branch, the paired test over examples; branches without results by example are left out.

    Only where both runs of a seed saw the same examples: the same positions of the validation set.
    """
    name = found.metric.removeprefix(_SPLIT)
    answers = {one.subject.branch: dict(_answers(project, one, name)) for one in found.judged}
    tests = {branch: by_example(pairs) for branch, pairs in answers.items() if pairs}
    return {branch: test for branch, test in tests.items() if test is not None}


def _answers(
    project: Project, one: Judged, name: str
) -> Iterator[tuple[int, tuple[NDArray[Any], NDArray[Any]]]]:
    theirs = {r.run.seed: r for r in one.against.records if r.state is RunState.DONE}
    for record in one.results.records:
        other = theirs.get(record.run.seed)
        if record.state is not RunState.DONE or other is None:
            continue
        mine, its = _examples(project, record), _examples(project, other)
        if name not in mine or name not in its or "ids" not in mine or "ids" not in its:
            continue
        if mine["ids"].tolist() == its["ids"].tolist() and mine[name].shape == its[name].shape:
            yield record.run.seed, (mine[name], its[name])


def _examples(project: Project, record: RunRecord) -> dict[str, NDArray[Any]]:
    attempt = project.state.run(record.run.id).attempt(record.attempts)
    return read_examples(attempt.val_examples) or {}

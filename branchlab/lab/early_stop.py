"""Leaving out seeds that cannot change a verdict any more, while a batch runs (``[run] stop_early``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from branchlab.analysis.curtail import settled
from branchlab.analysis.declared import NOT_NEEDED
from branchlab.analysis.results import content_of
from branchlab.analysis.verdict import Question
from branchlab.config import RunOptions
from branchlab.domain import Outcome, Run, RunRecord, RunState

_WORDS = {
    Outcome.BETTER: "better than {main}",
    Outcome.WORSE: "worse than {main}",
    Outcome.NO_DIFFERENCE: "the same as {main}",
    Outcome.UNDECIDED: "no difference from {main} shown",
}


class EarlyStop:
    """Knows which runs of a batch are needed no more.

    Args:
        runs: The whole plan. ``main``: the branch that all others are held against.
        options: ``[run]``.
    """

    def __init__(self, runs: Sequence[Run], main: str, options: RunOptions) -> None:
        self._main, self._options = main, options
        self._trees = {run.branch: run.tree for run in runs}
        # A promotion may run several commits of main: then nobody is held against them all.
        self._is_one_main = len({content_of(run) for run in runs if run.branch == main}) < 2  # noqa: PLR2004
        self._num_seeds = len({run.seed for run in runs})
        self._scale = runs[0].scale if runs else None
        self._settled: dict[str, Outcome] = {}

    def look(self, records: Mapping[str, RunRecord]) -> None:
        """Learn from the runs that are done."""
        values: dict[str, dict[int, float]] = {branch: {} for branch in self._trees}
        for record in records.values():
            value = record.metrics.get(self._options.metric)
            if record.state is RunState.DONE and value is not None:
                values.setdefault(record.run.branch, {})[record.run.seed] = value
        main = values.pop(self._main, {})
        if not main or not self._is_one_main or self._scale is None:
            return
        question = Question(
            goal=self._options.goal,
            min_effect=self._options.min_effect,
            scale=self._scale,
            against=self._main,
        )
        found = settled(values, main, question, num_planned=self._num_seeds)
        # Once left out, a branch stays left out: its verdict rests on the seeds that it has.
        self._settled = {**found, **self._settled}

    def why_not(self, run: Run) -> str:
        """Return why a run is not needed, or nothing when it is."""
        others = self._trees.keys() - {self._main}
        if run.branch == self._main:
            is_over = bool(others) and others <= self._settled.keys()
            return f"{NOT_NEEDED}: every branch's verdict is settled" if is_over else ""
        outcome = self._settled.get(run.branch)
        if outcome is None:
            return ""
        word = _WORDS[outcome].format(main=self._main)
        return f"{NOT_NEEDED}: {word}, and the seeds that are left could not change that"

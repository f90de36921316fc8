"""When a batch leaves out what it needs no more: plans and records as values."""

from __future__ import annotations

import pytest

from branchlab.config import RunOptions
from branchlab.domain import Run, RunRecord, RunState, Sample, Scale
from branchlab.lab.early_stop import EarlyStop

MAIN = (0.800, 0.810, 0.790, 0.801, 0.809)
BETTER = (0.902, 0.911, 0.893, 0.899, 0.912)


def run(branch: str, content: str, seed: int) -> Run:
    return Run(
        id=f"{branch}-{content}-{seed}", key="", branch=branch, commit="c", tree=content, seed=seed,
        task="t", scale=Scale.FULL, sample=Sample(fraction=1.0),
    )  # fmt: skip


def plan_and_records(*mains: str) -> tuple[list[Run], dict[str, RunRecord]]:
    """Return twelve seeds of each content of main and of a branch, five of them done."""
    runs = [run("main", content, seed) for content in mains for seed in range(12)]
    runs += [run("exp/a", "a", seed) for seed in range(12)]
    records = {}
    for one in runs:
        if one.seed < len(MAIN):
            value = (MAIN if one.branch == "main" else BETTER)[one.seed]
            metrics = {"val/accuracy": value}
            records[one.id] = RunRecord(run=one, state=RunState.DONE, metrics=metrics)
    return runs, records


@pytest.mark.parametrize(("mains", "is_left_out"), [(("m",), True), (("m", "older"), False)])
def test_with_two_commits_of_main_nothing_is_left_out(mains, is_left_out) -> None:
    runs, records = plan_and_records(*mains)
    early = EarlyStop(runs, "main", RunOptions())
    early.look(records)
    assert bool(early.why_not(runs[-1])) is is_left_out

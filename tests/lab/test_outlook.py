from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from branchlab.domain import Run, RunRecord, RunState, Sample, Scale
from branchlab.lab.outlook import estimate, reason_for
from branchlab.schedule.plan import Plan, PlannedRun

RUN = Run(
    id="se-s0-aaaa", key="k1", branch="exp/se", commit="c1", tree="t1", task="t:T", seed=0,
    scale=Scale.SAMPLE, sample=Sample(fraction=0.1), environment={"torch": "2.15"},
    planned_at=datetime(2026, 11, 27, tzinfo=UTC),
)  # fmt: skip


def done(run: Run, seconds: float = 10.0, state: RunState = RunState.DONE) -> RunRecord:
    return RunRecord(run=run, state=state, duration_s=seconds)


def plan(*runs: Run) -> Plan:
    return Plan(batch="b", runs=tuple(PlannedRun(run=run) for run in runs))


def test_a_branchs_own_runs_tell_how_long_it_takes_and_others_where_it_has_none() -> None:
    new = replace(RUN, id="new", branch="exp/new")
    records = [
        done(RUN, 10),
        done(replace(RUN, id="b", seed=1), 30),
        done(replace(RUN, id="m", branch="main"), 50),
    ]
    found = estimate(plan(replace(RUN, id="a", seed=9), new), records, num_slots=1)
    assert found.run_s == {"a": 20, "new": 30}
    assert found.total_s == 50
    assert found.num_earlier == 3


def test_slots_divide_the_time() -> None:
    runs = [replace(RUN, id=f"r{i}", seed=i) for i in range(5)]
    assert estimate(plan(*runs), [done(RUN, 10)], num_slots=2).total_s == 30


@pytest.mark.parametrize(
    "other",
    [
        {"scale": Scale.FULL}, {"sample": Sample(fraction=0.2)}, {"epochs": 3}, {"device": "cuda"},
        {"threads": 4}, {"budget_s": 60.0}, {"task": "t:U"}, {"processes": 2},
    ],
)  # fmt: skip
def test_runs_of_another_length_tell_nothing(other: dict) -> None:
    found = estimate(plan(RUN), [done(replace(RUN, id="o", **other))], num_slots=1)
    assert (found.total_s, found.num_earlier) == (None, 0)


def test_a_failed_run_tells_nothing_and_a_budget_needs_no_earlier_run() -> None:
    assert estimate(plan(RUN), [done(RUN, 10, RunState.FAILED)], num_slots=1).total_s is None
    assert estimate(plan(replace(RUN, budget_s=60.0)), [], num_slots=1).total_s == 60


@pytest.mark.parametrize(
    ("known", "earlier", "said"),
    [
        (None, None, "new"),
        (done(RUN), done(RUN), "known"),
        (done(replace(RUN, branch="main")), None, "known: same content as main"),
        (replace(done(RUN, state=RunState.CANCELLED), step=9), None, "goes on (cancelled)"),
        (done(RUN, state=RunState.FAILED), None, "again (failed)"),
        (None, done(RUN), "forced"),
        (None, done(replace(RUN, key="k2", tree="t2")), "new: the branch has changed since se-s0-aaaa"),
        (None, done(replace(RUN, key="k2", flags={"a": 1})), "new: other flags than se-s0-aaaa"),
        (None, done(replace(RUN, key="k2", epochs=1)), "new: another length than se-s0-aaaa"),
        (None, done(replace(RUN, key="k2", sample=Sample(fraction=0.5))), "new: another sample than se-s0-aaaa"),
        (None, done(replace(RUN, key="k2", environment={"torch": "2.14"})), "new: torch was 2.14, is 2.15"),
        (None, done(replace(RUN, key="k2", environment={"torch": "2.15", "threads": "1"})), "new: threads was 1, is not set"),
        (None, done(replace(RUN, key="k2", seed=1)), "new"),
    ],
)  # fmt: skip
def test_every_planned_run_says_why(
    known: RunRecord | None, earlier: RunRecord | None, said: str
) -> None:
    records = [record for record in (earlier,) if record is not None]
    assert reason_for(PlannedRun(run=RUN, known=known), records) == said

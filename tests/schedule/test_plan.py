from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.domain import RunRecord, RunState, Sample, Scale
from branchlab.errors import ConfigError
from branchlab.schedule.plan import Protocol, Target, make_plan, run_id, run_key
from branchlab.schedule.pool import slots_for

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
MAIN = Target(branch="main", commit="c0", tree="t0")
SE = Target(branch="exp/se", commit="c1", tree="t1", flags={"se": True})
WIDE = Target(branch="exp/wide", commit="c2", tree="t2")
PROTOCOL = Protocol(
    task="t:T", scale=Scale.SAMPLE, sample=Sample(fraction=0.1), environment={"torch": "2.15"}
)


class Known:
    """Records by key, as the index gives them."""

    def __init__(self) -> None:
        self.records: list[RunRecord] = []

    def __call__(self, key: str) -> list[RunRecord]:
        found = [record for record in self.records if record.run.key == key]
        return sorted(found, key=lambda record: record.run.planned_at, reverse=True)

    def plan(self, *targets: Target, seeds=range(2), is_forced: bool = False, minute: int = 0):
        return make_plan(
            targets or (MAIN, SE, WIDE), seeds, PROTOCOL,
            known=self, now=NOW + timedelta(minutes=minute), is_forced=is_forced,
        )  # fmt: skip

    def end(self, plan, state: RunState = RunState.DONE) -> None:
        self.records += [RunRecord(run=run, state=state) for run in plan.to_start]


def test_seeds_come_one_after_another_and_main_first_in_each() -> None:
    order = [(p.run.seed, p.run.branch) for p in Known().plan().runs]
    assert order == [(s, b) for s in range(2) for b in ("main", "exp/se", "exp/wide")]


@pytest.mark.parametrize(
    ("target", "seed", "protocol"),
    [
        (replace(MAIN, tree="t9"), 0, PROTOCOL),
        (replace(MAIN, flags={"se": True}), 0, PROTOCOL),
        (replace(MAIN, flags={"se": 1}), 0, PROTOCOL),
        (MAIN, 1, PROTOCOL),
        (MAIN, 0, replace(PROTOCOL, sample=Sample(fraction=0.2))),
        (MAIN, 0, replace(PROTOCOL, sample=Sample(fraction=0.1, seed=1))),
        (MAIN, 0, replace(PROTOCOL, sample=Sample(fraction=0.1, strategy="random"))),
        (MAIN, 0, replace(PROTOCOL, sample=Sample(fraction=0.1, class_min=5))),
        (MAIN, 0, replace(PROTOCOL, sample=Sample(fraction=0.1, manifest="1f3c"))),
        (MAIN, 0, replace(PROTOCOL, scale=Scale.FULL)),
        (MAIN, 0, replace(PROTOCOL, epochs=3)),
        (MAIN, 0, replace(PROTOCOL, task="t:U")),
        (MAIN, 0, replace(PROTOCOL, arguments={"width": 8})),
        (MAIN, 0, replace(PROTOCOL, environment={"torch": "2.16"})),
        (MAIN, 0, replace(PROTOCOL, deterministic=False)),
    ],
)
def test_whatever_decides_a_result_is_in_its_key(target, seed: int, protocol) -> None:
    assert run_key(target, seed, protocol) != run_key(MAIN, 0, PROTOCOL)


def test_what_is_written_down_about_an_experiment_is_not_in_the_key() -> None:
    noted = replace(SE, commit="c9", tree="t9", content="t1")
    assert run_key(noted, 0, PROTOCOL) == run_key(SE, 0, PROTOCOL)
    assert run_key(replace(noted, content="t2"), 0, PROTOCOL) != run_key(SE, 0, PROTOCOL)


def test_runs_that_were_recorded_under_their_whole_tree_stay_known() -> None:
    known = Known()
    known.end(known.plan(MAIN, SE))
    described = replace(SE, content="t1-without-its-description")
    assert not known.plan(MAIN, described, minute=1).to_start
    assert len(known.plan(MAIN, replace(described, tree="t9"), minute=1).to_start) == 2


def test_a_key_is_what_it_was_before_samples_had_manifests() -> None:
    target = Target(branch="exp/a", commit="c" * 40, tree="t" * 40)
    protocol = Protocol(
        task="m:T",
        scale=Scale.SAMPLE,
        sample=Sample(fraction=0.1, seed=2),
        environment={"torch": "2"},
    )
    known = "67bdec30043d0961bc410597b20ea981308aa2f23c386470044629b18b82df6c"
    assert run_key(target, 0, protocol) == known


def test_neither_name_nor_commit_is_in_the_key() -> None:
    moved = replace(MAIN, branch="exp/other", commit="c9")
    assert run_key(moved, 0, PROTOCOL) == run_key(MAIN, 0, PROTOCOL)


def test_the_order_of_flags_is_not_in_the_key() -> None:
    one = replace(MAIN, flags={"a": 1, "b": 2})
    other = replace(MAIN, flags={"b": 2, "a": 1})
    assert run_key(one, 0, PROTOCOL) == run_key(other, 0, PROTOCOL)


def test_branches_of_equal_content_share_their_runs() -> None:
    twin = replace(MAIN, branch="exp/twin", commit="c9")
    assert [p.run.branch for p in Known().plan(MAIN, twin).runs] == ["main", "main"]


def test_known_results_are_used_again() -> None:
    known = Known()
    first = known.plan()
    known.end(first)
    second = known.plan(minute=1)
    assert second.to_start == ()
    assert [p.run for p in second.runs] == [p.run for p in first.runs]
    assert [p.run.branch for p in known.plan(MAIN, seeds=range(3)).runs if not p.is_reused] == [
        "main"
    ]


@pytest.mark.parametrize(
    "state", [RunState.FAILED, RunState.CANCELLED, RunState.LOST, RunState.PLANNED]
)
def test_a_run_that_gave_nothing_is_gone_on_with(state: RunState) -> None:
    known = Known()
    first = known.plan(MAIN, seeds=[0])
    known.end(first, state)
    second = known.plan(MAIN, seeds=[0], minute=1)
    assert second.to_start == first.to_start
    assert not second.runs[0].is_reused


def test_a_result_comes_before_a_later_failure() -> None:
    known = Known()
    known.end(known.plan(MAIN, seeds=[0]))
    known.end(known.plan(MAIN, seeds=[0], is_forced=True, minute=1), RunState.FAILED)
    assert known.plan(MAIN, seeds=[0], minute=2).to_start == ()


def test_force_trains_again_under_new_ids() -> None:
    known = Known()
    ids: list[str] = []
    for minute in range(3):
        plan = known.plan(MAIN, seeds=[0], is_forced=True, minute=minute)
        known.end(plan)
        ids += [run.id for run in plan.to_start]
    assert len(set(ids)) == 3
    assert ids[1:] == [f"{ids[0]}-2", f"{ids[0]}-3"]
    # A run that was deleted meanwhile must not make the next one write into another's folder.
    known.records = [record for record in known.records if record.run.id != ids[1]]
    again = known.plan(MAIN, seeds=[0], is_forced=True, minute=4).to_start[0].id
    assert again not in {record.run.id for record in known.records}


def test_two_plans_of_one_second_are_two_batches_in_order() -> None:
    later = NOW + timedelta(milliseconds=3)
    first, second = (make_plan([MAIN], [0], PROTOCOL, known=Known(), now=t) for t in (NOW, later))
    assert first.batch < second.batch


def test_no_targets_are_an_empty_plan() -> None:
    plan = make_plan([], [0], PROTOCOL, known=Known(), now=NOW)
    assert plan.runs == plan.to_start == ()


@settings(max_examples=200, deadline=None)
@given(
    branch=st.text() | st.sampled_from(["exp/../../etc", "-rf", "--", "a/.lock", "CON", "/", ""])
)
def test_an_id_is_a_safe_folder_and_ref_name_for_any_branch(branch: str) -> None:
    found = run_id(branch, 12, "f" * 64, number=3)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}-s12-ffffffff-3", found)


CORES = 4


@pytest.mark.parametrize(
    ("devices", "jobs", "num_runs", "slots"),
    [
        (["cpu"], 0, 9, [("cpu", None)] * 4),
        (["cpu"], 0, 2, [("cpu", None)] * 2),
        (["cpu"], 2, 9, [("cpu", None)] * 2),
        (["cpu"], 8, 9, [("cpu", None)] * 8),
        (["cpu"], 0, 0, [("cpu", None)]),
        (["mps"], 0, 9, [("mps", None)]),
        (["mps"], 2, 9, [("mps", None)] * 2),
        (["cuda:0", "cuda:1"], 0, 9, [("cuda", "0"), ("cuda", "1")]),
        (["cuda:0", "cuda:1"], 0, 1, [("cuda", "0")]),
        (["cuda:0", "cuda:1"], 3, 9, [("cuda", "0"), ("cuda", "1"), ("cuda", "0")]),
        (["cuda:1"], 0, 9, [("cuda", "1")]),
        (["cuda:1"], 2, 9, [("cuda", "1")] * 2),
    ],
)
def test_slots_are_as_many_as_serve(devices, jobs: int, num_runs: int, slots) -> None:
    found = slots_for(devices, jobs=jobs, num_cores=CORES, num_runs=num_runs)
    assert [(slot.device, slot.visible_device) for slot in found] == slots
    assert len({slot.name for slot in found}) == len(found)


@pytest.mark.parametrize(
    ("devices", "jobs", "processes", "slots"),
    [
        (["cpu"], 0, 2, [("cpu", None)] * 2),
        (["cpu"], 0, 3, [("cpu", None)]),
        (["cpu"], 0, 9, [("cpu", None)]),
        (["cpu"], 3, 2, [("cpu", None)] * 3),
        (["cuda:0", "cuda:1"], 0, 2, [("cuda", "0,1")]),
        (["cuda:0", "cuda:1", "cuda:2"], 0, 2, [("cuda", "0,1")]),
        ([f"cuda:{i}" for i in range(4)], 0, 2, [("cuda", "0,1"), ("cuda", "2,3")]),
        (
            [f"cuda:{i}" for i in range(4)],
            3,
            2,
            [("cuda", "0,1"), ("cuda", "2,3"), ("cuda", "0,1")],
        ),
    ],
)
def test_a_slot_for_several_processes_has_as_many_devices(
    devices, jobs: int, processes: int, slots
) -> None:
    found = slots_for(devices, jobs=jobs, num_cores=CORES, num_runs=9, processes=processes)
    assert [(slot.device, slot.visible_device) for slot in found] == slots
    assert len({slot.name for slot in found}) == len(found)


def test_fewer_gpus_than_processes_are_refused_with_both_figures() -> None:
    with pytest.raises(ConfigError, match="a run takes 4 GPUs, and there are 2: cuda:0, cuda:1"):
        slots_for(["cuda:0", "cuda:1"], jobs=0, num_cores=CORES, num_runs=1, processes=4)


def test_a_target_with_an_environment_of_its_own_is_keyed_and_planned_with_it() -> None:
    own = {"torch": "2.14", "packages": "ab12"}
    plan = Known().plan(MAIN, replace(SE, environment=own), seeds=[0])
    assert [dict(run.environment) for run in plan.to_start] == [{"torch": "2.15"}, own]
    other = replace(SE, environment={**own, "packages": "cd34"})
    assert run_key(SE, 0, replace(PROTOCOL, environment=own)) == plan.to_start[1].key
    assert Known().plan(other, seeds=[0]).to_start[0].key != plan.to_start[1].key

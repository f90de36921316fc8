"""The pool's own decisions, over an executor that only writes down what it is told and ends runs as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.run_folder import StateFolder, locked
from branchlab.schedule.executor import Bounds, Ended, Facts, Outcome, Start
from branchlab.schedule.packing import Packing, Reading
from branchlab.schedule.pool import Manner, Pool, Slot, StopRequest

BOUNDS = Bounds(timeout_s=60, silence_s=60)


class FakeExecutor:
    """Ends what it is given at the next wait, with what ``ending`` writes into the attempt."""

    def __init__(self, ending: Callable[[Start], Outcome]) -> None:
        self.ending = ending
        self.started: list[Start] = []
        self.side_by_side: list[set[str]] = []
        self._open: list[Start] = []

    def facts(self) -> Facts:
        return Facts(devices=("cuda:0",), environment={})

    def start(self, orders: Sequence[Start]) -> None:
        self.started += orders
        self._open += orders

    def wait(self, timeout_s: float) -> list[Ended]:
        self.side_by_side.append({order.run_folder.path.name for order in self._open})
        first, self._open = self._open[:1], self._open[1:]
        return [Ended(ticket=order.ticket, outcome=self.ending(order)) for order in first]

    def stop(self, ticket: int, *, is_now: bool) -> None: ...

    def close(self) -> None: ...


def result(order: Start, state: RunState = RunState.DONE, **more: object) -> Outcome:
    attempt = order.run_folder.attempt(order.attempt)
    attempt.path.mkdir(parents=True, exist_ok=True)
    attempt.write_result(state, **more)
    return Outcome.ENDED


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    found = StateFolder(tmp_path / ".branchlab")
    found.create()
    return found


def a_run(state: StateFolder, run_id: str) -> Run:
    run = Run(
        id=run_id, key=run_id, branch=run_id, commit="c", tree="t", task="t:T", seed=0,
        scale=Scale.SAMPLE, sample=Sample(fraction=1.0), planned_at=datetime(2026, 11, 23, tzinfo=UTC),
    )  # fmt: skip
    state.run(run.id).write_plan(run)
    return run


def carry_out(state: StateFolder, executor: FakeExecutor, names: str, *, slots: int = 2, **how):
    runs = [a_run(state, name) for name in names]
    manner = Manner(**{"prepare": lambda _: state.path, "bounds": BOUNDS, **how})
    places = [Slot(device="cuda", visible_device="0", number=number) for number in range(slots)]
    return list(Pool(executor, state, places, manner).carry_out(runs, StopRequest()))


def flat(changes, name: str) -> list:
    return [item for change in changes for item in getattr(change, name)]


def test_a_run_that_was_out_of_memory_runs_again_alone(state) -> None:
    def ending(order: Start) -> Outcome:
        is_short = order.run_folder.path.name == "b" and order.attempt == 1
        if is_short:
            return result(order, RunState.FAILED, is_out_of_memory=True)
        return result(order)

    executor = FakeExecutor(ending)
    changes = carry_out(state, executor, "abcde", slots=3)
    assert [(run.id, why) for run, why in flat(changes, "again")] == [
        ("b", "out of memory: it runs again, alone on its device")
    ]
    assert [run.id for run in flat(changes, "ended")].count("b") == 1
    assert {"b"} in executor.side_by_side
    tries = [order.attempt for order in executor.started if order.run_folder.path.name == "b"]
    assert tries == [1, 2]
    # While it was alone nothing was beside it, and it was not alone the first time.
    second = max(i for i, found in enumerate(executor.side_by_side) if "b" in found)
    assert executor.side_by_side[second] == {"b"}


def test_a_run_that_is_out_of_memory_alone_has_failed(state) -> None:
    executor = FakeExecutor(lambda order: result(order, RunState.FAILED, is_out_of_memory=True))
    changes = carry_out(state, executor, "a")
    assert [run.id for run in flat(changes, "ended")] == ["a"]
    assert [order.attempt for order in executor.started] == [1, 2]


def test_a_slot_that_another_command_uses_is_waited_for(state) -> None:
    is_free = threading.Event()

    def hold() -> None:
        with locked(state.slots / "cuda-0-0"):
            is_free.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    executor = FakeExecutor(result)
    runs = [a_run(state, name) for name in "ab"]
    manner = Manner(prepare=lambda _: state.path, bounds=BOUNDS, shares_slots=True)
    slots = [Slot(device="cuda", visible_device="0")]
    changes = Pool(executor, state, slots, manner).carry_out(runs, StopRequest())
    for _ in range(4):
        next(changes)
    assert executor.started == []
    is_free.set()
    other.join()
    list(changes)
    assert [order.run_folder.path.name for order in executor.started] == ["a", "b"]
    assert {order.slot for order in executor.started} == {state.slots / "cuda-0-0"}


def test_an_order_whose_slot_was_taken_in_between_is_given_again(state) -> None:
    told = 0

    def ending(order: Start) -> Outcome:
        nonlocal told
        told += 1
        return Outcome.BUSY if told == 1 else result(order)

    changes = carry_out(state, FakeExecutor(ending), "a")
    assert told == 2
    assert [run.id for run in flat(changes, "ended")] == ["a"]


def test_a_run_of_another_command_is_watched_until_it_is_over(state) -> None:
    def ending(order: Start) -> Outcome:
        if order.run_folder.path.name == "a":
            result(order)  # by whoever holds it
            return Outcome.ELSEWHERE
        return result(order)

    changes = carry_out(state, FakeExecutor(ending), "ab")
    assert [run.id for run in flat(changes, "elsewhere")] == ["a"]
    assert [run.id for run in flat(changes, "ended")] == ["b"]


def test_a_run_whose_command_died_before_it_began_is_taken_over(state) -> None:
    told = 0

    def ending(order: Start) -> Outcome:
        nonlocal told
        told += 1
        return Outcome.ELSEWHERE if told == 1 else result(order)

    changes = carry_out(state, FakeExecutor(ending), "a")
    assert [run.id for run in flat(changes, "ended")] == ["a"]
    assert flat(changes, "again") == []


@pytest.mark.parametrize(("by", "tries"), [("branchlab cancel", 1), ("an interrupt", 2)])
def test_a_run_that_another_command_was_interrupted_in_goes_on_and_a_cancelled_one_does_not(
    state, by: str, tries: int
) -> None:
    def ending(order: Start) -> Outcome:
        if order.attempt > 1:
            return result(order)
        if by == "branchlab cancel":
            order.run_folder.ask_to_stop()
        result(order, RunState.CANCELLED)
        return Outcome.ELSEWHERE

    executor = FakeExecutor(ending)
    changes = carry_out(state, executor, "a")
    assert len(executor.started) == tries
    assert len(flat(changes, "elsewhere")) == (tries == 1)
    assert len(flat(changes, "ended")) == (tries == 2)


def test_what_is_needed_no_more_is_left_out_when_its_turn_comes(state) -> None:
    changes = carry_out(
        state, FakeExecutor(result), "abc", why_not=lambda run: "settled" if run.id == "b" else ""
    )
    assert [(run.id, why) for run, why in flat(changes, "dropped")] == [("b", "settled")]
    assert sorted(run.id for run in flat(changes, "ended")) == ["a", "c"]


def test_after_its_time_a_batch_starts_nothing_more(state) -> None:
    changes = carry_out(state, FakeExecutor(result), "abcd", slots=1, starts_for_s=0.0)
    assert [run.id for run in flat(changes, "late")] == list("abcd")
    assert flat(changes, "started") == []


class TestPacking:
    """One device of 80 GiB and runs that tell 9.4 GiB and 1,000 images/s."""

    def hear(self, packing: Packing, num: int, *, rate: float = 1000.0, memory: float = 9.4) -> int:
        for epoch in (1, 2, 3):
            readings = {
                f"r{i}": Reading(epoch=epoch, images_per_s=rate, memory_gib=memory, total_gib=80.0)
                for i in range(num)
            }
            packing.hear("0", readings)
        return packing.room("0")

    def test_the_first_run_is_alone_until_it_has_told_its_memory(self) -> None:
        packing = Packing(most=8)
        assert packing.room("0") == 1
        packing.hear("0", {"a": Reading(epoch=0, images_per_s=0, memory_gib=0, total_gib=0)})
        assert packing.room("0") == 1

    def test_runs_are_added_one_by_one_as_long_as_they_fit(self) -> None:
        packing = Packing(most=8)
        found = [self.hear(packing, num) for num in range(1, 8)]
        # 92% of 80 GiB hold seven of 10 GiB.
        assert found == [2, 3, 4, 5, 6, 7, 7]

    def test_no_run_is_added_that_does_not_help(self) -> None:
        packing = Packing(most=8)
        assert self.hear(packing, 1, rate=1000) == 2
        assert self.hear(packing, 2, rate=800) == 3
        assert self.hear(packing, 3, rate=540) == 2  # 1,620 in all, 1,600 with two
        assert self.hear(packing, 2, rate=800) == 2

    def test_a_device_that_ran_out_of_memory_is_never_filled_so_far_again(self) -> None:
        packing = Packing(most=8)
        self.hear(packing, 1)
        self.hear(packing, 2)
        packing.ran_out("0")
        assert packing.room("0") == 2
        assert self.hear(packing, 2) == 2

    def test_devices_are_learned_of_apart(self) -> None:
        packing = Packing(most=8)
        self.hear(packing, 1)
        assert (packing.room("0"), packing.room("1")) == (2, 1)

    def test_the_bound_is_kept(self) -> None:
        packing = Packing(most=2)
        self.hear(packing, 1)
        assert self.hear(packing, 2) == 2


def test_a_gpu_is_filled_as_its_runs_tell_their_memory(state) -> None:
    packing = Packing(most=4)
    executor = FakeExecutor(result)
    runs = [a_run(state, name) for name in "abcdefgh"]
    manner = Manner(prepare=lambda _: state.path, bounds=BOUNDS, packing=packing)
    slots = [Slot(device="cuda", visible_device="0", number=number) for number in range(4)]
    pool = Pool(executor, state, slots, manner)
    for _ in pool.carry_out(runs, StopRequest()):
        for epoch in (1, 2, 3):
            told = Reading(epoch=epoch, images_per_s=100, memory_gib=10, total_gib=40)
            pool.hear({run.id: told for run in runs})
    most = max(len(found) for found in executor.side_by_side)
    assert executor.side_by_side[0] == {"a"}
    assert most == 3  # 40 GiB hold three of 10.6

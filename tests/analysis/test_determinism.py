"""From notes to a culprit: which call, what torch refuses, what a checkpoint lacks."""

from __future__ import annotations

import math

from branchlab.analysis.determinism.chance import cause_of, cause_of_unfilled, parted, unfilled
from branchlab.analysis.determinism.interruption import interrupted_difference, joined, lacking
from branchlab.analysis.determinism.kernels import refused_operation
from branchlab.domain import AT_THE_END, Note, Noted, Outside, Recording


def recording(*notes: tuple, failure: str = "", kernels: tuple[str, ...] = ()) -> Recording:
    return Recording(notes=tuple(Note(*note) for note in notes), failure=failure, kernels=kernels)


def chance(step: int, what: str, call: str, line: int) -> tuple:
    return Noted.CHANCE, step, what, [call, f"a.py:{line}"]


def loss(step: int, value: float) -> tuple:
    return Noted.LOSS, step, "", value.hex()


def test_the_call_just_before_a_difference_is_the_culprit_and_a_stopwatch_the_last_to_be_blamed() -> (
    None
):
    calls = [
        chance(0, "the system's random numbers", "uuid.uuid4()", 1),
        (Noted.DATA, 0, "train ids", 1),
        chance(1, "the clock", "time.perf_counter()", 2),
        chance(1, "the clock", "time.time()", 3),
        chance(1, "the order of a folder", "os.listdir()", 4),
    ]
    one, two = recording(*calls, loss(1, 1.0)), recording(*calls, loss(1, 2.0))

    cause = cause_of(one, two, ())

    assert (cause.operation, cause.place) == ("time.time()", "a.py:3")
    assert "so do uuid.uuid4() (a.py:1), time.perf_counter() (a.py:2)" in cause.reason
    assert cause_of(one, two, (Outside.LISTING,)).place == "a.py:4"


def test_a_call_after_the_difference_is_no_culprit() -> None:
    one = recording(loss(1, 1.0), chance(2, "the clock", "time.time()", 3))
    two = recording(loss(1, 2.0), chance(2, "the clock", "time.time()", 3))

    assert "no call was seen" in cause_of(one, two, ()).reason
    assert "another hash seed" in cause_of(one, two, (Outside.HASHES,)).reason


def test_a_difference_speaks_of_the_first_training_not_of_main() -> None:
    one = recording((Noted.RANDOM, 0, "data", 1))
    two = recording((Noted.RANDOM, 0, "data", 2))

    assert parted(one, two).reason == "it draws other random numbers than the first training"
    assert parted(one, one) is None


def test_a_loss_that_is_no_number_leads_to_memory_that_was_not_filled() -> None:
    found = recording(
        chance(1, "memory as it was found", "torch.empty(3)", 5), loss(1, 1.0), loss(2, math.nan)
    )

    assert unfilled(found).step == 2
    assert cause_of_unfilled(found, 2).place == "a.py:5"
    assert cause_of_unfilled(recording(loss(1, math.nan)), 1) is None
    assert unfilled(recording(loss(1, 1.0))) is None


def test_an_operation_that_torch_refuses_has_a_place_and_something_to_use_instead() -> None:
    failure = "RuntimeError: adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation (net.py:7)"
    cause = refused_operation(
        recording(failure=failure, kernels=("adaptive_avg_pool2d_backward_cuda", "put_"))
    )

    assert (cause.operation, cause.place) == ("adaptive_avg_pool2d_backward_cuda", "net.py:7")
    assert "x.mean(dim=(2, 3))" in cause.remedy
    assert "deterministic = false" in cause.remedy
    assert "so have put_" in cause.reason
    assert refused_operation(recording(failure="ValueError: no")) is None
    assert refused_operation(recording(kernels=("put_",))) is None


START = (Noted.DATA, 0, "train ids", 1)


def test_steps_that_are_taken_again_after_a_kill_count_as_they_were_taken_last() -> None:
    whole = recording(START, *(loss(step, float(step)) for step in range(1, 5)))
    killed = recording(START, loss(1, 1.0), loss(2, 2.0), loss(3, 3.0))
    resumed = recording(START, loss(3, 3.0), loss(4, 4.0))

    assert joined([killed, resumed]) == whole
    assert interrupted_difference(whole, joined([killed, resumed])) is None


def test_a_validation_after_a_resume_leaves_the_epochs_last_step_where_it_is() -> None:
    validation = Noted.OUTPUTS, 2, "val ", "x"
    whole = recording(START, loss(1, 1.0), loss(2, 2.0), validation, loss(3, 3.0))

    found = joined(
        [recording(START, loss(1, 1.0), loss(2, 2.0)), recording(START, validation, loss(3, 3.0))]
    )

    assert found == whole


def test_what_was_held_otherwise_before_the_first_step_after_a_resume_is_what_a_checkpoint_lacks() -> (
    None
):
    def held(calls: int) -> tuple:
        rows = [
            ["model.mean", "buffer", "#1", "a.py:3"],
            ["T.calls", "value", str(calls), "a.py:9"],
        ]
        return Noted.HELD, 2, "", rows

    whole = recording(START, loss(1, 1.0), held(1), loss(2, 2.0), loss(3, 3.0))
    cut = joined(
        [recording(START, loss(1, 1.0)), recording(START, held(0), loss(2, 2.0), loss(3, 3.5))]
    )

    found = interrupted_difference(whole, cut)
    cause = lacking(whole, cut, found)

    assert (found.step, found.stage) == (3, "loss")
    assert "without an interruption" in found.reason
    assert (cause.operation, cause.place) == ("T.calls", "a.py:9")
    assert "1 without an interruption, 0 after one" in cause.reason


def test_a_difference_that_nothing_held_explains_is_said_in_words() -> None:
    whole, cut = recording(START, loss(1, 1.0)), recording(START, loss(1, 2.0))

    cause = lacking(whole, cut, interrupted_difference(whole, cut))

    assert cause.operation == "state outside the checkpoint"
    assert "a closure" in cause.reason


def test_what_is_left_at_the_end_counts_too() -> None:
    left = Noted.WEIGHTS, 1, f"{AT_THE_END}: optimizer (checkpoint)"

    found = interrupted_difference(
        recording(START, loss(1, 1.0), (*left, "a")), recording(START, loss(1, 1.0), (*left, "b"))
    )

    assert (found.stage, found.where) == ("end", left[2])

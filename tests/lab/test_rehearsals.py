"""A training that is interrupted anywhere, by a stop or a kill of its process, equals one that is not, to the bit."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.analysis.determinism.interruption import interrupted_difference, joined
from branchlab.domain import Note, Noted, Recording, RunState, Stop
from branchlab.lab.demo_lab import build_demo_lab
from branchlab.lab.project import open_project
from branchlab.lab.recordings import Recorder, Side, again, commit_side
from branchlab.lab.rehearsals import Course, course_of, rehearse
from branchlab.run_folder import read_examples

STEPS_PER_EPOCH, EPOCHS = 7, 2
NUM_STEPS = STEPS_PER_EPOCH * EPOCHS


@pytest.fixture(scope="module")
def example(tmp_path_factory, warm):
    """The example's main, and a recorder whose trainings are 14 steps long."""
    lab = build_demo_lab(tmp_path_factory.mktemp("resume") / "lab")
    config = lab / ".branchlab.toml"
    config.write_text(config.read_text().replace("fraction = 0.5", "fraction = 0.1"))
    project = open_project(lab)
    recorder = Recorder(project, steps=NUM_STEPS, executor=warm)
    recorder.warm_up(project.repository.resolve("main"))
    yield recorder, commit_side(project, "main", project.repository.resolve("main"))
    recorder.close()


def what_is_left(recorder: Recorder) -> list[tuple[dict, dict, dict]]:
    """Return result, weights and per-example results of every training that is over, the latest first."""
    found = []
    for folder in recorder.state.all_runs():
        attempt = folder.latest()
        result = attempt.read_result()
        assert result["state"] == RunState.DONE
        saved = torch.load(folder.checkpoint, weights_only=True)
        examples = read_examples(attempt.val_examples)
        assert examples is not None
        tensors = {name: torch.from_numpy(array) for name, array in examples.items()}
        found.append((result, saved["model"], tensors))
    return found


def are_equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(
        torch.equal(value, two[name]) for name, value in one.items()
    )


NUMBERS = itertools.count(10)
stops_anywhere = st.lists(
    st.builds(Stop, step=st.integers(1, NUM_STEPS - 1), is_kill=st.booleans()),
    min_size=1, max_size=3, unique_by=lambda stop: stop.step,
).map(lambda stops: tuple(sorted(stops, key=lambda stop: stop.step)))  # fmt: skip


@pytest.mark.slow
@settings(max_examples=12)
@given(stops=stops_anywhere)
def test_the_example_goes_on_bit_for_bit_wherever_it_is_interrupted(example, stops) -> None:
    recorder, main = example
    side: Side = again(main, next(NUMBERS))
    course = Course(epochs=EPOCHS, fraction=1.0, stops=stops, look_at=())

    whole, cut = rehearse(recorder, [(side, course)])[side.name]

    assert not whole.failure
    assert not cut.failure
    assert len(cut.attempts) == 1 + len(stops)
    assert whole.steps == NUM_STEPS
    assert interrupted_difference(whole.attempts[0], joined(cut.attempts)) is None
    # What every interrupted training has left, against what every other one has.
    results, weights, examples = zip(*what_is_left(recorder), strict=True)
    assert len({result["loss_digest"] for result in results}) == 1
    assert len({str(result["metrics"]) for result in results}) == 1
    assert all(are_equal(weights[0], one) for one in weights)
    assert all(are_equal(examples[0], one) for one in examples)


@pytest.mark.slow
def test_every_checkpoint_on_the_way_loads_as_tensors_and_plain_types(example, monkeypatch) -> None:
    recorder, main = example
    side = again(main, next(NUMBERS))
    stops = tuple(Stop(step=step, is_kill=step % 2 == 0) for step in (1, 4, 7, 12))
    loaded = []
    carry_out = recorder.carry_out

    def looking(wanted):
        carry_out(wanted)
        for run, _ in wanted:
            path: Path = recorder.state.run(run.id).checkpoint
            loaded.append(torch.load(path, weights_only=True)["step"])

    monkeypatch.setattr(recorder, "carry_out", looking)
    rehearse(recorder, [(side, Course(epochs=EPOCHS, fraction=1.0, stops=stops, look_at=()))])

    assert loaded == [NUM_STEPS, 1, 3, 7, 11, NUM_STEPS]


def test_a_stop_that_is_never_reached_ends_with_the_training(example) -> None:
    recorder, main = example
    side = again(main, next(NUMBERS))
    stops = (Stop(step=1), Stop(step=NUM_STEPS + 2))

    _, cut = rehearse(recorder, [(side, Course(epochs=1, fraction=0.5, stops=stops, look_at=()))])[
        side.name
    ]

    assert not cut.failure
    assert len(cut.attempts) == 2


@given(st.integers(1, 100_000), st.integers(1, 512), st.integers(1, 200))
def test_a_course_is_bounded_and_interrupted_within_and_between_epochs(num, batch, steps) -> None:
    notes = (
        Note(Noted.RECIPE, 0, "", {"batch_size": str(batch)}),
        Note(Noted.DATA, 0, "train ids", ["", [num], "", ""]),
    )
    course = course_of(Recording(notes=notes), steps)

    size = min(batch, num)
    per_epoch = max(1, int(course.fraction * num) // size)
    assert 2 <= course.epochs <= 6
    assert per_epoch * course.epochs <= max(steps, 2 * max(2, steps // 2)) + course.epochs
    assert 0 < course.fraction <= 1
    places = [stop.step for stop in course.stops]
    assert places == sorted(set(places))
    assert places[0] == 1
    assert all(0 < step < per_epoch * course.epochs for step in places)
    assert per_epoch in places  # between an epoch's last step and its validation

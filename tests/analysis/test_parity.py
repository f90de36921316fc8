"""The comparison of recordings: what counts, what only explains, and that the first change is always the one that is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlab.analysis.features.changes import FileChange
from branchlab.analysis.parity.compare import (
    first_difference,
    first_difference_within,
    steps_to_look_at,
    tolerance_of,
)
from branchlab.analysis.parity.exercised import not_exercised
from branchlab.domain import Note, Noted, Recording

STEPS = 60


def recording(*, losses=None, closely=(1, 2)) -> Recording:
    """Return what a small training would note."""
    notes = [
        Note(Noted.SIGNATURE, 0, "Task", [["width", "KEYWORD_ONLY", "16"]]),
        Note(Noted.RANDOM, 0, "task", "r0"),
        Note(Noted.RECIPE, 0, "", {"lr": "0.1"}),
        Note(Noted.RANDOM, 0, "data", "r1"),
        Note(
            Noted.BUILT, 0, "", [["", "Net", "net.py:1", "s0"], ["a", "Linear", "net.py:3", "s0"]]
        ),
        Note(Noted.RANDOM, 0, "model", "r2"),
        Note(Noted.DATA, 0, "train inputs", ["uint8", [8, 4], "", "d0"]),
        Note(Noted.STATE, 0, "", [["a.weight", [2, 4], "float32", True, "w0"]]),
        Note(Noted.GROUPS, 0, "", ["AdamW", [[{"lr": "0.1"}, ["a.weight"]]]]),
    ]
    for step in range(1, STEPS + 1):
        notes += [
            Note(Noted.ORDER, step, "", f"o{step}"),
            Note(Noted.PREPARED, step, "", f"p{step}"),
            Note(Noted.AUGMENTED, step, "", f"a{step}"),
            Note(Noted.DRAWS, step, "", f"g{step}"),
        ]
        if step in closely:
            notes += [
                Note(Noted.ENTERS, step, "Net", [f"i{step}", "r3", "Net"]),
                Note(Noted.ENTERS, step, "a", [f"i{step}", "r3", "Linear"]),
                Note(Noted.LEAVES, step, "a", [f"u{step}", "r3", "Linear"]),
                Note(Noted.LEAVES, step, "Net", [f"u{step}", "r3", "Net"]),
            ]
        loss = losses[step - 1] if losses else 1.0 / step
        notes += [
            Note(Noted.OUTPUTS, step, "", f"u{step}"),
            Note(Noted.RANDOM, step, "forward and loss", f"r{step}"),
            Note(Noted.LOSS, step, "", loss.hex()),
            Note(Noted.LR, step, "", [0.1]),
        ]
        if step % 25 == 0:
            notes.append(Note(Noted.WEIGHTS, step, "all", f"w{step}"))
    notes.append(Note(Noted.METRIC, STEPS, "val accuracy", ["m", 0.5]))
    return Recording(notes=tuple(notes))


def changed(one: Recording, at: int, value: object) -> Recording:
    notes = list(one.notes)
    notes[at] = replace(notes[at], value=value)
    return replace(one, notes=tuple(notes))


def test_equal_recordings_do_not_differ() -> None:
    assert first_difference(recording(), recording()) is None


@given(st.data())
def test_the_first_note_that_is_changed_is_the_difference(data) -> None:
    main = recording()
    judged = [
        number
        for number, note in enumerate(main.notes)
        if isinstance(note.value, str)
        and note.kind is not Noted.LOSS
        and not note.kind.only_explains
    ]
    places = data.draw(st.lists(st.sampled_from(judged), min_size=1, max_size=5, unique=True))
    other = main
    for place in places:
        other = changed(other, place, "something else")

    found = first_difference(main, other)

    assert found is not None
    assert found.step == main.notes[min(places)].step


@given(st.data())
def test_what_only_explains_never_decides(data) -> None:
    main = recording()
    only = [n for n, note in enumerate(main.notes) if note.kind.only_explains]
    place = data.draw(st.sampled_from(only))
    gone = replace(main, notes=main.notes[:place] + main.notes[place + 1 :])

    assert first_difference(main, gone) is None
    assert first_difference(gone, main) is None


def test_what_a_merge_adds_is_allowed() -> None:
    main = recording()
    notes = list(main.notes)
    notes[0] = replace(notes[0], value=[*notes[0].value, ["extra", "KEYWORD_ONLY", "False"]])
    notes.append(Note(Noted.METRIC, STEPS, "val margin", ["x", 1.0]))

    assert first_difference(main, replace(main, notes=tuple(notes))) is None


def test_a_late_difference_asks_for_a_closer_look_at_the_steps_before_it() -> None:
    main = recording()
    at = next(
        n for n, note in enumerate(main.notes) if note.kind is Noted.OUTPUTS and note.step == 40
    )
    late = changed(main, at, "other")

    assert steps_to_look_at(main, late) == (39, 40)
    closer = recording(closely=(39, 40))
    at = next(
        n for n, note in enumerate(closer.notes) if note.kind is Noted.OUTPUTS and note.step == 40
    )
    assert steps_to_look_at(closer, changed(closer, at, "other")) == ()


def test_weights_that_differ_ask_for_all_steps_since_they_were_equal() -> None:
    main = recording()
    at = next(
        n for n, note in enumerate(main.notes) if note.kind is Noted.WEIGHTS and note.step == 50
    )

    assert steps_to_look_at(main, changed(main, at, "other")) == tuple(range(25, 51))


@pytest.mark.parametrize(("shift", "is_found"), [(0.0015, False), (0.01, True)])
def test_a_tolerance_is_twice_what_main_shows_itself(shift, is_found) -> None:
    mains = [recording(losses=[1.0 + n * 0.001 for _ in range(STEPS)]) for n in (0, 1, 0.5)]
    other = recording(losses=[1.0 + shift] * STEPS)
    tolerance = tolerance_of(mains)

    found = first_difference_within(mains[0], other, tolerance)

    assert tolerance.largest == pytest.approx(0.001)
    assert (found is not None) is is_found
    if found is not None:
        assert (found.step, found.stage) == (1, "loss")
        assert "main is 0.001 from itself" in found.reason


def test_names_and_settings_have_no_tolerance() -> None:
    main = recording()
    tolerance = tolerance_of([main, recording(losses=[5.0] * STEPS)])

    assert first_difference_within(main, changed(main, 2, {"lr": "0.2"}), tolerance) is not None
    assert first_difference_within(main, changed(main, 7, [["b.weight", [2, 4], "float32", True, "w0"]]), tolerance) is not None  # fmt: skip
    assert first_difference_within(main, changed(main, 7, [["a.weight", [2, 4], "float32", True, "w1"]]), tolerance) is None  # fmt: skip


def test_a_training_that_ended_early_is_a_difference_where_it_ended() -> None:
    main = recording()
    cut = [note for note in main.notes if note.step < 30]
    failed = Recording(notes=tuple(cut), failure="ValueError: no more (net.py:12)")

    found = first_difference(main, failed)

    assert found is not None
    assert (found.step, found.where) == (29, "net.py:12")
    assert "ValueError" in found.reason


def test_a_changed_function_that_never_ran_is_named() -> None:
    old = "def ran(x):\n    return x\n\n\ndef idle(x):\n    return x\n\n\nclass Net:\n    def forward(self, x):\n        return x\n"
    new = old.replace("return x", "return +x") + "\n\ndef fresh(x):\n    return x\n"
    change = FileChange(base_path="net.py", head_path="net.py", base=old, head=new)
    test = FileChange(
        base_path="tests/test_net.py", head_path="tests/test_net.py", base=old, head=new
    )
    executed = Note(Noted.EXECUTED, 1, "", [["net.py", "ran"], ["net.py", "Net.forward"]])

    assert not_exercised([change, test], Recording(notes=(executed,))) == ("net.py:idle",)


def test_a_metric_that_is_no_number_any_more_is_beyond_every_tolerance() -> None:
    main = recording()
    nan = changed(main, len(main.notes) - 1, ["x", float("nan")])

    assert first_difference_within(main, nan, tolerance_of([main, main])) is not None
    assert first_difference_within(nan, nan, tolerance_of([nan, nan])) is None


def test_a_tensor_that_is_registered_while_training_is_named() -> None:
    row = ["a.weight", [2, 4], "float32", True, "w0"]
    late = ["seen", [1], "float32", None, "b0"]
    main = recording()
    ends = [replace(main, notes=(*main.notes, Note(Noted.STATE, STEPS, "", rows))) for rows in ([row], [row, late])]  # fmt: skip

    found = first_difference(*ends)

    assert found is not None
    assert (found.stage, found.where) == ("weights", "seen")
    assert "the buffer is registered" in found.reason

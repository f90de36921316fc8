from __future__ import annotations

from pathlib import Path

import pytest

from branchlab.run_folder import EventWriter, read_events
from branchlab.train.tally import Tally, Told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def events(path: Path) -> list[tuple[int, int, dict[str, object]]]:
    found = read_events(path).events
    return [(e["step"], e["epoch"], e["values"]) for e in found if e["kind"] == "told"]


def test_a_step_is_told_or_else_the_epoch_or_else_one_more(path) -> None:
    tally = Tally(EventWriter(path))
    for told in [
        Told({"a": 1.0}, step=10),
        Told({"a": 2.0, "epoch": 3.0}),
        Told({"b": 1.0}),
        Told({"b": 2.0}),
        Told({"iter": 50.0, "b": 3.0}),
        Told({"b": 4.0}),
    ]:
        tally.hear(told)
    tally.write()
    assert events(path) == [
        (10, 0, {"a": 1.0}),
        (3, 3, {"a": 2.0}),
        (1, 3, {"b": 1.0}),
        (2, 3, {"b": 2.0}),
        (50, 3, {"b": 3.0}),
        (51, 3, {"b": 4.0}),
    ]


def test_half_an_epoch_is_no_place(path) -> None:
    tally = Tally(EventWriter(path))
    for epoch in (0.5, 0.75):
        tally.hear(Told({"a": epoch, "epoch": epoch}))
    tally.write()
    assert [step for step, _, _ in events(path)] == [1, 2]


def test_what_belongs_to_one_step_is_one_event(path) -> None:
    tally = Tally(EventWriter(path))
    tally.hear(Told({"a": 1.0}, step=1))
    tally.hear(Told({"b": 2.0}, step=1))
    tally.write()
    tally.write()
    assert events(path) == [(1, 0, {"a": 1.0, "b": 2.0})]


def test_the_last_value_is_the_final_one_whichever_was_best(path) -> None:
    tally = Tally(EventWriter(path))
    for value in (0.5, 0.9, 0.7):
        tally.hear(Told({"accuracy": value}))
    assert tally.last == {"accuracy": 0.7}


def test_a_flood_is_thinned_out_and_its_last_value_kept(path) -> None:
    tally = Tally(EventWriter(path))
    for step in range(100_000):
        tally.hear(Told({"a": float(step)}, step=step))
    tally.write()
    assert len(events(path)) <= 100
    assert events(path)[-1] == (99_999, 0, {"a": 99_999.0})


def test_names_that_are_made_up_are_bounded_and_it_is_said(path) -> None:
    tally = Tally(EventWriter(path))
    for number in range(1500):
        tally.hear(Told({f"metric {number}": 1.0, "known": 2.0}))
    assert len(tally.last) == 1000
    tally.write()
    warnings = [e["text"] for e in read_events(path).events if e["kind"] == "warning"]
    assert len(warnings) == 1
    assert "1000" in warnings[0]


def test_a_script_that_goes_on_keeps_what_it_told_and_counts_on(path) -> None:
    first = Tally(EventWriter(path))
    for value in (0.1, 0.2):
        first.hear(Told({"a": value, "only early": 5.0}))
    first.write()
    second = Tally(EventWriter(path.with_name("later.jsonl")))
    second.go_on(read_events(path).events)
    second.hear(Told({"a": 0.3}))
    second.write()
    assert second.last == {"a": 0.3, "only early": 5.0}
    assert events(path.with_name("later.jsonl")) == [(3, 0, {"a": 0.3})]


@pytest.mark.parametrize("step", [float("inf"), "nan", 1e300])
def test_a_step_that_is_no_whole_number_is_none(path, step) -> None:
    tally = Tally(EventWriter(path))
    assert tally.hear(Told({"a": 1.0, "step": step}))
    tally.write()
    assert events(path) == [(1, 0, {"a": 1.0})]

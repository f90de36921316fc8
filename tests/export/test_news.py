from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.domain import RunState
from branchlab.export.news import Place, Reading
from branchlab.run_folder import StateFolder
from tests.export.conftest import WrittenRun


def curves(points) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for point in points:
        found.setdefault(point.name, {})[point.step] = point.value
    return found


def test_what_was_read_is_no_news(written: WrittenRun) -> None:
    written.begin()
    written.epoch(1)
    reading = Reading(written.folder)
    assert {p.name for p in reading.news().points} == {"val/accuracy", "train/loss"}
    assert not reading.news()
    written.epoch(2)
    assert {p.step for p in reading.news().points} == {20}


def test_what_a_script_tells_is_news(written: WrittenRun) -> None:
    written.begin()
    written.events.write("told", step=3, epoch=1, values={"acc": 0.5, "loss": "nan"})
    points = Reading(written.folder).news().points
    assert {(p.name, p.step, p.epoch) for p in points} == {("acc", 3, 1), ("loss", 3, 1)}


def test_another_reader_goes_on_from_a_place(written: WrittenRun) -> None:
    written.begin()
    written.epoch(1)
    place = Reading(written.folder).news().place
    written.epoch(2)
    written.picture(2)
    news = Reading(written.folder, place).news()
    assert {p.step for p in news.points} == {20}
    assert [(p.name, p.step) for p in news.pictures] == [("filters", 20)]
    assert {(p.name, p.step) for p in news.usage if "cpu" in p.name} == {("system/cpu_percent", 1)}


def test_steps_that_a_new_attempt_takes_again_are_no_news_unless_they_differ(
    written: WrittenRun,
) -> None:
    written.begin()
    for epoch in (1, 2, 3):
        written.epoch(epoch)
    written.end(RunState.CANCELLED)
    place = Reading(written.folder).news().place
    written.begin(resumed_at_step=10)
    written.epoch(2)
    written.epoch(3, **{"train/loss": 5.0})
    written.epoch(4)
    points = Reading(written.folder, place).news().points
    assert {(p.name, p.step) for p in points} == {
        ("train/loss", 30), ("train/loss", 40), ("val/accuracy", 40),
    }  # fmt: skip
    whole = curves(Reading(written.folder).news().points)
    assert whole == written.indexed()
    assert whole["train/loss"][30] == 5.0


def test_an_attempt_that_begins_anew_leaves_nothing_of_the_one_before(written: WrittenRun) -> None:
    written.begin(is_anew=True)
    written.events.write("told", step=1, epoch=0, values={"acc": 0.5, "gone": 1.0})
    written.events.write("told", step=2, epoch=0, values={"acc": 0.6})
    place = Reading(written.folder).news().place
    written.end(RunState.CANCELLED)
    written.begin(is_anew=True)
    written.events.write("told", step=1, epoch=0, values={"acc": 0.5})
    news = Reading(written.folder).news()
    assert curves(news.points) == written.indexed() == {"acc": {1: 0.5}}
    # To whoever has read the first attempt, a value that comes again is one of another curve.
    news = Reading(written.folder, place).news()
    assert news.is_anew
    assert curves(news.points) == {"acc": {1: 0.5}}
    assert not Reading(written.folder, news.place).news().is_anew


def test_damaged_lines_are_counted_and_cost_nothing_else(written: WrittenRun) -> None:
    written.begin()
    written.epoch(1)
    with written.folder.attempt(1).events.open("ab") as file:
        file.write(b'{"seq":9,"kind":"epoch","values":{}\n\x00\xff\n[]\n')
    written.epoch(2)
    news = Reading(written.folder).news()
    assert news.num_damaged == 3
    assert curves(news.points) == written.indexed()


def test_values_that_are_no_numbers_are_kept_and_what_is_none_is_left_out(
    written: WrittenRun,
) -> None:
    written.begin()
    written.epoch(1, **{"val/nan": math.nan, "val/inf": math.inf, "val/down": -math.inf})
    written.events.write("epoch", epoch=2, step=20, values={"note": "text", "flag": True, "n": 3})
    written.events.write("metric")
    written.events.write("something new", values=7)
    found = curves(Reading(written.folder).news().points)
    assert math.isnan(found["val/nan"][10])
    assert (found["val/inf"][10], found["val/down"][10]) == (math.inf, -math.inf)
    assert found["n"] == {20: 3.0}
    assert not {"note", "flag"} & found.keys()


def test_a_picture_outside_its_folder_or_cut_short_is_not_taken(written: WrittenRun) -> None:
    written.begin()
    written.folder.pictures.mkdir()
    written.events.write("picture", name="x", epoch=1, file="../run.json")
    written.events.write("picture", name="y", epoch=1, file="gone.png")
    written.picture(1)
    cut = written.folder.pictures / "filters-epoch0001.png"
    cut.write_bytes(cut.read_bytes()[:40])
    assert not Reading(written.folder).news().pictures


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 4000), max_size=6), seed=st.integers(0, 3))
def test_reading_in_any_pieces_gives_what_reading_at_once_gives(
    tmp_path_factory, cuts: list[int], seed: int
) -> None:
    state = StateFolder(tmp_path_factory.mktemp("pieces") / ".branchlab")
    state.create()
    run = WrittenRun(state, f"r{seed}")
    run.begin()
    for epoch in range(1, 8):
        run.epoch(epoch)
    events = run.folder.attempt(1).events
    content = events.read_bytes()
    whole = curves(Reading(run.folder).news().points)
    place, found = Place(), []
    for cut in [*sorted(cuts), len(content)]:
        events.write_bytes(content[:cut])
        news = Reading(run.folder, place).news()
        place, found = news.place, [*found, *news.points]
    run.lease.close()
    assert curves(found) == whole
    assert len({(p.name, p.step) for p in found}) == len(found)

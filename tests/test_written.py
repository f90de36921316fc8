from __future__ import annotations

import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlab.domain import Relation, WrittenNote, dropped
from branchlab.errors import ConfigError
from branchlab.experiment import Experiment, mark_landed, parse_experiment, render_experiment
from branchlab.written import parse_notes, with_note

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
FILE = render_experiment(Experiment(title="Wider", base="main", flags={"width": 32}))

notes = st.builds(
    WrittenNote,
    at=st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001  as hypothesis wants it
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.just(UTC),
    ).map(lambda at: at.replace(microsecond=0)),
    text=st.text(st.characters(exclude_categories=["Cs"])),
    relations=st.lists(
        st.tuples(st.sampled_from(Relation), st.text(st.characters(exclude_categories=["Cs"]))),
        max_size=4,
    ).map(lambda found: tuple(sorted(found, key=lambda one: list(Relation).index(one[0])))),
    drops=st.none() | st.booleans(),
)


@given(st.lists(notes, min_size=1, max_size=3))
def test_notes_are_read_back_as_they_were_written_and_no_other_line_changes(written):
    text = FILE
    for note in written:
        longer = with_note(text, note, where="f")
        assert longer.startswith(text)
        text = longer
    assert parse_notes(text, where="f") == tuple(written)
    assert parse_experiment(text, where="f").flags == {"width": 32}


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "# said by hand"])
def test_a_note_follows_whatever_stands_at_the_end(end):
    longer = with_note(FILE.rstrip() + end, WrittenNote(at=AT, text="slow"), where="f")
    assert parse_notes(longer, where="f")[0].text == "slow"
    assert tomllib.loads(longer)["title"] == "Wider"


def test_notes_outlive_the_mark_that_the_experiment_has_landed():
    text = with_note(FILE, WrittenNote(at=AT, text="before"), where="f")
    landed = mark_landed(text, where="f", at=AT, onto="o", branch="exp/w", tip="t")
    after = with_note(landed, WrittenNote(at=AT, text="after"), where="f")
    assert [note.text for note in parse_notes(after, where="f")] == ["before", "after"]
    assert parse_experiment(after, where="f").landed is not None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("notes = 3\n", "notes = 3: expected"),
        ("notes = ['x']\n", "expected [[notes]]"),
        ("[[notes]]\ntext = 3\n", "note 1: text = 3"),
        ("[[notes]]\n", "note 1: text = None"),
        ("[[notes]]\ntext = 'a'\nrelates = 3\n", "note 1: relates = 3"),
        ("[[notes]]\ntext = 'a'\ndropped = 'yes'\n", "dropped = 'yes'"),
        ("title = ", "not TOML"),
    ],
)
def test_a_damaged_note_is_named_and_nothing_is_appended_to_it(damage, said):
    with pytest.raises(ConfigError) as caught:
        with_note(damage, WrittenNote(at=AT, text="more"), where="exp.toml")
    assert said in caught.value.message
    assert "exp.toml" in caught.value.message


def test_notes_in_one_line_cannot_be_appended_to():
    with pytest.raises(ConfigError, match="none can be appended"):
        with_note("notes = [{ text = 'a' }]\n", WrittenNote(at=AT, text="more"), where="f")


def test_a_damaged_note_stops_no_run():
    assert parse_experiment(FILE + "[[notes]]\ntext = 3\n", where="f").flags == {"width": 32}


def test_an_idea_that_was_taken_up_again_is_open():
    given_up = WrittenNote(at=AT, text="slow", drops=True)
    again = WrittenNote(at=AT, text="not so slow", drops=False)
    assert dropped((given_up, WrittenNote(at=AT, text="a word"))) is given_up
    assert dropped((given_up, again)) is None


def test_a_relation_may_be_one_name_and_a_time_without_an_offset_is_utc():
    text = "[[notes]]\nat = 2026-11-23T10:00:00\ntext = 'a'\nrelates = 'exp/b'\n"
    (note,) = parse_notes(text, where="f")
    assert (note.at, note.relations) == (AT, ((Relation.RELATES, "exp/b"),))

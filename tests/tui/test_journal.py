"""The journal as rows, its filter, and one session that presses every key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from branchlab.domain import Relation, WrittenNote
from branchlab.lab.journal import Entry, Happening
from branchlab.tui.journal_lines import (
    entry_lines,
    filter_of,
    journal_rows,
    keyed,
    matches,
    next_kind,
)
from branchlab.tui.looks import plain

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def entry(
    what: Happening, name: str = "se", *, hours: float = 0, text: str = "said", **more
) -> Entry:
    return Entry(at=NOW - timedelta(hours=hours), experiment=name, what=what, text=text, **more)


ENTRIES = (
    entry(Happening.CREATED, hours=24 * 400, text="from main"),
    entry(Happening.RAN, hours=30, text="3 seeds", runs=("se-s0",)),
    entry(Happening.NOTE, "wide", hours=3, text="the gain\nis on shirts"),
    entry(Happening.DROPPED, "wide", hours=2, text="no [red]gain[/red]"),
)


def kept(typed: str) -> list[Happening]:
    return [one.what for one in ENTRIES if matches(one, filter_of(typed, NOW))]


@pytest.mark.parametrize(
    ("typed", "num"),
    [
        ("", 4),
        ("kind:note", 1),
        ("kind:note,dropped", 2),
        ("kind:dr", 1),
        ("exp:se", 2),
        ("since:1d", 2),
        ("since:48h", 3),
        ("since:2w exp:se", 1),
        ("GAIN", 2),
        ("gain kind:note", 1),
        ("kind:", 4),
        ("since:", 4),
        ("kind:landed", 0),
    ],
)
def test_a_filter_asks_for_kind_experiment_time_and_text(typed, num):
    assert len(kept(typed)) == num


@pytest.mark.parametrize("typed", ["kind:verdit", "since:soon", "since:7y", "since:99999999d"])
def test_what_a_filter_cannot_mean_is_said(typed):
    assert filter_of(typed, NOW).wrong


def test_a_time_before_all_times_asks_for_everything():
    assert len(kept("since:99999w")) == len(ENTRIES)


def test_the_latest_stands_first_and_a_day_stands_once_with_the_year_where_it_is_another():
    rows = journal_rows(keyed(ENTRIES))
    assert [plain(row.cells[2]) for row in rows] == ["✗ dropped", "✎ note", "● ran", "+ created"]
    days = [plain(row.cells[0]) for row in rows]
    assert days[:2] == ["Fri 20 Nov", ""]
    assert days[3].endswith("2025")


def test_entries_of_one_moment_have_keys_of_their_own():
    one = entry(Happening.NOTE)
    assert len(keyed([one, one, one])) == 3


def test_a_whole_entry_is_wrapped_and_says_its_relations_and_runs():
    note = WrittenNote(at=NOW, text="x", relations=((Relation.CONTRADICTS, "wide"),))
    whole = entry(Happening.NOTE, text="word " * 40, note=note, runs=("a-s0",))
    lines = [plain(line) for line in entry_lines(whole, 40)]
    assert all(len(line) <= 60 for line in lines)
    assert "contradicts wide" in lines
    assert "runs: a-s0" in lines


def test_kinds_go_round_and_leave_the_rest_of_the_filter():
    typed, seen = "exp:se", []
    for _ in range(5):
        typed = next_kind(typed, ENTRIES)
        seen.append(typed)
    assert seen[0] == "kind:created exp:se"
    assert seen[4] == "exp:se"


def test_every_key_of_the_journal(full_lab, tui):
    lab = full_lab
    lab.git("checkout", "--quiet", "exp/gelu")
    text = 'title = "GELU"\n[[notes]]\nat = 2023-11-15T10:00:00Z\ntext = "smooth \\u001b]0;x\\u0007 gain"\n'
    lab.commit({"experiments/gelu.toml": text}, "Note")
    lab.git("checkout", "--quiet", "main")

    async def look(eyes):
        await eyes.press("5")
        await eyes.see("▲ verdict")
        await eyes.press("slash", *"kind:note")
        row = await eyes.see("✎ note")
        assert "\x1b" not in eyes.text()
        assert "gelu" in row
        await eyes.press("enter", "z")
        await eyes.see("Wednesday 15 November 2023")
        await eyes.press("escape", "escape")
        await eyes.see("▲ verdict")
        await eyes.press("slash", *"kind:foo")
        await eyes.see("no kind 'foo'")
        await eyes.press("escape", "t")
        await eyes.see("[/kind:")
        await eyes.press("escape", "slash", *"kind:ran exp:main", "enter")
        await eyes.see("3 seeds on")
        await eyes.press("enter")
        await eyes.see("main-s0")
        await eyes.press("escape")
        await eyes.see("[/kind:ran exp:main]")

    tui.watch(lab.app(), look, size=(100, 24))

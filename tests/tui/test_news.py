"""That only what has changed is made anew, and that what is kept is what would be made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from branchlab.lab.project import open_project
from branchlab.lab.status import status
from branchlab.terminal_text import safe_text
from branchlab.tui.line_table import LineTable, natural_widths
from branchlab.tui.looks import Line, Look
from branchlab.tui.rows import BranchRows, Column, Row, branch_row, matches
from branchlab.tui.views import branch_views, snapshot_of

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_a_snapshot_keeps_the_views_that_are_as_they_were(full_lab, tui) -> None:
    project = open_project(full_lab.root)
    index = project.index()
    first = snapshot_of(status(project), tuple(index.runs()), read_at=NOW)
    again = snapshot_of(status(project), tuple(index.runs()), read_at=NOW, before=first)
    experiments = {view.name: view for view in first.views[2:]}
    assert set(experiments) == {"exp/focal", "exp/gelu", "exp/new-idea", "exp/wider"}
    assert all(view is experiments[view.name] for view in again.views[2:])

    events = full_lab.begin("exp/new-idea", 0)
    tui.epoch(events, 1, 0.5)
    full_lab.branch("exp/later", {"later.py": "x\n"}, "Come late")
    index.refresh()
    third = snapshot_of(status(project), tuple(index.runs()), read_at=NOW, before=again)
    anew = {view.name for view in third.views[2:] if view is not experiments.get(view.name)}
    assert {"exp/new-idea", "exp/later"} <= anew
    assert "exp/gelu" not in anew
    # Whatever was kept, it is what a snapshot made of nothing would hold.
    fresh = snapshot_of(third.status, third.records, read_at=NOW)
    assert fresh.views == third.views == branch_views(third)
    index.close()


def test_rows_are_made_anew_for_other_views_other_ages_and_another_width(full_lab) -> None:
    project = open_project(full_lab.root)
    index = project.index()
    snapshot = snapshot_of(status(project), tuple(index.runs()), read_at=NOW)
    index.close()
    made = BranchRows()
    first = made.rows(snapshot.views, NOW, is_wide=False)
    assert first == {view.name: branch_row(view, NOW, is_wide=False) for view in snapshot.views}
    again = made.rows(snapshot.views, NOW + timedelta(milliseconds=1), is_wide=False)
    assert all(again[name] is row for name, row in first.items())
    later = NOW + timedelta(days=400)
    for moment, is_wide in ((later, False), (later, True), (NOW, True)):
        wanted = {view.name: branch_row(view, moment, is_wide=is_wide) for view in snapshot.views}
        assert made.rows(snapshot.views, moment, is_wide=is_wide) == wanted
    for wanted_words in ("gelu", "better", "no runs", "failed", "no such words", "  "):
        found = made.matching(snapshot.views, wanted_words)
        assert found == [view for view in snapshot.views if matches(view, wanted_words)]


_TEXTS = st.text(st.sampled_from("ab日本é\x1b\u202e"), max_size=5)
_ROWS = st.lists(
    st.builds(
        lambda a, b: Row(key=a, cells=(((a, Look.PLAIN),), ((b, Look.DIM), (a, Look.BAD)))),
        _TEXTS,
        _TEXTS,
    ),
    max_size=4,
)


@given(st.lists(st.tuples(_ROWS, st.booleans()), min_size=1, max_size=4))
def test_no_row_is_shown_that_could_act_whatever_was_looked_at_before(
    shown: list[tuple[list[Row], bool]],
) -> None:
    table = LineTable()
    for rows, is_measured in (*shown, *shown):
        for some in (rows, rows[:1], rows):
            made = table._made_safe(some, rows if is_measured else None)
            assert made == tuple(
                Row(key=row.key, cells=tuple(_harmless(cell) for cell in row.cells)) for row in some
            )
            table._measured = rows if is_measured else None


def _harmless(cell: Line) -> Line:
    return tuple((safe_text(text), look) for text, look in cell)


@given(st.lists(_ROWS, min_size=1, max_size=4))
def test_a_table_that_has_measured_rows_before_finds_the_same_widths(
    shown: list[list[Row]],
) -> None:
    columns = (Column(title="AB"), Column(title="C"))
    table = LineTable()
    table.columns = columns
    for rows in (*shown, *shown):
        assert table._widths_of(rows) == natural_widths(columns, rows)

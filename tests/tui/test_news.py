"""That only what has changed is made anew, and that what is kept is what would be made."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from branchlab.lab.columns import Column
from branchlab.lab.project import open_project
from branchlab.lab.status import status
from branchlab.tui.column_widths import natural_widths
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Look
from branchlab.tui.rows import Row
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


_TEXTS = st.text(st.sampled_from("ab日本é"), max_size=5)
_ROWS = st.lists(
    st.builds(
        lambda a, b: Row(key=a, cells=(((a, Look.PLAIN),), ((b, Look.DIM), (a, Look.BAD)))),
        _TEXTS,
        _TEXTS,
    ),
    max_size=4,
)


@given(st.lists(_ROWS, min_size=1, max_size=4))
def test_a_table_that_has_measured_rows_before_finds_the_same_widths(
    shown: list[list[Row]],
) -> None:
    columns = (Column(title="AB"), Column(title="C"))
    table = LineTable()
    table.columns = columns
    for rows in (*shown, *shown):
        assert table._widths_of(rows) == natural_widths(columns, rows)

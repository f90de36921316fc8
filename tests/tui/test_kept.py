"""Rows of last time: kept, bounded, dim, and none where the file is not one of ours."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from branchlab.run_folder import locked
from branchlab.tui import first_frame, kept
from branchlab.tui.kept import KeptRows, keep_rows, read_rows
from branchlab.tui.looks import Look
from branchlab.tui.rows import Column, Row

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
COLUMNS = (Column(title="BRANCH", width_min=14), Column(title="MAIN", rank=4, is_right=True))


def _rows(number: int, look: Look = Look.GOOD) -> tuple[Row, ...]:
    return tuple(
        Row(key=f"exp/{n}", cells=(((f"exp/{n}", look),), (("↑1", look), (" ↓2", look))))
        for n in range(number)
    )


def _kept(number: int) -> KeptRows:
    return KeptRows(
        columns=COLUMNS,
        rows=_rows(number),
        num_pinned=1,
        warnings=("the reference has moved",),
        kept_at=NOON,
    )


def test_rows_come_back_dim_with_their_columns(tmp_path: Path) -> None:
    keep_rows(tmp_path / "tui" / "branches.json", _kept(3))
    found = read_rows(tmp_path / "tui" / "branches.json")
    assert found is not None
    assert found.columns == COLUMNS
    assert [row.key for row in found.rows] == ["exp/0", "exp/1", "exp/2"]
    assert found.rows[1].cells == ((("exp/1", Look.DIM),), (("↑1 ↓2", Look.DIM),))
    assert (found.num_pinned, found.kept_at) == (1, NOON)
    assert found.warnings == ("the reference has moved",)
    assert found.words.startswith("as of ")


def _document(tmp_path: Path) -> dict[str, object]:
    keep_rows(tmp_path / "good.json", _kept(2))
    found: dict[str, object] = json.loads((tmp_path / "good.json").read_text())
    return found


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "7", "[" * 100_000, '{"rows": []}'])
def test_what_is_no_document_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "branches.json").write_text(content)
    assert read_rows(tmp_path / "branches.json") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "0 of 9.9.9"),
        ("columns", 7),
        ("columns", [{"title": "BRANCH"}, {"title": "MAIN"}]),
        ("columns", [{"title": "B", "rank": "x", "width_min": None, "is_right": False}] * 2),
        ("rows", {"a": 1}),
        ("rows", [["exp/0", "one cell too few"]]),
        ("rows", [["exp/0", 7, 8]]),
        ("num_pinned", 3),
        ("num_pinned", -1),
        ("num_pinned", None),
        ("warnings", "none"),
        ("kept_at", "noon"),
        ("kept_at", "2026-11-23T12:00:00"),
    ],
)
def test_a_document_that_does_not_fit_is_as_good_as_none(
    tmp_path: Path, name: str, value: object
) -> None:
    good = _document(tmp_path)
    assert read_rows(tmp_path / "good.json") is not None
    (tmp_path / "branches.json").write_text(json.dumps({**good, name: value}))
    assert read_rows(tmp_path / "branches.json") is None


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    good = json.dumps(_document(tmp_path))
    (tmp_path / "branches.json").write_text(good + " " * (5 << 20))
    assert read_rows(tmp_path / "branches.json") is None


def test_a_file_with_more_rows_than_are_kept_gives_the_first_of_them(tmp_path: Path) -> None:
    keep_rows(tmp_path / "branches.json", _kept(2000))
    found = read_rows(tmp_path / "branches.json")
    assert found is not None
    assert len(found.rows) == kept._ROWS_MAX


def test_where_nothing_can_be_written_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "tui").write_text("a file where a folder is needed")
    keep_rows(tmp_path / "tui" / "branches.json", _kept(1))


def test_the_rows_of_last_time_can_be_looked_through_while_the_lab_is_read(full_lab, tui) -> None:
    async def leave(eyes):
        await eyes.see("✓ as of")
        await eyes.press("j", "j")
        await eyes.press("q")

    tui.watch(full_lab.app(), leave, size=(160, 45))
    app = full_lab.app()
    assert app.kept is not None

    async def look(eyes):
        # The index is locked by somebody else, so nothing has been read yet.
        await eyes.see("as of")
        assert "reading…" in eyes.text()
        assert "▌exp/" in eyes.text()
        assert app.snapshot is None
        before = selected(eyes)
        await eyes.press("j")
        await eyes.see("▌exp/")
        assert selected(eyes) != before
        await eyes.press("R", "enter", "y")
        assert not list(app.jobs)
        held.close()
        await eyes.see("✓ as of")
        assert ", reading…" not in eyes.text()
        assert app.snapshot is not None

    def selected(eyes) -> str:
        return next(row for row in eyes.rows() if row.startswith("▌"))

    with contextlib.ExitStack() as held:
        assert held.enter_context(locked(full_lab.state.path / "index.lock"))
        tui.watch(app, look, size=(160, 45))


def test_leaving_from_an_opened_branch_keeps_the_rows_and_leaves_the_frame_alone(
    full_lab, tui
) -> None:
    frame = full_lab.state.path / first_frame.FILE_NAME

    async def leave_the_overview(eyes):
        await eyes.see("✓ as of")
        await eyes.press("q")

    async def leave_a_branch(eyes):
        await eyes.see("✓ as of")
        await eyes.press("enter")
        await eyes.see("COUNTS")
        await eyes.press("q")

    tui.watch(full_lab.app(), leave_the_overview)
    (first,) = first_frame.read_frames(frame)
    assert (first.width, first.height) == (80, 24)
    assert any("exp/gelu" in "".join(text for text, _ in line) for line in first.lines)
    tui.watch(full_lab.app(), leave_a_branch)
    assert first_frame.read_frames(frame) == [first]
    assert read_rows(full_lab.state.path / kept.FILE_NAME) is not None

"""The frame of last time: what is drawn of it, and that no file can make it do anything else."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from branchlab.run_folder import STATE_FOLDER
from branchlab.tui import first_frame
from branchlab.tui.first_frame import Frame, frame_of, keep_frame, painted, read_frames

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FRAME = Frame(
    width=20,
    height=3,
    terminal="xterm",
    drawn_at=NOON,
    lines=((("main", "1;38;2;1;2;3"), (" ↑2", "")), (("exp/wider", "32"),)),
)


def test_a_frame_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    keep_frame(tmp_path / "tui" / "frame.json", FRAME)
    assert read_frames(tmp_path / "tui" / "frame.json") == [FRAME]


def test_a_frame_of_another_size_stays_beside_it_and_one_of_this_size_is_replaced(
    tmp_path: Path,
) -> None:
    path = tmp_path / "frame.json"
    newer = replace(FRAME, lines=((("new", ""),),))
    for frame in (FRAME, replace(FRAME, width=80), newer):
        keep_frame(path, frame)
    assert read_frames(path) == [newer, replace(FRAME, width=80)]


def test_no_more_frames_are_kept_than_a_few_sizes(tmp_path: Path) -> None:
    for width in range(20, 40):
        keep_frame(tmp_path / "frame.json", replace(FRAME, width=width))
    assert [frame.width for frame in read_frames(tmp_path / "frame.json")] == [39, 38, 37, 36]


def test_a_frame_is_drawn_dim_with_the_time_of_it() -> None:
    drawn = painted(FRAME, NOON + timedelta(hours=1))
    assert "\x1b[1;1H\x1b[0;2;1;38;2;1;2;3mmain\x1b[0;2m ↑2" in drawn
    assert f" as of {NOON.astimezone():%H:%M}, rea" in drawn
    assert drawn.startswith("\x1b[?1049h")


def test_a_frame_of_another_day_says_which() -> None:
    assert "as of 23 Nov 1" in painted(replace(FRAME, width=60), NOON + timedelta(days=2))


def test_segments_of_textual_are_kept_as_text_and_colour() -> None:
    strip = [Segment("ab", Style(bold=True, color="#010203")), Segment("c"), Segment("")]
    frame = frame_of([strip], width=3, height=1, colours=ColorSystem.TRUECOLOR, at=NOON)
    assert frame.lines == ((("ab", "1;38;2;1;2;3"), ("c", "")),)


def _document(**other: object) -> dict[str, object]:
    frame = {
        "width": 20,
        "height": 3,
        "terminal": "xterm",
        "drawn_at": NOON.isoformat(),
        "lines": [[["main", "1"]]],
    }
    return {"version": first_frame._VERSION, "frames": [frame | other]}


def test_the_document_that_is_damaged_below_is_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "frame.json").write_text(json.dumps(_document()))
    assert len(read_frames(tmp_path / "frame.json")) == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"version": 1}',
        json.dumps({**_document(), "version": "0 of 9.9.9"}),
        json.dumps({**_document(), "frames": 7}),
        json.dumps(_document(width=-1)),
        json.dumps(_document(width="wide")),
        json.dumps(_document(height=10**9)),
        json.dumps(_document(height=1, lines=[[], []])),
        json.dumps(_document(drawn_at="yesterday")),
        json.dumps(_document(drawn_at="2026-11-23T12:00:00")),
        json.dumps(_document(lines=[[["main"]]])),
        json.dumps(_document(lines=[[["main", None]]])),
        json.dumps(_document(lines=[[[7, "1"]]])),
        json.dumps(_document(lines=[[["main", "1m\x1b]52;c;cHduZWQ=\x07"]]])),
        json.dumps(_document(lines=[[["main", "1" * 1000]]])),
    ],
)
def test_a_damaged_or_foreign_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "frame.json"
    path.write_text(content)
    assert read_frames(path) == []


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "frame.json"
    path.write_text(json.dumps(_document()) + " " * (3 << 20))
    assert read_frames(path) == []


def test_text_of_a_hostile_file_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "frame.json"
    hostile = "a\x1b]52;c;cHduZWQ=\x07b\x9b2J\r\n\u202ec"
    path.write_text(json.dumps(_document(lines=[[[hostile, "1"]]])))
    (frame,) = read_frames(path)
    drawn = painted(replace(frame, width=80), NOON)
    harmless = painted(replace(frame, width=80, lines=()), NOON)
    assert drawn.count("\x1b") == harmless.count("\x1b") + 2  # a move and a colour
    assert not set("\x07\x9b\r\n\u202e") & set(drawn)


def test_where_nothing_can_be_written_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "tui").write_text("a file where a folder is needed")
    keep_frame(tmp_path / "tui" / "frame.json", FRAME)


_DRAWN_ON_A_PTY = """
import fcntl, os, pty, struct, sys, termios
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 3, 20, 0, 0))
sys.__stderr__.flush()
os.dup2(slave, 2)
from pathlib import Path
from branchlab.cli import screen
from branchlab.tui.first_frame import standing
before = termios.tcgetattr(slave)
with standing(Path(sys.argv[1])) as frame:
    during = termios.tcgetattr(slave)
    loaded = [name for name in sys.argv[2:] if name in sys.modules]
assert frame is not None
assert not during[3] & termios.ECHO and not during[3] & termios.ICANON
assert termios.tcgetattr(slave) == before
drawn = b""
while not drawn.endswith(b"\\x1b[?1049l"):  # what was written at once may come in pieces
    drawn += os.read(master, 1 << 16)
assert b"exp/wider" in drawn, drawn
print(loaded)
"""
_HEAVY = ["textual", "rich", "git", "sqlite3", "asyncio", "subprocess", "branchlab.domain"]
_HEAVY += ["branchlab.lab.project", "branchlab.lab.status", "branchlab.store.index", "torch"]


def test_the_first_frame_is_drawn_before_anything_heavy_is_imported_and_taken_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    keep_frame(tmp_path / "frame.json", replace(FRAME, terminal=first_frame.this_terminal()))
    done = subprocess.run(
        [sys.executable, "-c", _DRAWN_ON_A_PTY, str(tmp_path / "frame.json"), *_HEAVY],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_file_lies_in_the_state_folder() -> None:
    assert f"{STATE_FOLDER}/{first_frame.FILE_NAME}" == first_frame.PLACE

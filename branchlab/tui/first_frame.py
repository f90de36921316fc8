"""The frame that one saw last, drawn again before anything heavy is imported: Textual alone takes 0.24 s to import.

It is dim and says of when it is; the app draws over it once it stands, so nothing flickers. Kept are text and colours
and no escape sequence: what is read back passes ``safe_text``, and a colour is digits and semicolons. A file that is
damaged, of another version or made for another terminal is as good as none.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from branchlab.terminal_text import safe_text
from branchlab.version import __version__

if TYPE_CHECKING:
    from rich.color import ColorSystem
    from rich.segment import Segment

FILE_NAME = "tui/frame.json"
"""In the state folder."""
PLACE = f".branchlab/{FILE_NAME}"
"""In the main work tree. Importing what knows the state folder's name takes as long as all else here."""
_VERSION = f"1 of {__version__}"
_FRAMES_MAX = 4
_SIZE_MAX = 2 << 20
_SIDE_MAX = 1000
_COLOUR = re.compile(r"[0-9;]{0,80}")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_RENDERED = re.compile(r"\x1b\[([0-9;]+)m")

FramePiece = tuple[str, str]
"""A text, and the parameters of the SGR sequence that colours it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stood on a terminal.

    Attributes:
        terminal: Which kind, as ``this_terminal`` says: another one has other colours.
    """

    width: int
    height: int
    terminal: str
    drawn_at: datetime
    lines: tuple[tuple[FramePiece, ...], ...]


class Standing:
    """A frame that stands on the terminal; the app takes the terminal over, or ``leave`` gives it back as it was."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.modes: list[Any] | None = None
        self.is_taken = False

    def draw(self, frame: Frame, now: datetime) -> None:
        """Draw a frame; what is typed from now on is not echoed, and waits for the app."""
        import termios

        with contextlib.suppress(termios.error):
            self.modes = termios.tcgetattr(self._descriptor)
            quiet = termios.tcgetattr(self._descriptor)
            quiet[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, quiet)
        os.write(self._descriptor, painted(frame, now).encode("utf-8", "replace"))

    def leave(self) -> None:
        """Give the terminal back."""
        import termios

        if not self.is_taken:
            with contextlib.suppress(OSError):  # it has gone away
                os.write(self._descriptor, b"\x1b[0m\x1b[?25h\x1b[?1049l")
        if self.modes is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self.modes)


@contextlib.contextmanager
def standing(path: Path | None) -> Iterator[Standing | None]:
    """Let the frame kept at ``path`` stand on the terminal while the app is got ready; None where there is none."""
    descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else -1
    frame = _kept_for(path, descriptor) if path is not None else None
    if frame is None:
        yield None
        return
    found = Standing(descriptor)
    before = {number: signal.signal(number, _go) for number in _SIGNALS}
    try:
        found.draw(frame, datetime.now(UTC))
        yield found
    finally:
        found.leave()
        for number, handler in before.items():
            signal.signal(number, handler)


def _go(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _kept_for(path: Path, descriptor: int) -> Frame | None:
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return None
    wanted = (size.columns, size.lines, this_terminal())
    frames = read_frames(path)
    return next((f for f in frames if (f.width, f.height, f.terminal) == wanted), None)


def this_terminal() -> str:
    """Return what decides which colours are drawn here."""
    words = [os.environ.get(name, "") for name in ("TERM", "COLORTERM")]
    return " ".join([*words, "plain" if os.environ.get("NO_COLOR") else "coloured"])


def painted(frame: Frame, now: datetime) -> str:
    """Return what draws a frame on an empty alternate screen, dim, with the time of it in the upper right corner."""
    # Without wrapping: a character that this terminal draws wider is cut, and moves no line.
    drawn = ["\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"]
    for number, line in enumerate(frame.lines[: frame.height], start=1):
        drawn.append(f"\x1b[{number};1H")
        drawn += [f"\x1b[{';'.join(filter(None, ('0;2', colour)))}m{text}" for text, colour in line]
    kept, today = frame.drawn_at.astimezone(), now.astimezone().date()
    moment = f"{kept:%H:%M}" if kept.date() == today else f"{kept.day} {kept:%b %H:%M}"
    mark = f" as of {moment}, reading… "
    drawn.append(f"\x1b[1;{max(1, frame.width - len(mark) + 1)}H\x1b[0;7m{mark[: frame.width]}")
    drawn.append("\x1b[0m\x1b[?7h")
    return "".join(drawn)


def frame_of(
    strips: Iterable[Iterable[Segment]],
    *,
    width: int,
    height: int,
    colours: ColorSystem | None,
    at: datetime,
) -> Frame:
    """Return what some strips of Textual show as a frame that can be kept."""
    lines = tuple(
        tuple(
            (segment.text, _colour(segment, colours))
            for segment in strip
            if segment.text and not segment.control
        )
        for strip in strips
    )
    return Frame(width=width, height=height, terminal=this_terminal(), drawn_at=at, lines=lines)


def _colour(segment: Segment, colours: ColorSystem | None) -> str:
    rendered = segment.style.render("x", color_system=colours) if segment.style else ""
    found = _RENDERED.search(rendered)
    return found[1] if found else ""


def keep_frame(path: Path, frame: Frame) -> None:
    """Write a frame beside those of other sizes; where that cannot be, nothing is said: the next start shows all the same."""
    place = (frame.width, frame.height, frame.terminal)
    others = [f for f in read_frames(path) if (f.width, f.height, f.terminal) != place]
    kept = [_packed(one) for one in [frame, *others][:_FRAMES_MAX]]
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        document = json.dumps({"version": _VERSION, "frames": kept}, ensure_ascii=False)
        beside.write_text(document, encoding="utf-8", errors="replace")
        beside.replace(path)


def read_frames(path: Path) -> list[Frame]:
    """Return the frames that are kept in a file; none where it is damaged, too large or of another version."""
    try:
        if path.stat().st_size > _SIZE_MAX:
            return []
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] != _VERSION:
            return []
        return [_unpacked(one) for one in found["frames"][:_FRAMES_MAX]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def _packed(frame: Frame) -> dict[str, object]:
    return {
        "width": frame.width,
        "height": frame.height,
        "terminal": frame.terminal,
        "drawn_at": frame.drawn_at.isoformat(),
        "lines": frame.lines,
    }


def _unpacked(values: dict[str, Any]) -> Frame:
    width, height = int(values["width"]), int(values["height"])
    if not (0 < width <= _SIDE_MAX and 0 < height <= _SIDE_MAX) or len(values["lines"]) > height:
        raise ValueError("no size of a terminal")
    drawn_at = datetime.fromisoformat(values["drawn_at"])
    if drawn_at.tzinfo is None:
        raise ValueError("a time without a zone")
    return Frame(
        width=width,
        height=height,
        terminal=str(values["terminal"]),
        drawn_at=drawn_at,
        lines=tuple(_line(line, width) for line in values["lines"]),
    )


def _line(pieces: Sequence[Sequence[str]], width: int) -> tuple[FramePiece, ...]:
    line: list[FramePiece] = []
    for text, colour in pieces:
        if not _COLOUR.fullmatch(colour):
            raise ValueError(f"no colour: {colour!r}")
        line.append((safe_text(text, length_max=width), colour))
    return tuple(line)

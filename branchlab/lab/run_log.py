"""A run's log, read on from where the last reading ended, as lines in which nothing can act on a terminal.

Lines end at line feeds alone: a progress bar that redraws itself with carriage returns is one line, in its last state.
A line that is still being written is given too, apart, so that such a bar is seen while it moves.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from branchlab.lab.project import Project
from branchlab.terminal_text import safe_log_line

_BYTES_MAX = 8 << 20
_OPEN_BYTES_MAX = 64 << 10
"""Of a line that has not ended: more of it is taken as a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """What a log holds after some place.

    Attributes:
        attempt: Whose log; 0 where no attempt has begun.
        start: Byte at which ``lines`` begin. ``end``: at which the next reading goes on.
        lines: Whole ones.
        unfinished: The line that is being written.
        is_anew: Whether earlier parts are no longer of this log: it is another attempt's, or was cut.
        has_more: Whether the log goes on behind ``end``.
        is_left_out: Whether bytes before ``start`` are not shown.
    """

    run_id: str
    attempt: int
    start: int = 0
    end: int = 0
    lines: tuple[str, ...] = ()
    unfinished: str = ""
    is_anew: bool = True
    has_more: bool = False
    is_left_out: bool = False


def read_log(
    project: Project,
    run_id: str,
    *,
    after: LogPart | None = None,
    from_end_bytes: int | None = None,
    bytes_max: int = _BYTES_MAX,
) -> LogPart:
    """Return what is new in the log of a run's latest attempt.

    Args:
        project: Whose.
        run_id: Its folder; one that is gone has an empty log.
        after: The part that was read last; None for a beginning.
        from_end_bytes: A beginning is so far from the end; None for the whole log.
        bytes_max: At most so much is read at once; ``has_more`` says that there is more.
    """
    folder = project.state.run(run_id)
    number = folder.attempts()
    part = LogPart(run_id=run_id, attempt=number)
    if not number:
        return part
    try:
        with folder.attempt(number).log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            is_on = after is not None and after.attempt == number and after.end <= size
            start = after.end if after is not None and is_on else 0
            if not is_on and from_end_bytes is not None:
                start = max(0, size - from_end_bytes)
            file.seek(start)
            content = file.read(bytes_max)
    except OSError:
        return part
    is_left_out = not is_on and start > 0
    if is_left_out:  # the first line is only the end of one
        cut = content.find(b"\n") + 1
        start, content = start + cut, content[cut:]
    whole = content.rfind(b"\n") + 1
    rest = content[whole:]
    lines = content[:whole].split(b"\n")[:-1]
    if len(rest) > _OPEN_BYTES_MAX:
        lines, whole, rest = [*lines, rest], len(content), b""
    return LogPart(
        run_id=run_id,
        attempt=number,
        start=start,
        end=start + whole,
        lines=tuple(_shown(line) for line in lines),
        unfinished=_shown(rest),
        is_anew=not is_on,
        has_more=start + len(content) < size,
        is_left_out=is_left_out,
    )


def _shown(line: bytes) -> str:
    # The last state of a bar of a megabyte is at its end, the rest of a line past what is shown is never decoded.
    last = line.rstrip(b"\r").rsplit(b"\r", 1)[-1][:16_000]
    return safe_log_line(last.decode(errors="replace"))

"""What a script prints: metrics are found in it, and the line that says why it failed.

A line of JSON is metrics; so is what a pattern of the config finds. Lines end where a terminal would begin one, carriage
returns of progress bars included. However long a line or a flood is, what is kept of it is bounded.
"""

from __future__ import annotations

import ast
import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from branchlab.domain import KEY_VALUE
from branchlab.metric_log import numbers_of
from branchlab.train.tally import Told

_NUMBER = r"[-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
_KEY_VALUE = rf"^\s*(?P<name>[A-Za-z_][\w./@-]*)\s*:\s*(?P<value>(?i:{_NUMBER}))\s*%?\s*$"
_END = re.compile(rb"[\r\n]")
_LINE_BYTES_MAX = 64 << 10
_MATCHED_BYTES_MAX = 4 << 10
"""A pattern of the user's may take long on a long line."""
_TAIL_LINES = 400
_TAIL_BYTES = 2000
"""Kept of each line."""

_TRACEBACK = "Traceback (most recent call last):"
_PLACE = re.compile(r'\s*File "(.+)", line (\d+)')
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(:|$)")
_RANK = re.compile(r"^\[rank\d+\]:\s?")
"""What torchrun puts before the lines of a traceback."""


class Output:
    """The output of one script, as it comes in.

    Args:
        pattern: As the config has it: a regular expression, ``key: value``, or nothing.
    """

    def __init__(self, pattern: str = "") -> None:
        text = _KEY_VALUE if pattern == KEY_VALUE else pattern
        self._pattern = re.compile(text) if text else None
        self._rest = b""
        self._is_too_long = False
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)

    def take(self, chunk: bytes) -> Iterator[Told]:
        """Yield the metrics of the lines that a chunk ends."""
        *lines, rest = _END.split(self._rest + chunk)
        for line in lines:
            if self._is_too_long:
                self._is_too_long = False
                continue
            yield from self._line(line)
        if len(rest) > _LINE_BYTES_MAX:
            if not self._is_too_long:
                self._tail.append(rest[:_TAIL_BYTES])
            self._is_too_long, rest = True, b""
        self._rest = rest

    def end(self) -> Iterator[Told]:
        """Yield what the last line holds, when nothing ended it."""
        if self._rest and not self._is_too_long:
            yield from self._line(self._rest)
        self._rest = b""

    def lines(self) -> list[str]:
        """Return what was printed last."""
        return [line.decode(errors="replace") for line in self._tail]

    def _line(self, line: bytes) -> Iterator[Told]:
        if not line or len(line) > _LINE_BYTES_MAX:
            return
        self._tail.append(line[:_TAIL_BYTES])
        if line[:1] == b"{":
            values = _numbers(line)
            if values:
                yield Told(values)
                return
        if self._pattern is not None and len(line) <= _MATCHED_BYTES_MAX:
            found = self._matches(line.decode(errors="replace"))
            if found:
                yield Told(found)

    def _matches(self, line: str) -> dict[str, float | str]:
        assert self._pattern is not None
        values: dict[str, object] = {}
        for match in self._pattern.finditer(line):
            groups = {name: text for name, text in match.groupdict().items() if text is not None}
            if "name" in groups and "value" in groups:
                groups[groups.pop("name")] = groups.pop("value")
            values |= {name.replace("__", "/"): _number(text) for name, text in groups.items()}
        return numbers_of(values)


def why_failed(lines: list[str], code: int, worktree: Path) -> str:
    """Return in one line why a script left with an exit code: its exception with the innermost place, or what it said last."""
    plain = [_RANK.sub("", line).rstrip() for line in lines]
    starts = [place for place, line in enumerate(plain) if line.endswith(_TRACEBACK)]
    if starts:
        place = ""
        for line in plain[starts[-1] + 1 :]:
            if found := _PLACE.match(line):
                place = _within(found[1], found[2], worktree) or place
            elif line and not line[0].isspace() and _EXCEPTION.match(line):
                return f"{line}{place}"
    said = next((line.strip() for line in reversed(plain) if line.strip()), "it printed nothing")
    return f"exit code {code}: {said}"


def _within(file: str, line: str, worktree: Path) -> str:
    """Return a place of the project's own code; nothing for one of somebody else's."""
    path = Path(file)
    path = path if path.is_absolute() else worktree / path
    if not path.is_relative_to(worktree):
        return ""
    return f" ({path.relative_to(worktree)}:{line})"


def _numbers(line: bytes) -> dict[str, float | str]:
    try:
        # Trainers of transformers print a dictionary as Python writes it.
        is_python = line[:2] == b"{'"
        found = ast.literal_eval(line.decode()) if is_python else json.loads(line)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    return numbers_of(found) if isinstance(found, dict) else {}


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "").rstrip("% "))
    except ValueError:
        return None

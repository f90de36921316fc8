"""The one funnel through which text of a repository or a run reaches a terminal.

Branch names, commit subjects, log lines and metric names are data that anyone may have written: escape sequences in
them could rewrite the screen or the clipboard, and bidirectional overrides could make a name read as another. Neither
Textual nor Rich stops them (measured with Textual 8.2.8), so everything passes here first.
"""

from __future__ import annotations

import re
from unicodedata import east_asian_width

_SEQUENCE = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[PX^_][^\x1b]*(?:\x1b\\\\)?|[ -/]*[0-~])"
    "|\x9b[0-?]*[ -/]*[@-~]"
)
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)

_PLAIN_MARKS = {
    **dict.fromkeys("─━═┈▔▁", "-"),
    **dict.fromkeys("│┃║▌▐▕▏▎▍▊▉", "|"),
    **dict.fromkeys("┼├┤┬┴┌┐└┘╭╮╰╯", "+"),
    **dict(zip("▁▂▃▄▅▆▇█░▒▓┊", "_.,-=+*#.:%:", strict=True)),
    **dict(zip("▲▽△▼●○◆◇★◂▸▾▴▶◀✓✗", "^v^v*o##*<>v^><+x", strict=True)),
    **dict(zip("—✎↺↔▪", "=*<=o", strict=True)),
    **dict(zip("▀␍", "#<", strict=True)),
    **dict(zip("╌┄", "=~", strict=True)),  # each curve of a chart keeps a mark of its own
    **dict(zip("↑↓→←·…±Δ≥≤°⏎½", "+-><.~~d><*<2", strict=True)),
}


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    if character < " ":  # C0 controls have pictures of their own
        return chr(0x2400 + ord(character))
    return f"<{ord(character):04X}>"


def safe_text(text: str, *, length_max: int = 2000) -> str:
    """Return one line in which nothing can act on a terminal; what was unsafe stays visible."""
    return _UNSAFE.sub(_visible, text[:length_max])


def safe_log_line(line: str, *, length_max: int = 2000) -> str:
    """Return a log line without its colour sequences, and only the last state of a redrawn progress bar."""
    last_state = line.rstrip("\r\n").rsplit("\r", 1)[-1]
    return safe_text(_SEQUENCE.sub("", last_state).replace("\t", "    "), length_max=length_max)


def plain_characters(text: str) -> str:
    """Return a text in ASCII, as wide as it was: marks have plain ones, braille dots are as dark as they are many."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else _plain(c) for c in text)


def _plain(character: str) -> str:
    if character in _PLAIN_MARKS:
        return _PLAIN_MARKS[character]
    if "\u2800" <= character <= "\u28ff":
        return " .::::**#"[(ord(character) - 0x2800).bit_count()]
    return "??" if east_asian_width(character) in {"W", "F"} else "?"

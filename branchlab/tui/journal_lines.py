"""The journal as rows and as whole entries, and what a filter of it means. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from branchlab.lab.columns import Column
from branchlab.lab.journal import Entry, Happening
from branchlab.lab.words import OUTCOME_MARKS, RELATION_WORDS
from branchlab.tui.looks import Line, Look, Piece, outcome_look, outcome_piece
from branchlab.tui.rows import Row
from branchlab.tui.wrapping import wrapped

COLUMNS = (
    Column(title="DAY"),
    Column(title="AT"),
    Column(title="WHAT"),
    Column(title="EXPERIMENT", width_min=10),
    Column(title="", width_min=20),
)
_MARKS = {
    Happening.CREATED: ("+", Look.LIVE),
    Happening.RAN: ("●", Look.DIM),
    Happening.NOTE: ("✎", Look.LIVE),
    Happening.DROPPED: ("✗", Look.BAD),
    Happening.REOPENED: ("↺", Look.WARN),
    Happening.LANDED: ("◆", Look.GOOD),
    Happening.RETIRED: ("▪", Look.DIM),
}
_SINCE = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_KIND, _EXPERIMENT, _SINCE_WORD = "kind:", "exp:", "since:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a typed filter means.

    Attributes:
        words: Each has to occur.
        kinds: The beginning of one of them has to be the entry's; ``experiments``: one has to occur in its name.
        since: Nothing before.
        wrong: What cannot be understood, in a sentence; empty where all can.
    """

    words: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    since: datetime | None = None
    wrong: str = ""


def filter_of(typed: str, now: datetime) -> Filter:
    """Return what ``kind:verdict exp:se since:7d gain`` means."""
    words: list[str] = []
    kinds: list[str] = []
    experiments: list[str] = []
    since, wrong = None, ""
    for word in typed.casefold().split():
        if word.startswith(_KIND):
            found = [one for one in word.removeprefix(_KIND).split(",") if one]
            unknown = [k for k in found if not any(h.startswith(k) for h in Happening)]
            kinds += found
            wrong = wrong or (
                f"no kind '{unknown[0]}'; kinds: {', '.join(Happening)}" if unknown else ""
            )
        elif word.startswith(_EXPERIMENT):
            experiments += [one for one in word.removeprefix(_EXPERIMENT).split(",") if one]
        elif word.startswith(_SINCE_WORD):
            said = word.removeprefix(_SINCE_WORD)
            match = _SINCE.fullmatch(said)
            if match is not None:
                since = now - timedelta(**{_UNITS[match[2]]: int(match[1])})
            elif said:
                wrong = wrong or f"since:{said} is no time; since:7d or 12h, 30m, 2w"
        else:
            words.append(word)
    return Filter(
        words=tuple(words),
        kinds=tuple(kinds),
        experiments=tuple(experiments),
        since=since,
        wrong=wrong,
    )


def next_kind(typed: str, entries: Sequence[Entry]) -> str:
    """Return a filter for the next kind of those that there are; without one behind the last."""
    present = [kind for kind in Happening if any(entry.what is kind for entry in entries)]
    words = typed.split()
    now = next((w.removeprefix(_KIND) for w in words if w.startswith(_KIND)), "")
    order = ["", *map(str, present)]
    following = order[(order.index(now) + 1) % len(order)] if now in order else ""
    kept = [word for word in words if not word.startswith(_KIND)]
    return " ".join([*([f"{_KIND}{following}"] if following else []), *kept])


def matches(entry: Entry, wanted: Filter) -> bool:
    """Whether an entry is one of those that a filter asks for."""
    if wanted.since is not None and entry.at < wanted.since:
        return False
    if wanted.kinds and not any(entry.what.startswith(kind) for kind in wanted.kinds):
        return False
    name = entry.experiment.casefold()
    if wanted.experiments and not any(one in name for one in wanted.experiments):
        return False
    outcome = str(entry.verdict.outcome) if entry.verdict is not None else ""
    said = f"{entry.what}\n{name}\n{told(entry)}\n{outcome}".casefold()
    return all(word in said for word in wanted.words)


def keyed(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return entries by a key that stays theirs when others come between."""
    found: dict[str, Entry] = {}
    for entry in entries:
        key = same = f"{entry.at.timestamp()} {entry.what} {entry.experiment}"
        number = 1
        while key in found:
            number += 1
            key = f"{same} {number}"
        found[key] = entry
    return found


def journal_rows(entries: Mapping[str, Entry]) -> list[Row]:
    """Return entries as rows, the latest first; a day stands at the first of its entries."""
    rows: list[Row] = []
    day = year = None
    for key, entry in reversed(list(entries.items())):
        moment = entry.at.astimezone()
        shown = ""
        if day != (day := moment.date()):
            year = year or moment.year
            shown = f"{moment:%a %d %b}" if moment.year == year else f"{moment:%d %b %Y}"
        mark, look = _mark(entry)
        cells: tuple[Line, ...] = (
            ((shown, Look.STRONG),),
            ((f"{moment.hour:02}:{moment.minute:02}", Look.DIM),),
            ((f"{mark} {entry.what}", look),),
            ((entry.experiment, Look.PLAIN),),
            _text(entry),
        )
        rows.append(Row(key=key, cells=cells))
    return rows


def entry_lines(entry: Entry, width: int) -> list[Line]:
    """Return a whole entry, wrapped."""
    mark, look = _mark(entry)
    head: Line = (
        (f"{mark} {entry.what}", look),
        (f"  {entry.experiment}", Look.STRONG),
        (f"  {entry.at.astimezone():%A %d %B %Y, %H:%M}", Look.DIM),
    )
    lines = [head, *wrapped(((_one_line(entry.text), Look.PLAIN),), width, num_max=40)]
    relations = entry.note.relations if entry.note is not None else ()
    lines += [
        ((f"{RELATION_WORDS[relation]} ", Look.LIVE), (other, Look.PLAIN))
        for relation, other in relations
    ]
    if entry.runs:
        said = f"runs: {', '.join(entry.runs)}"
        lines += wrapped(((said, Look.DIM),), width, num_max=4)
    return lines


def told(entry: Entry) -> str:
    """Return an entry's text with what it says of other experiments, in a line."""
    relations = entry.note.relations if entry.note is not None else ()
    said = [f"{RELATION_WORDS[relation]} {other}" for relation, other in relations]
    text = _one_line(entry.text)
    return f"{text} ({', '.join(said)})" if said else text


def _text(entry: Entry) -> Line:
    verdict = entry.verdict
    if verdict is None:
        return ((told(entry), Look.PLAIN),)
    word, look = outcome_piece(verdict.outcome, is_interim=verdict.is_interim)
    sentence = entry.text.partition(": ")[2] or entry.text
    return (word.partition(" ")[2], look), (f": {sentence}", Look.PLAIN)


def _mark(entry: Entry) -> Piece:
    if entry.verdict is not None:
        return OUTCOME_MARKS[entry.verdict.outcome], outcome_look(entry.verdict.outcome)
    return _MARKS.get(entry.what, ("~", Look.DIM))


def _one_line(text: str) -> str:
    return " ".join(text.split())

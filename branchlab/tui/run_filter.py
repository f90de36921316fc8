"""What a filter over runs means: words that occur, and ``state:`` ``branch:`` ``seed:`` ``scale:`` ``device:`` ``since:``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from branchlab.domain import RunRecord

FIELDS = ("state", "branch", "seed", "scale", "device", "since")
_SINCE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """A filter as it was typed, taken apart.

    Attributes:
        words: Have to occur in what is said of a run.
        fields: (name, values): one of the values has to begin what the field holds; of a branch, to occur in it.
        since: So long ago, at most, a run has ended, begun or been planned.
        complaint: What of it means nothing; it is left out.
    """

    words: tuple[str, ...] = ()
    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()
    since: timedelta | None = None
    complaint: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.words or self.fields or self.since)

    def has(self, record: RunRecord, text: str, now: datetime) -> bool:
        """Whether a run passes.

        Args:
            record: The run.
            text: ``text_of`` it.
            now: What ``since`` counts from.
        """
        if self.since is not None:
            moment = moment_of(record)
            if moment is None or now - moment > self.since:
                return False
        for name, values in self.fields:
            held = _HELD[name](record).casefold()
            if name == "branch":
                if not any(value in held for value in values):
                    return False
            elif name == "seed":
                if held not in values:
                    return False
            elif not held.startswith(values):
                return False
        return all(word in text for word in self.words)


def parse_filter(text: str) -> RunFilter:
    """Return what a filter means; half a word while it is typed is a word."""
    words: list[str] = []
    fields: list[tuple[str, tuple[str, ...]]] = []
    since, complaint = None, ""
    for word in text.casefold().split():
        name, colon, value = word.partition(":")
        if not colon or name not in FIELDS:
            words.append(word)
        elif name == "since":
            found = _SINCE.fullmatch(value)
            if found:
                since = timedelta(seconds=float(found[1]) * _UNIT_S[found[2]])
            else:
                complaint = "since: needs a time, as 30m, 2h or 1d"
        elif values := tuple(one for one in value.split(",") if one):
            fields.append((name, values))
    return RunFilter(words=tuple(words), fields=tuple(fields), since=since, complaint=complaint)


def text_of(record: RunRecord) -> str:
    """Return what words are looked for in."""
    run = record.run
    said = (run.id, run.branch, record.state, run.commit[:10], run.scale, run.device, record.reason)
    return "\n".join(said).casefold()


def moment_of(record: RunRecord) -> datetime | None:
    """Return when a run ended, else began, else was planned."""
    return record.ended_at or record.started_at or record.run.planned_at


_HELD: dict[str, Callable[[RunRecord], str]] = {
    "state": lambda record: str(record.state),
    "branch": lambda record: record.run.branch,
    "seed": lambda record: str(record.run.seed),
    "scale": lambda record: str(record.run.scale),
    "device": lambda record: record.run.device,
}

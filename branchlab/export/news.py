"""What a run's folder holds beyond a place up to which it was read: points of its curves, samples of its machine, pictures.

A later value of a metric at a step stands for an earlier one, as in the index. A run that goes on from its checkpoint
takes some steps again and gives the same bits: what is the same is no news. A run that begins anew, as a script without
a checkpoint does, has no curves from before. Damaged lines are left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from branchlab.run_folder import JSON, RunFolder, from_text, read_events

_NO_TIME = datetime.fromtimestamp(0, UTC)
_NO_METRICS = {"seq", "crc32"}
_SPEED = "system/images_per_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a run's folder: attempts before this one were read whole, of this one so many bytes."""

    attempt: int = 0
    events: int = 0
    usage: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one curve; ``value`` may be no finite number."""

    name: str
    value: float
    step: int
    epoch: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that the training drew."""

    name: str
    path: Path
    step: int
    epoch: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is new in a run's folder.

    Attributes:
        points: In the order in which they were written, by step.
        usage: Samples of the machine, named ``system/…``; their step is the number of the sample, from 0.
        place: Where the next reading goes on.
        num_damaged: Lines that could not be read.
        is_anew: Whether the run has begun anew since the last reading: points of before are none of its curves any more.
    """

    points: tuple[Point, ...]
    usage: tuple[Point, ...]
    pictures: tuple[Picture, ...]
    place: Place
    num_damaged: int
    is_anew: bool = False

    def __bool__(self) -> bool:
        return bool(self.points or self.usage or self.pictures)


class Reading:
    """A run's folder while it is read on and on.

    Args:
        folder: Whose.
        place: What lies before is known already; it is read once more, for what is the same.
    """

    def __init__(self, folder: RunFolder, place: Place | None = None) -> None:
        self.place = Place()
        self._folder = folder
        self._known: dict[tuple[str, int], float] = {}
        self._step = 0
        self._num_samples = 0
        if place is not None and place.attempt:
            self._advance(until=place)

    def news(self) -> News:
        """Return what the folder holds beyond the last time."""
        return self._advance(until=None)

    def _advance(self, *, until: Place | None) -> News:
        points: list[Point] = []
        usage: list[Point] = []
        pictures: list[Picture] = []
        num_damaged, is_anew = 0, False
        last = until.attempt if until is not None else self._folder.attempts()
        for number in range(max(1, self.place.attempt), last + 1):
            here = self.place if self.place.attempt == number else Place(attempt=number)
            attempt = self._folder.attempt(number)
            bound = until if until is not None and number == until.attempt else None
            lines = _Lines(attempt.events, here.events, bound.events if bound else None)
            for event in lines:
                if event.get("kind") == "start" and event.get("is_anew"):
                    self._known, self._step, points, is_anew = {}, 0, [], True
                    usage = [point for point in usage if point.name != _SPEED]
                found = self._of_event(event)
                points += found[0]
                pictures += found[1]
                usage += found[2]
            samples = _Lines(attempt.usage, here.usage, bound.usage if bound else None)
            for sample in samples:
                usage += self._of_sample(sample)
            num_damaged += lines.num_damaged + samples.num_damaged
            self.place = Place(attempt=number, events=lines.offset, usage=samples.offset)
        return News(
            points=tuple(self._changed(points)),
            usage=tuple(usage),
            pictures=tuple(pictures),
            place=self.place,
            num_damaged=num_damaged,
            is_anew=is_anew,
        )

    def _of_event(self, event: JSON) -> tuple[list[Point], list[Picture], list[Point]]:
        at, epoch = _moment(event), _whole(event.get("epoch"))
        match event.get("kind"):
            case "metric" | "epoch" | "told":
                self._step = step = _whole(event.get("step"))
                found = _numbers(event.get("values"))
                points = [Point(name, value, step, epoch, at) for name, value in found.items()]
                return points, [], self._speed(event, step, epoch, at)
            case "picture":
                name, path = str(event.get("name")), self._folder.pictures / str(event.get("file"))
                is_ours = path.parent == self._folder.pictures and _is_whole(path)
                picture = Picture(name, path, self._step, epoch, at)
                return [], [picture] if is_ours else [], []
            case _:
                return [], [], []

    def _speed(self, event: JSON, step: int, epoch: int, at: datetime) -> list[Point]:
        """Return how fast an epoch was; of a step that was taken twice the first time stands."""
        rate = _numbers({_SPEED: event.get("images_per_s")})
        is_known = (_SPEED, step) in self._known
        self._known |= {(name, step): value for name, value in rate.items()}
        return [] if is_known else [Point(n, value, step, epoch, at) for n, value in rate.items()]

    def _of_sample(self, sample: JSON) -> list[Point]:
        number, at = self._num_samples, _moment(sample)
        self._num_samples += 1
        found = {n: v for n, v in _numbers(sample).items() if n not in _NO_METRICS}
        return [Point(f"system/{name}", value, number, 0, at) for name, value in found.items()]

    def _changed(self, points: list[Point]) -> Iterator[Point]:
        """Yield, of what was read at once, the last value of each name and step, unless it is known."""
        last = {(point.name, point.step): point for point in points}
        for where, point in last.items():
            known = self._known.get(where)
            is_same = known is not None and (
                known == point.value or (math.isnan(known) and math.isnan(point.value))
            )
            if not is_same:
                self._known[where] = point.value
                yield point


class _Lines:
    """The events of a file from an offset on, up to another one; knows afterwards where it ended."""

    def __init__(self, path: Path, offset: int, until: int | None) -> None:
        self.offset, self.num_damaged = offset, 0
        self._path, self._until = path, until

    def __iter__(self) -> Iterator[JSON]:
        while self._until is None or self.offset < self._until:
            bound = {} if self._until is None else {"size_max": self._until - self.offset}
            chunk = read_events(self._path, offset=self.offset, **bound)
            if chunk.next_offset == self.offset:
                return
            self.offset = chunk.next_offset
            self.num_damaged += chunk.num_damaged
            yield from chunk.events


def _numbers(values: object) -> dict[str, float]:
    """Return what is a number, or the text of one that JSON cannot hold (``nan``, ``inf``)."""
    found: dict[str, float] = {}
    for name, value in values.items() if isinstance(values, dict) else ():
        is_text = isinstance(value, str) and value.lower() in {"nan", "inf", "-inf"}
        if is_text or (isinstance(value, int | float) and not isinstance(value, bool)):
            found[str(name)] = float(value)
    return found


def _is_whole(path: Path) -> bool:
    """Whether a file is a PNG with its beginning and its end: a power cut may have left a part of one."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return content.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" in content[-12:]


def _moment(event: JSON) -> datetime:
    try:
        return from_text(event.get("at")) or _NO_TIME
    except (TypeError, ValueError):
        return _NO_TIME


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0

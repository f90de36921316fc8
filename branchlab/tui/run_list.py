"""The rows of the table of runs. Of 10,000 runs eight get on: rows of the others are kept as long as they say the same.

``RunList`` belongs to one reader thread, which makes the rows; the screen only filters, sorts and marks what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from rich.cells import cell_len

from branchlab.domain import Goal, RunRecord, RunState
from branchlab.lab.columns import Column
from branchlab.lab.progress import fraction_of, left_s
from branchlab.lab.run_curves import loss_of
from branchlab.lab.run_pairs import RunPairs, queue_of
from branchlab.lab.words import age, duration, figure
from branchlab.tui.looks import Line, Look, Piece, state_mark
from branchlab.tui.rows import Row, metric_title, sorted_by
from branchlab.tui.run_filter import RunFilter, moment_of, text_of

_BAR = 8
_AGE = 14
"""Its column."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


class RunSort(StrEnum):
    """What runs are sorted by; ``s`` goes through them, ``S`` turns them round."""

    LIVE = "live first"
    BRANCH = "branch"
    RESULT = "result"
    DIFFERENCE = "Δ main"
    LOSS = "loss"
    SPEED = "images/s"
    AGE = "age"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run with its row.

    Attributes:
        said: What of the row the record alone does not decide; a row is made anew when it is another.
        place: In the default order.
        values: What it is sorted by, by column; None stands behind in either direction.
        text: What the words of a filter are looked for in.
    """

    record: RunRecord
    row: Row
    said: tuple[str, ...]
    place: tuple[float, float, str]
    values: Mapping[RunSort, float | None]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """All runs as they are now.

    Attributes:
        entries: By id.
        measured: A row as wide as the widest of each column; another object only when one has got wider.
        pairs: Know main's run beside each run.
    """

    metric: str
    entries: Mapping[str, Entry]
    measured: Sequence[Row]
    pairs: RunPairs

    def partner(self, run_id: str) -> RunRecord | None:
        """Return main's run beside a run."""
        entry = self.entries.get(run_id)
        return self.pairs.of(entry.record) if entry is not None else None


def list_columns(metric: str, sort: RunSort, *, is_reversed: bool) -> tuple[Column, ...]:
    """Return the columns of the table, which ``RunList`` fills."""
    columns = (
        Column(title="RUN", width_min=20),
        Column(id=RunSort.BRANCH, title="BRANCH", rank=8, width_min=12),
        Column(title="COMMIT", rank=11),
        Column(title="SEED", rank=10, is_right=True),
        Column(id=RunSort.LIVE, title="STATE"),
        Column(title="PROGRESS", rank=1),
        Column(id=RunSort.LOSS, title="LOSS", rank=3, is_right=True),
        Column(id=RunSort.RESULT, title=metric_title(metric), is_right=True),
        Column(id=RunSort.DIFFERENCE, title="Δ MAIN", rank=4, is_right=True),
        Column(id=RunSort.SPEED, title="IMG/S", rank=6, is_right=True),
        Column(title="ETA", rank=2, is_right=True),
        Column(title="DEVICE", rank=12),
        Column(title="SCALE", rank=9),
        Column(title="TIME", rank=13, is_right=True),
        Column(id=RunSort.AGE, title="AGE", rank=5, is_right=True),
        Column(title="REASON", rank=7, width_min=10),
    )
    return sorted_by(columns, sort, is_reversed=is_reversed)


class RunList:
    """Makes rows, and keeps them."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._pairs = RunPairs()
        self._about: tuple[str, int] = ("", 0)
        self._widths: list[int] = []
        self._measured: list[Row] = []

    def take(
        self,
        records: Sequence[RunRecord],
        *,
        metric: str,
        main: str,
        now: datetime,
        is_at_work: bool,
    ) -> Listed:
        """Return the runs as they are now.

        Args:
            records: All of them.
            metric: What they are about.
            main: What main is called.
            now: What ages and ETAs count from.
            is_at_work: Whether a command is there that starts what is planned.
        """
        has_other_mains = self._pairs.look(records, main=main)
        about = (metric, int(now.timestamp() // 60))
        if about[0] != self._about[0]:
            self._entries = {}
        is_all_due = has_other_mains or about != self._about
        self._about = about
        queue = {r.run.id: n for n, r in enumerate(queue_of(records, main=main), 1)}
        known, found = self._entries, {}
        for record in records:
            run_id = record.run.id
            entry = known.get(run_id)
            is_same = entry is not None and entry.record is record
            if entry is None or not is_same or is_all_due or not record.state.is_over:
                place = queue.get(run_id, 0)
                waits = f"queued {place}" if place and is_at_work else str(record.state)
                state = "stopped" if record.usage.get("is_stopped") else waits
                said = (*self._said(record, metric, main, now), state)
                if entry is not None and is_same and entry.said[1:] == said[1:]:
                    entry = entry if entry.said == said else _older(entry, said)
                else:
                    entry = self._entry(record, said, place, metric)
            found[run_id] = entry
        self._entries = found
        return Listed(metric=metric, entries=found, measured=self._measured, pairs=self._pairs)

    def _said(
        self, record: RunRecord, metric: str, main: str, now: datetime
    ) -> tuple[str, str, str]:
        is_running = record.state is RunState.RUNNING
        left = left_s(record, now) if is_running else None
        difference = self._pairs.difference_text(record, metric)
        if record.run.branch == main and not record.run.flags:
            difference = "main"
        elif is_running and self._pairs.of(record) is not None:
            difference = "…"
        return age(moment_of(record), now), duration(left) if left is not None else "", difference

    def _entry(self, record: RunRecord, said: tuple[str, ...], place: int, metric: str) -> Entry:
        row = list_row(record, metric, *said)
        self._measure(row)
        moment = moment_of(record)
        since = -(moment.timestamp() if moment is not None else 0.0)
        group = {RunState.RUNNING: 0.0, RunState.PLANNED: 1.0}.get(record.state, 2.0)
        loss = record.metrics.get(loss_of(record.metrics))
        return Entry(
            record=record,
            row=row,
            said=said,
            place=(group, float(place) if place else since, record.run.id),
            values={
                RunSort.RESULT: record.metrics.get(metric),
                RunSort.DIFFERENCE: self._pairs.difference(record, metric),
                RunSort.LOSS: loss,
                RunSort.SPEED: record.images_per_s,
                RunSort.AGE: since,
            },
            text=text_of(record),
        )

    def _measure(self, row: Row) -> None:
        """Keep the widest cell of every column: a table of 10,000 rows is not measured again for each change."""
        widths = [
            sum(len(text) if text.isascii() else cell_len(text) for text, _ in cell)
            for cell in row.cells
        ]
        if not self._widths:
            self._widths = [0] * len(widths)
        if any(new > old for new, old in zip(widths, self._widths, strict=True)):
            self._widths = [max(pair) for pair in zip(widths, self._widths, strict=True)]
            cells = tuple(((" " * width, Look.PLAIN),) for width in self._widths)
            self._measured = [Row(key="", cells=cells)]


def _older(entry: Entry, said: tuple[str, ...]) -> Entry:
    """Return an entry of which only the age is another: each minute it is so of thousands."""
    cells = list(entry.row.cells)
    cells[_AGE] = ((said[0], Look.DIM),)
    return replace(entry, row=Row(key=entry.row.key, cells=tuple(cells)), said=said)


def list_row(
    record: RunRecord, metric: str, old: str, left: str, difference: str, state: str
) -> Row:
    """Return one run as cells.

    Args:
        record: The run.
        metric: Whose value is shown.
        old: Its age.
        left: How long it still takes.
        difference: To main's run.
        state: In words.
    """
    run = record.run
    is_done = record.state is RunState.DONE
    look = Look.PLAIN if is_done or record.state is RunState.RUNNING else Look.DIM
    mark, state_look = state_mark(record.state)
    loss = record.metrics.get(loss_of(record.metrics))
    speed = f"{record.images_per_s:,.0f}" if record.images_per_s else ""
    cells: tuple[Line, ...] = (
        ((run.id, Look.PLAIN),),
        ((run.branch, Look.PLAIN),),
        ((run.commit[:7], Look.DIM),),
        ((str(run.seed), Look.PLAIN),),
        ((f"{mark} {state}", state_look),),
        progress_cell(record),
        (_value(loss, look),),
        (_value(record.metrics.get(metric), look),),
        ((difference, Look.PLAIN if is_done else Look.DIM),),
        ((speed, look),),
        ((left, Look.LIVE),),
        ((run.device, Look.DIM),),
        ((str(run.scale), Look.DIM),),
        ((duration(record.duration_s) if record.duration_s else "", Look.DIM),),
        ((old, Look.DIM),),
        ((record.reason, Look.WARN if record.state is RunState.CANCELLED else Look.BAD),),
    )
    return Row(key=run.id, cells=cells)


def progress_cell(record: RunRecord, width: int = _BAR) -> Line:
    """Return a bar with per cent; epochs alone where the end is not known."""
    share = fraction_of(record)
    if share is None:
        return ((f"epoch {record.epoch}" if record.epoch else "", Look.DIM),)
    look = Look.LIVE if record.state is RunState.RUNNING else Look.DIM
    return ((bar(share, width), look), (f" {int(share * 100):3}%", Look.PLAIN))


def bar(share: float, width: int) -> str:
    """Return a bar of eighths of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (_EIGHTHS[rest] if rest else "")
    return text + "░" * (width - len(text))


def ordered(
    entries: Iterable[Entry], sort: RunSort, *, is_reversed: bool, goal: Goal
) -> list[Entry]:
    """Return runs in order, the best, fastest or youngest first; those without a value stand behind either way."""
    by_place = sorted(entries, key=lambda entry: entry.place)
    if sort is RunSort.LIVE:
        return by_place[::-1] if is_reversed else by_place
    if sort is RunSort.BRANCH:
        return sorted(
            by_place,
            key=lambda e: (e.record.run.branch, e.record.run.seed),
            reverse=is_reversed,
        )
    is_small_first = sort in {RunSort.LOSS, RunSort.AGE} or (
        sort in {RunSort.RESULT, RunSort.DIFFERENCE} and goal is Goal.MIN
    )
    sign = 1.0 if is_small_first is not is_reversed else -1.0
    known = [
        (sign * value, entry)
        for entry in by_place
        if (value := entry.values[sort]) is not None and math.isfinite(value)
    ]
    rest = [
        entry
        for entry in by_place
        if (value := entry.values[sort]) is None or not math.isfinite(value)
    ]
    return [entry for _, entry in sorted(known, key=lambda pair: pair[0])] + rest


def kept(
    entries: Iterable[Entry],
    wanted: RunFilter,
    now: datetime,
    *,
    among: frozenset[str] | None = None,
    is_live_only: bool = False,
) -> list[Entry]:
    """Return the runs that pass a filter; ``among`` are the only ones that are shown at all."""
    return [
        entry
        for entry in entries
        if (among is None or entry.record.run.id in among)
        and not (is_live_only and entry.record.state.is_over)
        and (wanted.is_empty or wanted.has(entry.record, entry.text, now))
    ]


def _value(value: float | None, look: Look) -> Piece:
    if value is None:
        return "", Look.DIM
    if not math.isfinite(value):
        return f"{value}", Look.BAD
    return figure(value), look

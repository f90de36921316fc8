"""Rows and columns of the tables, and those of runs. Pure, so that a table's content is a test of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from branchlab.domain import RunRecord, RunState
from branchlab.lab.columns import Column
from branchlab.lab.words import age, duration, figure
from branchlab.tui.looks import Line, Look, state_piece
from branchlab.tui.views import BranchView


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a table; ``key`` is kept selected over a refresh.

    A heading is its first cell alone, drawn over the whole width.
    """

    key: str
    cells: tuple[Line, ...]
    is_heading: bool = False


class AnyRow(Protocol):
    """What a table takes for a row; one may make its cells when they are first looked at."""

    @property
    def key(self) -> str: ...

    @property
    def cells(self) -> tuple[Line, ...]: ...

    @property
    def is_heading(self) -> bool: ...


def metric_title(metric: str) -> str:
    """Return what the column of a metric is called."""
    return metric.rsplit("/", 1)[-1][:10]


def sorted_by(columns: Sequence[Column], wanted: str, *, is_reversed: bool) -> tuple[Column, ...]:
    """Return columns of which the one that is sorted by is marked."""
    mark = "▴" if is_reversed else "▾"
    return tuple(
        replace(one, title=one.title + mark) if one.id == wanted else one for one in columns
    )


def progress_text(running: Sequence[RunRecord]) -> str:
    """Return ``4/10`` epochs of a single run, or the share of all steps of several."""
    if len(running) == 1:
        return f"{running[0].epoch}/{running[0].epochs or '?'}"
    steps = sum(record.steps for record in running)
    return f"{sum(record.step for record in running) / steps:.0%}" if steps else "0%"


def run_columns(metric: str) -> tuple[Column, ...]:
    """Return the columns of a branch's runs, which ``run_row`` fills."""
    return (
        Column(title="RUN", width_min=12),
        Column(title="SEED", is_right=True),
        Column(title="STATE"),
        Column(title="EPOCH", rank=1, is_right=True),
        Column(title=metric_title(metric), is_right=True),
        Column(title="COUNTS", rank=4),
        Column(title="SCALE", rank=5),
        Column(title="COMMIT", rank=6),
        Column(title="TIME", rank=3, is_right=True),
        Column(title="AGE", rank=2, is_right=True),
        Column(title="REASON", width_min=0, rank=7),
    )


def run_row(record: RunRecord, view: BranchView, metric: str, now: datetime) -> Row:
    """Return one run as cells."""
    run = record.run
    epochs = f"{record.epoch}/{record.epochs}" if record.epochs else ""
    value = record.metrics.get(metric)
    look = Look.PLAIN if record.state is RunState.DONE else Look.DIM
    moment = record.ended_at or record.started_at or run.planned_at
    cells: tuple[Line, ...] = (
        ((run.id, Look.PLAIN),),
        ((str(run.seed), Look.PLAIN),),
        (state_piece(record.state),),
        ((epochs, Look.PLAIN),),
        ((figure(value), look),),
        (("yes" if run.id in view.counted else "no", Look.DIM),),
        ((str(run.scale), Look.DIM),),
        ((run.commit[:10], Look.DIM),),
        ((duration(record.duration_s), Look.DIM),),
        ((age(moment, now), Look.DIM),),
        ((record.reason, Look.BAD if record.state is not RunState.CANCELLED else Look.WARN),),
    )
    return Row(key=run.id, cells=cells)

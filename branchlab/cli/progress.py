"""Live progress of a batch: a bar and a line for each running run on a terminal, a line for each ended run elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from branchlab.cli.table import state_text
from branchlab.cli.terminal import colour
from branchlab.domain import RunRecord, RunState
from branchlab.lab.progress import Progress, left_s
from branchlab.lab.run import Prepared
from branchlab.lab.words import duration, figure
from branchlab.schedule.pool import StopRequest
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from rich.console import RenderableType

_BAR_WIDTH = 30
_FIGURES_MAX = 8
_WARMED_UP = 0.02
_STOPPING = {
    1: "stopping: runs write a checkpoint and end; Ctrl-C again ends them now",
    2: "stopping: runs are ended now",
}


def show_progress(
    changes: Iterator[Progress], prepared: Prepared, stop: StopRequest
) -> Iterator[Progress]:
    """Pass progress on while drawing it on stderr; only a terminal gets the live display."""
    if sys.stderr.isatty():
        yield from _live(changes, stop)
        return
    to_start = len(prepared.plan.to_start)
    about = prepared.estimate.total_s
    long = f", about {duration(about)}" if about else ""
    click.echo(
        f"{to_start} runs to train, {len(prepared.plan.runs) - to_start} known, {at_once(prepared)}{long}",
        err=True,
    )
    yield from _plain(changes, stop)


def at_once(prepared: Prepared) -> str:
    """Say how many runs work at the same time."""
    return f"{prepared.num_slots} at once" if prepared.num_slots else "as many at once as fit"


def show_followed(changes: Iterator[Progress], stop: StopRequest) -> Iterator[Progress]:
    """Pass on and draw what runs do that others have started."""
    yield from _live(changes, stop) if sys.stderr.isatty() else _plain(changes, stop)


def _plain(changes: Iterator[Progress], stop: StopRequest) -> Iterator[Progress]:
    said = 0
    for progress in changes:
        for line in _lines(progress):
            click.echo(line, err=True)
        if stop.level > said:
            said = stop.level
            click.echo(_STOPPING[said], err=True)
        yield progress


def _lines(progress: Progress) -> list[str]:
    """Return what has just happened, a line each."""
    remarks = [
        f"{click.style('note', fg='yellow')}  {safe_text(r.run.branch)} seed {r.run.seed}  {safe_text(text)}"
        for r, text in progress.remarks
    ]
    return [*remarks, *(_line(record) for record in progress.ended)]


def _line(record: RunRecord) -> str:
    found = [
        f"{safe_text(n)} {figure(v)}" for n, v in record.metrics.items() if n.startswith("val/")
    ]
    more = [f"+{len(found) - _FIGURES_MAX}"] if len(found) > _FIGURES_MAX else []
    figures = "  ".join(found[:_FIGURES_MAX] + more)
    what = figures if record.state is RunState.DONE else safe_text(record.reason)
    return f"{state_text(record.state)}  {safe_text(record.run.branch)} seed {record.run.seed}  {what}  {duration(record.duration_s)}"


def _live(changes: Iterator[Progress], stop: StopRequest) -> Iterator[Progress]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True, no_color=True if colour() is False else None)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for progress in changes:
            for line in _lines(progress):
                live.console.print(Text.from_ansi(line))
            live.update(_picture(progress, stop), refresh=True)
            yield progress


def _picture(progress: Progress, stop: StopRequest) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    now = datetime.now(UTC)
    for record in progress.running:
        share = record.step / record.steps if record.steps else 0.0
        loss = record.metrics.get("train/loss")
        rows.add_row(
            Text(safe_text(record.run.branch)),
            Text(f"seed {record.run.seed}"),
            Text(_bar(share, 16), style="cyan"),
            Text(_epoch(record)),
            Text(f"loss {loss:.4f}" if loss is not None else ""),
            Text(f"{record.images_per_s:,.0f} images/s" if record.images_per_s else ""),
            Text(_to_go(record, now)),
            Text(_memory(record)),
        )
    total, over = len(progress.records), sum(r.state.is_over for r in progress.records.values())
    share = progress.fraction_done
    left = duration(progress.elapsed_s / share * (1 - share)) if share > _WARMED_UP else "…"
    failed = progress.count(RunState.FAILED, RunState.LOST)
    counts = f"{over} of {total} runs" + (f", {failed} failed" if failed else "")
    head = Text(
        f"{_bar(share, _BAR_WIDTH)} {share:4.0%}  {counts}  {duration(progress.elapsed_s)}, {left} to go"
    )
    return Group(head, rows, *([Text(_STOPPING[stop.level], style="yellow")] if stop.level else []))


def _epoch(record: RunRecord) -> str:
    if record.usage.get("is_stopped"):
        return "stopped by a signal"
    if not record.started_at:
        return "starting"
    return f"epoch {record.epoch}/{record.epochs}" if record.epochs else f"epoch {record.epoch}"


def _to_go(record: RunRecord, now: datetime) -> str:
    left = left_s(record, now)
    return f"{duration(left)} to go" if left is not None else ""


def _memory(record: RunRecord) -> str:
    """Return the memory that a run takes: of its GPU where it has one."""
    gib = record.usage.get("device_memory_gib") or record.usage.get("memory_gib")
    return f"{gib:.1f} GiB" if gib else ""


def _bar(share: float, width: int) -> str:
    full = round(share * width)
    return "█" * full + "░" * (width - full)

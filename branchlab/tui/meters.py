"""What a run takes of its machine, as bars and lines of the last minute."""

from __future__ import annotations

from collections.abc import Sequence

from branchlab.domain import RunRecord, RunState
from branchlab.lab.run_usage import Machine
from branchlab.lab.sparkline import sparkline
from branchlab.lab.words import duration
from branchlab.tui.looks import Line, Look, cut
from branchlab.tui.run_list import bar

_BAR = 10
_BAR_WIDTH_MIN = 24


def meter_lines(
    record: RunRecord, machine: Machine | None, width: int, eta_s: float | None = None
) -> list[Line]:
    """Return the meters of a run, as wide as there is room.

    Args:
        record: Whose latest sample the figures are.
        machine: The samples of its last minute; None while they are read.
        width: Room, in cells.
        eta_s: How long it still takes, where that is known.
    """
    usage = record.usage
    is_over = record.state.is_over
    title = f"{record.run.device}" + (f" on {machine.host}" if machine and machine.host else "")
    lines: list[Line] = [
        ((title, Look.STRONG), ("  at its end" if is_over and usage else "", Look.DIM))
    ]
    if not usage:
        waits = "not started" if record.state is RunState.PLANNED else "not sampled"
        lines.append(_meter("usage", waits, (), width))
    if "gpu_percent" in usage:
        lines.append(
            _meter("GPU", f"{usage['gpu_percent']:.0f}%", _of(machine, "gpu_percent"), width)
        )
        memory, total = usage.get("gpu_memory_gib", 0.0), usage.get("gpu_memory_gib_total", 0.0)
        share = bar(memory / total, _BAR) if total and width >= _BAR_WIDTH_MIN else ""
        lines.append(_said("mem", f"{memory:.1f}/{total:.0f} GiB  {share}"))
        lines.append(_said("temp", f"{usage.get('gpu_temperature_c', 0.0):.0f} °C"))
    elif usage:
        lines.append(_said("GPU", "no GPU" if record.run.device == "cpu" else "not read"))
    if "cpu_percent" in usage:
        lines.append(
            _meter("CPU", f"{usage['cpu_percent']:.0f}%", _of(machine, "cpu_percent"), width)
        )
    if "memory_gib" in usage:
        lines.append(
            _meter("RAM", f"{usage['memory_gib']:.2f} GiB", _of(machine, "memory_gib"), width)
        )
    if "memory_gib_max" in usage:
        lines.append(_said("most", f"{usage['memory_gib_max']:.2f} GiB"))
    if record.images_per_s:
        lines.append(_said("img/s", f"{record.images_per_s:,.0f}"))
    if eta_s is not None:
        lines.append(_said("left", duration(eta_s)))
    if machine is not None and machine.job is not None:
        lines.append(_said("job", f"{machine.job.job} of {machine.job.executor}"))
    return [cut(line, width) for line in lines]


def _of(machine: Machine | None, name: str) -> Sequence[float]:
    return machine.of(name) if machine is not None else ()


def _meter(name: str, value: str, samples: Sequence[float], width: int) -> Line:
    room = width - len(f"{name:5} ") - len(value) - 2
    drawn = sparkline([(i, sample) for i, sample in enumerate(samples)], min(room, 20))
    return (*_said(name, value), (f"  {drawn}" if len(samples) > 1 else "", Look.LIVE))


def _said(name: str, value: str) -> Line:
    return (f"{name:5} ", Look.DIM), (value, Look.PLAIN)

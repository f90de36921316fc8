"""Timing commands side by side, and printing what came out.

The machine may be shared, so no figure stands alone: whatever is compared runs in turns within one session, medians are
compared with medians, and the table gives ratios. The CPU time of a command and all that it waited for stands beside
the wall time, because a busy neighbour changes it least.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Timed:
    """What one contestant took, a value a repetition.

    Attributes:
        cpus: User and system seconds of the processes that were waited for; empty where nobody counted.
    """

    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.walls)

    @property
    def lowest(self) -> float:
        return min(self.walls)

    @property
    def cpu(self) -> float | None:
        return statistics.median(self.cpus) if self.cpus else None


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and its upper bound."""

    what: str
    value: float
    limit: float
    unit: str = ""

    def __str__(self) -> str:
        word = "met" if self.value < self.limit else "MISSED"
        return f"goal {word}: {self.what} {self.value:.3g}{self.unit}, to stay below {self.limit:g}{self.unit}"


def scripts_folder() -> Path:
    """Return where the commands of this interpreter's environment are."""
    return Path(sys.executable).parent


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without what would send git, Python or torch elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHON"))}
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **more}


def spend(
    command: Sequence[str | Path], *, cwd: Path | None = None, accepted: Sequence[int] = (0,)
) -> tuple[float, float]:
    """Run a command and return its wall and CPU seconds; a command that fails ends the benchmark with its stderr."""

    def run() -> None:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode not in accepted:
            sys.exit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stderr.decode()}")

    return spend_on(run)


def spend_on(work: Callable[[], object]) -> tuple[float, float]:
    """Do something and return its wall seconds, and the CPU seconds of the processes that ended meanwhile."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def use_two_cores() -> None:
    """Keep this process and all that it starts on two cores, so that slots and threads are the same on any machine."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def in_turns(
    contestants: Mapping[str, Callable[[], tuple[float, float]]], *, rounds: int, warm_ups: int = 1
) -> dict[str, Timed]:
    """Let every contestant run once a round, each round starting with another; the first rounds do not count."""
    found = {name: Timed() for name in contestants}
    names = list(contestants)
    for number in range(-warm_ups, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            wall, cpu = contestants[name]()
            if number >= 0:
                found[name].walls.append(wall)
                found[name].cpus.append(cpu)
    return found


def find_dvc(given: str | None) -> Path | None:
    """Return the ``dvc`` that was given or stands in this environment or on PATH; None without one."""
    found = given or shutil.which("dvc", path=f"{scripts_folder()}{os.pathsep}{os.environ['PATH']}")
    return Path(found).absolute() if found else None


NO_DVC = (
    "DVC was not measured: there is none here. uv venv /tmp/dvc && uv pip install --python /tmp/dvc/bin/python "
    "dvc==3.67.1, then add --dvc /tmp/dvc/bin/dvc"
)


def parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds, help=f"repetitions [{rounds}]")
    made.add_argument("--json", action="store_true", help="print one JSON document instead")
    return made


@dataclass(slots=True)
class Report:
    """What a benchmark found: titled tables, goals, remarks; printed as Markdown that reads well in a terminal."""

    name: str
    tables: list[tuple[str, list[dict[str, str | float | None]]]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(
        self, title: str, timed: Mapping[str, Timed], *, against: Sequence[str], scale: float = 1.0
    ) -> None:
        """Add a table of contestants with ratios of medians against some of them; ``scale`` divides every time."""
        rows: list[dict[str, str | float | None]] = []
        for name, one in timed.items():
            row: dict[str, str | float | None] = {
                "": name,
                "median s": one.median / scale,
                "lowest s": one.lowest / scale,
                "CPU s": None if one.cpu is None else one.cpu / scale,
                "n": len(one.walls),
            }
            row |= {f"x {other}": one.median / timed[other].median for other in against}
            rows.append(row)
        self.tables.append((title, rows))

    def print(self, *, as_json: bool) -> None:
        """Print everything on stdout."""
        if as_json:
            document = {
                "benchmark": self.name,
                "machine": machine(),
                "command": " ".join(["python", *sys.argv]),
                "tables": [{"title": title, "rows": rows} for title, rows in self.tables],
                "goals": [
                    {
                        "what": g.what,
                        "value": g.value,
                        "limit": g.limit,
                        "is_met": g.value < g.limit,
                    }
                    for g in self.goals
                ],
                "remarks": self.remarks,
            }
            print(json.dumps(document, indent=1))
            return
        print(f"## {self.name}\n\n{machine()}; `{' '.join(['python', *sys.argv])}`\n")
        for title, rows in self.tables:
            print(f"{title}\n\n{_table(rows)}\n")
        for line in [*map(str, self.goals), *self.remarks]:
            print(f"- {line}")


def _table(rows: Sequence[Mapping[str, str | float | None]]) -> str:
    header = list(rows[0])
    cells = [header, *([_cell(row.get(name)) for name in header] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    lines = [
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |"
        for line in cells
    ]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])]) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"  # noqa: PLR2004  digits that mean something
    return str(value)


def machine() -> str:
    """Return date, machine and versions in one line."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{now}, {_cpu_model()}, {cores} cores, load {load}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, git {git.split()[-1]}"
    )


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()

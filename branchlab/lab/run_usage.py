"""What a run takes of its machine, sample by sample, as its attempt recorded it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from branchlab.lab.project import Project
from branchlab.run_folder import Job, from_text, parse_event

_TAIL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSample:
    """One look at a run's processes; ``values`` by the names of ``RunRecord.usage``."""

    at: datetime
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where a run works and what it takes there.

    Attributes:
        samples: Of its last minute, the latest last; of a run that is over, too.
        host: The machine that trains it; empty where that is not recorded.
        job: Which job of a cluster has it; None where none has.
    """

    run_id: str
    samples: tuple[UsageSample, ...] = ()
    host: str = ""
    job: Job | None = None

    def of(self, name: str) -> list[float]:
        """Return the values of one name, where it was sampled."""
        return [sample.values[name] for sample in self.samples if name in sample.values]


def machine_of(project: Project, run_id: str, *, seconds: float = 60.0) -> Machine:
    """Return what a run took in its last seconds; nothing where its folder is gone."""
    folder = project.state.run(run_id)
    attempt = folder.latest()
    if attempt is None:
        return Machine(run_id=run_id, job=folder.read_job())
    try:
        with attempt.usage.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        lines = []
    samples = []
    for line in lines:
        event = parse_event(line)
        at = from_text(event.get("at")) if event is not None else None
        if event is not None and at is not None:
            values = {
                name: float(value)
                for name, value in event.items()
                if isinstance(value, int | float) and name != "seq"
            }
            samples.append(UsageSample(at=at, values=values))
    since = samples[-1].at - timedelta(seconds=seconds) if samples else None
    environment = attempt.read_environment() or {}
    return Machine(
        run_id=run_id,
        samples=tuple(one for one in samples if since is not None and one.at >= since),
        host=str(environment.get("host") or ""),
        job=folder.read_job(),
    )

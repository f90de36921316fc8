"""Which device, cores and threads a request means here, and what of them results depend on."""

from __future__ import annotations

import os
from collections.abc import Mapping

from branchlab.errors import ConfigError
from branchlab.schedule.executor import Facts


def device_of(wanted: str, facts: Facts) -> str:
    """Return the device that a request means here.

    Raises:
        ConfigError: There is no such device.
    """
    kinds = {device.partition(":")[0] for device in facts.devices} | {"cpu"}
    if wanted == "auto":
        return facts.devices[0].partition(":")[0]
    kind = wanted.partition(":")[0]
    if kind not in kinds or (":" in wanted and wanted not in facts.devices):
        raise ConfigError(
            f"device '{wanted}' is not here; torch {facts.environment.get('torch', '')} sees {', '.join(facts.devices)}",
            hint="branchlab run --device auto",
        )
    return wanted


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_processes(device: str, processes: int) -> None:
    """See that several processes may share a run there: each needs a device of its own, or a core."""
    if processes > 1 and (":" in device or device == "mps"):
        raise ConfigError(
            f"device '{device}' is one device, and [run] processes = {processes} takes {processes}: needs cuda or cpu",
            hint="branchlab run --device auto, or set processes = 1",
        )


def threads_of(jobs: int, processes: int = 1) -> int:
    """Divide the cores by the jobs that were asked for, and their processes, not by the runs that happen to be left.

    Sums over two threads round otherwise than over one: the same key must never be trained with another number.
    """
    return max(1, num_cores() // ((jobs or num_cores()) * processes))


def environment_of(facts: Facts, device: str, *, threads: int) -> Mapping[str, str]:
    """Return the versions and the kind of device that a run's bits depend on."""
    kind = device.partition(":")[0]
    found = {**facts.environment, "device": kind}
    return {**found, "threads": str(threads)} if kind == "cpu" else found

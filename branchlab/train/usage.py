"""What a run takes of its machine: cores, memory, and its GPUs where it has any.

Processors and memory are those of the trainer and of all that it started (psutil); what a GPU does is asked of its
driver (NVML), which makes no CUDA context. Whatever cannot be read is left out.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from typing import Any

import psutil

_GIB = 1 << 30


class Gauge:
    """Reads what one run takes; a reading says how much since the last one.

    Args:
        pid: The trainer.
        gpu: Numbers of the GPUs that it may see, with commas between, or None.
    """

    def __init__(self, pid: int, gpu: str | None) -> None:
        self._pid = pid
        self._gpu = gpu
        self._cpu_s: dict[int, float] = {}
        self._began_at = self._read_at = time.monotonic()
        self._most_gib = 0.0
        self._devices: list[Any] = []
        self._is_gpu_asked = False

    def read(self) -> dict[str, float | bool]:
        """Return CPU use (100 is one core), memory (GiB, now and the most so far), and its GPUs' use and memory (sums), and heat (the hottest, °C)."""
        values: dict[str, float | bool] = {}
        with contextlib.suppress(psutil.Error, OSError):
            trainer = psutil.Process(self._pid)
            values |= self._processes([trainer, *trainer.children(recursive=True)])
            values["is_stopped"] = trainer.status() == psutil.STATUS_STOPPED
        return values | self._of_gpu()

    def sum_up(self, spent: resource.struct_rusage) -> dict[str, float | bool]:
        """Return, once the trainer has ended, its CPU use over its whole life and the most memory that it took."""
        cpu_s, passed = spent.ru_utime + spent.ru_stime, time.monotonic() - self._began_at
        unit = 1 if sys.platform == "darwin" else 1024
        most = max(self._most_gib, spent.ru_maxrss * unit / _GIB)
        return {
            "cpu_percent": round(100 * cpu_s / passed, 1) if passed > 0 else 0.0,
            "memory_gib": round(most, 3),
            "memory_gib_max": round(most, 3),
            "is_stopped": False,
        }

    def _processes(self, processes: list[psutil.Process]) -> dict[str, float | bool]:
        spent, rss, cpu_s = 0.0, 0, {}
        for process in processes:
            with contextlib.suppress(psutil.Error, OSError):
                times = process.cpu_times()
                cpu_s[process.pid] = times.user + times.system
                spent += cpu_s[process.pid] - self._cpu_s.get(process.pid, 0.0)
                rss += process.memory_info().rss
        now = time.monotonic()
        passed, self._read_at, self._cpu_s = now - self._read_at, now, cpu_s
        self._most_gib = max(self._most_gib, rss / _GIB)
        return {
            "cpu_percent": round(100 * spent / passed, 1) if passed > 0 else 0.0,
            "memory_gib": round(rss / _GIB, 3),
            "memory_gib_max": round(self._most_gib, 3),
        }

    def _of_gpu(self) -> dict[str, float | bool]:
        if self._gpu is None:
            return {}
        import pynvml

        try:
            if not self._is_gpu_asked:
                self._is_gpu_asked = True
                pynvml.nvmlInit()
                self._devices = [
                    pynvml.nvmlDeviceGetHandleByIndex(int(name))
                    if name.isdecimal()
                    else pynvml.nvmlDeviceGetHandleByUUID(name)
                    for name in self._gpu.split(",")
                ]
            if not self._devices:
                return {}
            uses = [pynvml.nvmlDeviceGetUtilizationRates(one) for one in self._devices]
            memories = [pynvml.nvmlDeviceGetMemoryInfo(one) for one in self._devices]
            heat = pynvml.NVML_TEMPERATURE_GPU
            heats = [pynvml.nvmlDeviceGetTemperature(one, heat) for one in self._devices]
        except (pynvml.NVMLError, ValueError):
            return {}
        return {
            "gpu_percent": float(sum(use.gpu for use in uses)),
            "gpu_memory_gib": round(sum(memory.used for memory in memories) / _GIB, 3),
            "gpu_memory_gib_total": round(sum(memory.total for memory in memories) / _GIB, 3),
            "gpu_temperature_c": float(max(heats)),
        }


def out_of_memory_kills() -> int | None:
    """Return how many processes the kernel has ended for want of memory since it started; None where it does not tell."""
    try:
        with open("/proc/vmstat") as file:  # noqa: PTH123
            return next(
                (int(line.split()[1]) for line in file if line.startswith("oom_kill ")), None
            )
    except (OSError, ValueError):
        return None

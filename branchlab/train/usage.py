"""What a run takes of its machine: cores, memory, and its GPU where it has one.

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
        gpu: Number of the GPU that it may see, or None.
    """

    def __init__(self, pid: int, gpu: str | None) -> None:
        self._pid = pid
        self._gpu = gpu
        self._cpu_s: dict[int, float] = {}
        self._began_at = self._read_at = time.monotonic()
        self._most_gib = 0.0
        self._device: Any = None
        self._is_gpu_asked = False

    def read(self) -> dict[str, float | bool]:
        """Return CPU use (100 is one core), memory (GiB, now and the most so far), and the GPU's use, memory, heat (°C)."""
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
                self._device = pynvml.nvmlDeviceGetHandleByIndex(int(self._gpu.split(",")[0]))
            if self._device is None:
                return {}
            use = pynvml.nvmlDeviceGetUtilizationRates(self._device)
            memory = pynvml.nvmlDeviceGetMemoryInfo(self._device)
            heat = pynvml.nvmlDeviceGetTemperature(self._device, pynvml.NVML_TEMPERATURE_GPU)
        except (pynvml.NVMLError, ValueError):
            return {}
        return {
            "gpu_percent": float(use.gpu),
            "gpu_memory_gib": round(memory.used / _GIB, 3),
            "gpu_memory_gib_total": round(memory.total / _GIB, 3),
            "gpu_temperature_c": float(heat),
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

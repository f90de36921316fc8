"""What a run trains in, as one document: Python, packages, torch, GPUs, machine, variables, and how it came to be planned.

The warm parent gathers what stays the same (``remember``), a fork of it adds what is the run's own: 1 ms a run. Of the
process's variables only those are recorded that are known to matter and to hold no secret. ``digest`` is of what results
may depend on; where the machine stands and what it is called are none of that.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil
import torch

from branchlab import version
from branchlab.domain import Run
from branchlab.run_folder import JSON, Attempt
from branchlab.train.installed import Installed, installed
from branchlab.train.versions import TRAINER_VERSION, python_version

_VARIABLES = (
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING"),
    *("CUDA_VISIBLE_DEVICES", "GLOO_SOCKET_IFNAME", "HIP_VISIBLE_DEVICES", "KMP_AFFINITY", "KMP_BLOCKTIME"),
    *("LANG", "LC_ALL", "LD_LIBRARY_PATH", "LD_PRELOAD", "MALLOC_ARENA_MAX", "MKL_NUM_THREADS", "NCCL_ALGO"),
    *("NCCL_DEBUG", "NCCL_P2P_DISABLE", "NCCL_PROTO", "NCCL_SOCKET_IFNAME", "NUMEXPR_NUM_THREADS"),
    *("NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "OMP_PROC_BIND", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"),
    *("PYTHONHASHSEED", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_NVML_BASED_CUDA_CHECK"),
    *("ROCR_VISIBLE_DEVICES", "SLURM_JOB_ID", "SLURM_JOB_PARTITION", "TORCH_COMPILE_DISABLE", "TORCH_LOGS"),
    *("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TZ", "CONDA_DEFAULT_ENV", "VIRTUAL_ENV"),
)  # fmt: skip
_GIB = 1 << 30


def remember() -> None:
    """Gather what runs of this process have in common, so that forks of it need not."""
    _machine()
    _packages()


def record_environment(run: Run, attempt: Attempt) -> None:
    """Write down what a run trains in. A disk that takes nothing more is complained of by whatever is written next."""
    with contextlib.suppress(OSError):
        attempt.write_environment(environment_document(run))


def environment_document(run: Run) -> JSON:
    """Return what a run trains in, in this process."""
    machine, packages = _machine(), _packages()
    is_cuda = run.device == "cuda"
    document: JSON = {
        "branchlab": {"version": version.__version__, "trainer": TRAINER_VERSION},
        "python": {
            "version": python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
        },
        "packages": packages.document(),
        "torch": {
            "version": str(torch.__version__),
            "cuda": torch.version.cuda,
            "hip": torch.version.hip,
            # Asking loads the library, which a run on a CPU has no use for.
            "cudnn": torch.backends.cudnn.version() if is_cuda else None,  # type: ignore[no-untyped-call]
        },
        **machine,
        "cpu": {**machine["cpu"], "usable": _usable_cores()},
        "device": run.device,
        "host": platform.node(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "git": {
            "branch": run.branch,
            "commit": run.commit,
            "tree": run.tree,
            "trained": run.checked_out,
            "checked_out": run.origin.checked_out if run.origin else None,
            "dirty": list(run.origin.dirty) if run.origin else None,
        },
        "command": list(run.origin.command) if run.origin else None,
    }
    return {"digest": _digest(document), **document}


def _digest(document: JSON) -> str:
    """Return a digest of all that a result may depend on."""
    python, gpus = document["python"], document["gpus"] if document["device"] == "cuda" else []
    told = [
        [python["version"], python["implementation"], document["packages"]["digest"]],
        [document["torch"], document["driver"] if gpus else None],
        [[gpu["name"], gpu["compute_capability"]] for gpu in gpus],
        [document["cpu"]["model"], document["system"]["libc"], document["system"]["machine"]],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _packages() -> Installed:
    return installed([folder for folder in sys.path if folder])


@functools.cache
def _machine() -> dict[str, Any]:
    """Return what no run changes."""
    driver, gpus = _gpus()
    return {
        "driver": driver,
        "gpus": gpus,
        "cpu": {"model": _cpu_model(), "cores": os.cpu_count()},
        "memory_gib": round(psutil.virtual_memory().total / _GIB, 2),
        "system": {
            "name": _system_name(),
            "kernel": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip(),
        },
    }


def _gpus() -> tuple[str | None, list[dict[str, Any]]]:
    """Return the driver's version and its GPUs, as NVML tells them: that makes no CUDA context."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None, []
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(number)
            for number in range(pynvml.nvmlDeviceGetCount())
        ]
        gpus = [
            {
                "name": pynvml.nvmlDeviceGetName(handle),
                "memory_gib": round(pynvml.nvmlDeviceGetMemoryInfo(handle).total / _GIB, 2),
                "compute_capability": ".".join(
                    map(str, pynvml.nvmlDeviceGetCudaComputeCapability(handle))
                ),
            }
            for handle in handles
        ]
        return pynvml.nvmlSystemGetDriverVersion(), gpus
    except pynvml.NVMLError:
        return None, []
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model"}:
                return value.strip()
    return platform.processor()


def _system_name() -> str:
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.platform())
    return platform.platform()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""``.branchlab.toml``: read from the main work tree, never from the branch under test.

A mistake is said with file, line and key, an unknown key with the nearest known one.
"""

from branchlab.config.meaning import EXECUTORS, is_device, is_task
from branchlab.config.reading import CONFIG_NAME, parse_config, read_config
from branchlab.config.tables import (
    Baseline,
    Branches,
    Config,
    Env,
    Executor,
    MergeBackOptions,
    RayOptions,
    RunOptions,
    SampleOptions,
    SlurmOptions,
    Trainer,
)

__all__ = [
    "CONFIG_NAME",
    "EXECUTORS",
    "Baseline",
    "Branches",
    "Config",
    "Env",
    "Executor",
    "MergeBackOptions",
    "RayOptions",
    "RunOptions",
    "SampleOptions",
    "SlurmOptions",
    "Trainer",
    "is_device",
    "is_task",
    "parse_config",
    "read_config",
]

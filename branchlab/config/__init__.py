"""``.branchlab.toml``: read from the main work tree, never from the branch under test.

A mistake is said with file, line and key, an unknown key with the nearest known one.
"""

from branchlab.config.meaning import EXECUTORS, TOOLS, is_device, is_task
from branchlab.config.reading import CONFIG_NAME, parse_config, read_config
from branchlab.config.tables import (
    Baseline,
    Branches,
    Config,
    Env,
    Executor,
    MergeBackOptions,
    Promote,
    RayOptions,
    RunOptions,
    SampleOptions,
    SlurmOptions,
    Track,
    Trainer,
)

__all__ = [
    "CONFIG_NAME",
    "EXECUTORS",
    "TOOLS",
    "Baseline",
    "Branches",
    "Config",
    "Env",
    "Executor",
    "MergeBackOptions",
    "Promote",
    "RayOptions",
    "RunOptions",
    "SampleOptions",
    "SlurmOptions",
    "Track",
    "Trainer",
    "is_device",
    "is_task",
    "parse_config",
    "read_config",
]

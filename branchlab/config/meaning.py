"""What the values of a config must be, beyond their types."""

from __future__ import annotations

import itertools
import math
import re
from operator import attrgetter
from pathlib import Path

from branchlab.config.reader import Reader
from branchlab.config.script import check_script
from branchlab.config.tables import Config, Promote, RayOptions, SlurmOptions
from branchlab.toml_file import shown

EXECUTORS = ("local", "slurm", "ray")
TOOLS = ("mlflow", "tensorboard", "wandb")
"""Where ``[track]`` can mirror runs."""
_STRATEGIES = ("stratified", "random")
_MANAGERS = ("none", "uv")
_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PYTHON = re.compile(r"\d+\.\d+(\.\d+)?")
_SEEDS_MAX = 1000
_ETA_MIN = 2
_TIME_S_MIN = 60
_SET_BY_BRANCHLAB = {"array", "error", "open-mode", "output", "requeue", "signal", "time"}
"""Parameters of ``sbatch`` that say how a run is carried out, and where it is found again."""


def check_meaning(config: Config, reader: Reader) -> None:
    """Complain of the first value that has no meaning here.

    Raises:
        ConfigError: With file, line and key.
    """
    check_script(config.trainer, reader)
    for table, key, words, known in [
        ("sample", "strategy", _words_of_strategy(config.sample.strategy), _STRATEGIES),
        ("executor", "kind", [config.executor.kind], EXECUTORS),
        ("env", "manager", [config.env.manager], _MANAGERS),
        ("track", "to", config.track.to, TOOLS),
    ]:
        reader.check_choice(table, key, words, known)
    pinned = config.branches.reference_commit
    task = config.trainer.task
    checks = [
        (not 0 < config.sample.fraction <= 1, "sample", "fraction", "needs 0 < fraction <= 1"),
        (config.sample.class_min < 1, "sample", "class_min", "needs 1 or more"),
        (
            config.sample.epochs is not None and config.sample.epochs < 1,
            "sample",
            "epochs",
            "needs 1 or more",
        ),
        (
            not 1 <= config.run.seeds <= _SEEDS_MAX,
            "run",
            "seeds",
            f"needs at least 1 and at most {_SEEDS_MAX}",
        ),
        (not 0 <= config.run.min_effect < math.inf, "run", "min_effect", "needs 0 or more"),
        (config.run.jobs < 0, "run", "jobs", "needs 0 (as many as serve) or more"),
        (not config.run.timeout_s > 0, "run", "timeout_s", "needs more than 0 seconds"),
        (not config.run.silence_s > 0, "run", "silence_s", "needs more than 0 seconds"),
        (not config.run.checkpoint_s > 0, "run", "checkpoint_s", "needs more than 0 seconds"),
        (config.run.processes < 1, "run", "processes", "needs 1 or more"),
        (
            config.run.workers is not None and config.run.workers < 0,
            "run",
            "workers",
            "needs 0 (reads in the run's own process) or more",
        ),
        (
            not config.merge_back.timeout_s > 0,
            "merge_back",
            "timeout_s",
            "needs more than 0 seconds",
        ),
        (not is_device(config.run.device), "run", "device", "is auto, cpu, mps, cuda or cuda:N"),
        (bool(task) and not is_task(task), "trainer", "task", "is written module:Class"),
        (
            bool(pinned) and not _OID.fullmatch(pinned),
            "branches",
            "reference_commit",
            "is a full commit id",
        ),
        (not 0 <= config.executor.linger_s < math.inf, "executor", "linger_s", "needs 0 or more"),
        (
            bool(config.env.python) and not _PYTHON.fullmatch(config.env.python),
            "env",
            "python",
            "is a version, 3.12 or 3.12.4",
        ),
        *_baseline_checks(config),
        *_promote_checks(config.promote),
        *_slurm_checks(config.executor.slurm),
        *_ray_checks(config.executor.ray),
    ]
    for is_wrong, table, key, needed in checks:
        if is_wrong:
            found = attrgetter(f"{table}.{key}")(config)
            raise reader.error(table, key, f"{key} = {shown(found)}: {key} {needed}")
    for table, key, paths in (
        ("run", "share", config.run.share),
        ("env", "files", config.env.files),
    ):
        for path in map(Path, paths):
            if path.is_absolute() or ".." in path.parts or path.parts[:1] in {(), (".git",)}:
                raise reader.error(
                    table, key, f"{key}: {shown(str(path))} is not a path inside the repository"
                )


def _baseline_checks(config: Config) -> list[tuple[bool, str, str, str]]:
    baseline = config.baseline
    published, seeds = baseline.published, baseline.seeds
    is_script = bool(config.trainer.command) and not baseline.task
    return [
        (is_wrong, "baseline", key, needed)
        for key, is_wrong, needed in [
            ("published", published is not None and not math.isfinite(published), "is a number"),
            ("tolerance", not 0 <= baseline.tolerance < math.inf, "needs 0 or more"),
            ("task", bool(baseline.task) and not is_task(baseline.task), "is written module:Class"),
            (
                "arguments",
                bool(baseline.arguments) and is_script,
                "are those of a task; a script is given its own in [trainer] command",
            ),
            (
                "seeds",
                seeds is not None and not 1 <= seeds <= _SEEDS_MAX,
                f"needs at least 1 and at most {_SEEDS_MAX}",
            ),
        ]
    ]


def _promote_checks(promote: Promote) -> list[tuple[bool, str, str, str]]:
    rungs = promote.rungs
    is_growing = all(0 < a < b for a, b in itertools.pairwise((*rungs, math.inf)))
    return [
        (
            not rungs or not is_growing or rungs[-1] != 1,
            "promote",
            "rungs",
            "needs parts of the sample that grow from above 0 to 1",
        ),
        (promote.eta < _ETA_MIN, "promote", "eta", f"needs {_ETA_MIN} or more"),
    ]


def _slurm_checks(slurm: SlurmOptions) -> list[tuple[bool, str, str, str]]:
    memory_gib, time_s = slurm.memory_gib, slurm.time_s
    ours = ", ".join(sorted(_SET_BY_BRANCHLAB))
    return [
        (where, "executor.slurm", key, needed)
        for where, key, needed in [
            (slurm.gpus < 0, "gpus", "needs 0 or more"),
            (slurm.cpus < 1, "cpus", "needs 1 or more"),
            (
                memory_gib is not None and not 0 < memory_gib < math.inf,
                "memory_gib",
                "needs more than 0",
            ),
            (
                time_s is not None and not _TIME_S_MIN <= time_s < math.inf,
                "time_s",
                f"needs at least {_TIME_S_MIN} seconds",
            ),
            (slurm.jobs is not None and slurm.jobs < 0, "jobs", "needs 0 (no limit) or more"),
            (bool(_SET_BY_BRANCHLAB & set(slurm.extra)), "extra", f"may not set {ours}"),
        ]
    ]


def _ray_checks(ray: RayOptions) -> list[tuple[bool, str, str, str]]:
    return [
        (is_wrong, "executor.ray", key, needed)
        for is_wrong, key, needed in [
            (not ray.address, "address", "needs auto, HOST:PORT or ray://HOST:PORT"),
            (ray.cpus < 1, "cpus", "needs 1 or more"),
            (not 0 <= ray.gpus < math.inf, "gpus", "needs 0 or more"),
            (1 < ray.gpus != int(ray.gpus), "gpus", "is a part of one, or a whole number"),
            (not 0 <= ray.memory_gib < math.inf, "memory_gib", "needs 0 (none reserved) or more"),
            (
                not 0 <= ray.checkpoint_every_s < math.inf,
                "checkpoint_every_s",
                "needs 0 seconds or more",
            ),
            (
                bool(ray.data_root) and not Path(ray.data_root).is_absolute(),
                "data_root",
                "is an absolute path of the nodes",
            ),
        ]
    ]


def _words_of_strategy(strategy: str) -> list[str]:
    """Return what has to be a known strategy: not the name of a function of the project's own."""
    return [] if is_task(strategy) else [strategy]


def is_device(text: str) -> bool:
    """Whether ``text`` names a device as the config and ``--device`` take it."""
    return re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text) is not None


def is_task(text: str) -> bool:
    """Whether ``text`` is written ``package.module:Class``."""
    return re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", text) is not None

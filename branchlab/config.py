"""``.branchlab.toml``: every key, its type, its default and its meaning stand here, once.

Read from the main work tree, never from the branch under test. A mistake is said with file, line and key, an unknown
key with the nearest known one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from branchlab.domain import Goal, Sample
from branchlab.errors import ConfigError, nearest
from branchlab.toml_file import is_plain, parse_toml, read_toml_text, shown

CONFIG_NAME = ".branchlab.toml"
_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_HEADER = re.compile(r"\s*\[{1,2}([^\[\]]+)\]")
_ASSIGNED = re.compile(r"\s*([^=#\[\]]+?)\s*=")
_SEEDS_MAX = 1000
EXECUTORS = ("local", "slurm", "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """``[branches]``: the integration branch, the frozen one, and which branches are experiments.

    ``reference_reason`` says why the pin ``reference_commit`` is no longer where ``init`` set it.
    """

    main: str = "main"
    reference: str = "original"
    reference_commit: str = ""
    reference_reason: str = ""
    experiments: tuple[str, ...] = ("exp/*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """``[trainer]``: the task, ``module:Class``, and the arguments that every branch's task is given."""

    task: str = ""
    arguments: Mapping[str, bool | int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """``[run]``: what verdicts are about, and how runs are carried out.

    Attributes:
        min_effect: Smallest difference of the metric that matters; two branches are called the same within it.
        share: Ignored files or folders of the main work tree that runs need; symlinked into their work trees.
        device: ``auto`` (cuda, else mps, else cpu), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
        jobs: Runs at once; 0 means one a core on a CPU, as many as fit and help on GPUs.
        processes: Processes of one run, each on a device of its own.
        stop_early: Whether a branch's remaining seeds are left out once its verdict cannot change any more.
        timeout_s: A run that takes longer is ended, and says so.
        checkpoint_s: Between two checkpoints within an epoch; what a killed run loses at most.
        silence_s: A run that gives no sign of life (a step, a batch) for so long is ended, and says so.
    """

    metric: str = "val/accuracy"
    goal: Goal = Goal.MAX
    seeds: int = 3
    min_effect: float = 0.005
    share: tuple[str, ...] = ()
    device: str = "auto"
    jobs: int = 0
    deterministic: bool = True
    timeout_s: float = 86_400.0
    silence_s: float = 900.0
    checkpoint_s: float = 30.0
    processes: int = 1
    stop_early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """``[sample]``: the reduced part of the training set that experiments work on."""

    fraction: float = 0.1
    strategy: str = "stratified"
    seed: int = 0

    def sample(self) -> Sample:
        """Return the sample as a value of the domain."""
        return Sample(fraction=self.fraction, strategy=self.strategy, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """``[baseline]``: the published figure that the reference must reproduce."""

    metric: str = "test/accuracy"
    published: float | None = None
    tolerance: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeBackOptions:
    """``[merge_back]``: what else has to pass before a branch is merged.

    Attributes:
        check: A command, word by word, run in a work tree of the merge; none where it is empty.
        timeout_s: A check that takes longer has failed.
    """

    check: tuple[str, ...] = ()
    timeout_s: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """``[executor.ray]``: which cluster, and what of it each run gets.

    Attributes:
        address: ``auto`` (RAY_ADDRESS, or a node of the cluster on this machine), ``host:port`` of its head, or
            ``ray://host:port``.
        cpus: Of each run; it computes on so many threads.
        gpus: Of each run; a part of one lets several runs share it.
        memory_gib: Of each run; 0 reserves none.
        shared: Whether nodes see the repository and its run folders under the same paths.
        data_root: Folder of the nodes that holds what ``[run] share`` names; where nothing is shared.
        scratch: Folder of the nodes in which runs work; "" is their usual one for temporary files.
        checkpoint_every_s: How often a checkpoint is fetched at most, where nothing is shared.
    """

    address: str = "auto"
    cpus: int = 1
    gpus: float = 0.0
    memory_gib: float = 0.0
    shared: bool = False
    data_root: str = ""
    scratch: str = ""
    checkpoint_every_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """``[executor]``: what starts runs, with a table of options for each kind."""

    kind: str = "local"
    ray: RayOptions = field(default_factory=RayOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    branches: Branches = field(default_factory=Branches)
    trainer: Trainer = field(default_factory=Trainer)
    run: RunOptions = field(default_factory=RunOptions)
    sample: SampleOptions = field(default_factory=SampleOptions)
    baseline: Baseline = field(default_factory=Baseline)
    merge_back: MergeBackOptions = field(default_factory=MergeBackOptions)
    executor: Executor = field(default_factory=Executor)


def read_config(root: Path) -> Config:
    """Read ``.branchlab.toml`` of a repository.

    Raises:
        ConfigError: It is missing, not TOML, or holds a key or value that has no meaning here.
    """
    path = root / CONFIG_NAME
    text = read_toml_text(path, hint_when_missing="make one with: branchlab init")
    return parse_config(text, path=path)


def parse_config(text: str, *, path: Path = Path(CONFIG_NAME)) -> Config:
    """Return the config that ``text`` holds; ``path`` is only named in errors."""
    document = parse_toml(text, path=path)
    reader = _Reader(text, path)
    sections: dict[str, type] = {f.name: f.default_factory for f in fields(Config)}  # type: ignore[misc]
    reader.check_known(document, sections, table="")
    config = Config(
        **{
            name: reader.table(document.get(name, {}), kind, name)
            for name, kind in sections.items()
        }
    )
    _check_meaning(config, reader)
    return config


class _Reader:
    """Turns tables into dataclasses, and knows the line of a key for what it has to complain of."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path

    def table(self, found: object, kind: type, name: str) -> Any:  # noqa: ANN401  one of the dataclasses above
        if not isinstance(found, dict):
            raise self.error(name, "", f"[{name}] must be a table, found {shown(found)}")
        known = {f.name: f for f in fields(kind)}
        self.check_known(found, known, table=name)
        values: dict[str, object] = {}
        for key, value in found.items():
            nested: object = known[key].default_factory
            values[key] = (
                self.table(value, nested, f"{name}.{key}")
                if isinstance(nested, type) and is_dataclass(nested)
                else self.value(value, str(known[key].type), name, key)
            )
        return kind(**values)

    def check_known(
        self, found: Mapping[str, object], known: Mapping[str, object], *, table: str
    ) -> None:
        for key in found:
            if key not in known:
                what = (
                    f"unknown key {shown(key)} in [{table}]" if table else f"unknown table [{key}]"
                )
                hint = f"{nearest(key, known)}known here: {', '.join(known)}"
                raise self.error(table or key, key if table else "", what, hint=hint)

    def value(self, value: object, kind: str, table: str, key: str) -> object:  # noqa: PLR0911  one line a type
        match kind, value:
            case "str", str():
                return value
            case "bool", bool():
                return value
            case "int", int() if not isinstance(value, bool) and is_plain(value):
                return value
            case (("float" | "float | None"), int() | float()) if not isinstance(
                value, bool
            ) and is_plain(value):
                return float(value)
            case "tuple[str, ...]", list() if all(isinstance(item, str) for item in value):
                return tuple(value)
            case "Goal", ("max" | "min"):
                return Goal(str(value))
            case "Mapping[str, bool | int | float | str]", dict() if all(
                is_plain(item) for item in value.values()
            ):
                return value
            case _:
                pass
        raise self.error(table, key, f"{key} = {shown(value)}: expected {_IN_WORDS[kind]}")

    def error(self, table: str, key: str, what: str, *, hint: str = "") -> ConfigError:
        line = self.line(table, key)
        return ConfigError(
            f"{self.path}:{line}: {what}", hint=hint or f"mend {self.path} at line {line}"
        )

    def line(self, table: str, key: str) -> int:
        """Return the line of a key, as near as a reading of the text can tell."""
        wanted = f"{table}.{key}" if key else table
        places = list(self._places())
        for path in (wanted, table):
            for number, found in places:
                if found == path or found.startswith(f"{path}."):
                    return number
        return 1

    def _places(self) -> Iterator[tuple[int, str]]:
        """Yield the line of every table and key that a line begins with, under its full dotted name."""
        inside = ""
        for number, line in enumerate(self.text.split("\n"), 1):
            if header := _HEADER.match(line):
                inside = _dotted(header[1])
                yield number, inside
            elif assigned := _ASSIGNED.match(line):
                name = _dotted(assigned[1])
                yield number, f"{inside}.{name}" if inside else name


def _dotted(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


_IN_WORDS = {
    "str": "a string",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "float | None": "a number",
    "tuple[str, ...]": "a list of strings",
    "Goal": '"max" or "min"',
    "Mapping[str, bool | int | float | str]": "a table of strings, numbers and booleans",
}


def _check_meaning(config: Config, reader: _Reader) -> None:
    pinned = config.branches.reference_commit
    task = config.trainer.task
    checks = [
        (not 0 < config.sample.fraction <= 1, "sample", "fraction", "needs 0 < fraction <= 1"),
        (
            config.sample.strategy not in {"stratified", "random"},
            "sample",
            "strategy",
            'is "stratified" or "random"',
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
        (
            config.executor.kind not in EXECUTORS,
            "executor",
            "kind",
            'is "local", "slurm" or "ray"',
        ),
        *_ray_checks(config.executor.ray),
    ]
    for is_wrong, table, key, needed in checks:
        if is_wrong:
            found = attrgetter(f"{table}.{key}")(config)
            raise reader.error(table, key, f"{key} = {shown(found)}: {key} {needed}")
    for shared in config.run.share:
        if (
            Path(shared).is_absolute()
            or ".." in Path(shared).parts
            or Path(shared).parts[:1] in {(), (".git",)}
        ):
            raise reader.error(
                "run", "share", f"share: {shown(shared)} is not a path inside the repository"
            )


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


def is_device(text: str) -> bool:
    """Whether ``text`` names a device as the config and ``--device`` take it."""
    return re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text) is not None


def is_task(text: str) -> bool:
    """Whether ``text`` is written ``package.module:Class``."""
    return re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", text) is not None

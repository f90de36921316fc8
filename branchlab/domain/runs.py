"""What is trained: a run as planned, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from branchlab.domain.scripts import Script

Flags = Mapping[str, "bool | int | float | str"]
"""Keyword arguments of a task, by name."""


class RunState(StrEnum):
    """Where one training is in its life."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        """Whether no process works on the run any more."""
        return self in {RunState.DONE, RunState.FAILED, RunState.CANCELLED, RunState.LOST}


class Scale(StrEnum):
    """How much of the training set a run sees; results of two scales are never compared."""

    SAMPLE = "sample"
    FULL = "full"


class Goal(StrEnum):
    """Whether a larger or a smaller metric is better."""

    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Which part of the training set a run sees. ``fraction`` is in (0, 1]; ``seed`` draws it.

    Attributes:
        strategy: ``stratified``, ``random``, or ``package.module:function`` of the project's own.
        class_min: Examples that every class keeps at least, where it has so many.
        manifest: Digest of the ids that a strategy of the project's own has drawn on main; "" where runs draw by themselves.
    """

    fraction: float
    strategy: str = "stratified"
    seed: int = 0
    class_min: int = 1
    manifest: str = ""

    @property
    def is_own(self) -> bool:
        """Whether a function of the project draws it."""
        return ":" in self.strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """How a run came to be planned.

    Attributes:
        command: The command line, word by word; values that look like secrets are left out.
        checked_out: The branch of the work tree that it was typed in; empty where HEAD was detached.
        dirty: Paths that were changed or untracked there then; runs train without them.
    """

    command: tuple[str, ...] = ()
    checked_out: str = ""
    dirty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training as planned: everything that decides its result, and where it shall happen.

    Attributes:
        id: Folder name, unique in the repository.
        key: Digest of all that decides the result; two runs of one key are the same experiment.
        branch: The branch it was planned for (a run belongs to its tree, this is a label).
        task: ``module:Class`` of the task, imported from the work tree; "" where a ``script`` trains.
        script: The project's own script, where that trains instead of a task.
        code: The commit that is checked out where it is not the branch's own: the branch's files with main's script.
        content: Id of the tree without the descriptions of experiments, which trainings do not depend on; "" in runs
            that were recorded before it was.
        flags: What the experiment switches on. ``arguments``: what the config gives to every branch.
        epochs: Overrides the recipe's own number of epochs when not None.
        environment: Versions and kind of device that results depend on.
        threads: Threads of computation on a CPU; kept over a resume so that it is exact.
        processes: Processes that share every batch, each on a device of its own.
        workers: Processes that read streamed data for it; None is as many as serve. They decide nothing of the result.
        budget_s: Seconds of training instead of epochs; None where epochs decide.
        batch: Name of the batch of runs that planned it.
        origin: How it came to be planned; in its folder alone, the index leaves it out.
    """

    id: str
    key: str
    branch: str
    commit: str
    tree: str
    task: str
    seed: int
    scale: Scale
    sample: Sample
    flags: Flags = field(default_factory=dict)
    arguments: Flags = field(default_factory=dict)
    epochs: int | None = None
    deterministic: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    processes: int = 1
    workers: int | None = None
    budget_s: float | None = None
    script: Script | None = None
    code: str = ""
    content: str = ""
    batch: str = ""
    planned_at: datetime | None = None
    origin: Origin | None = None

    @property
    def checked_out(self) -> str:
        """The commit that it trains."""
        return self.code or self.commit


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run and what is known of it so far.

    Attributes:
        metrics: Final values by name once done, the latest epoch's values before.
        epoch: Epochs finished. ``epochs`` is the number planned (0 until the run has started).
        usage: What it takes of its machine, as last sampled: ``cpu_percent`` (100 is one core), ``memory_gib``,
            ``memory_gib_max``, of a GPU also ``gpu_percent``, ``gpu_memory_gib``, ``gpu_temperature_c`` and
            ``device_memory_gib`` (what the run itself has reserved at most).
        reason: One line that says why it failed, was cancelled or lost.
        data: Digests of the ids that it trained on and of their targets, with a colon between; "" where that is not known.
    """

    run: Run
    state: RunState
    metrics: Mapping[str, float] = field(default_factory=dict)
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    images_per_s: float | None = None
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTree:
    """A checked-out commit that a run trains from."""

    path: Path
    commit: str

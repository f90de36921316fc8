"""The tables of ``.branchlab.toml``: every key, its type, its default and its meaning, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from branchlab.domain import FlagStyle, Goal, Sample


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
    """``[trainer]``: what trains every branch: a task for the shared trainer, or a command that runs the project's own script.

    Attributes:
        task: ``module:Class``. ``arguments``: what every branch's task is given.
        command: Words of the command, with placeholders.
        trainer_from: ``main`` takes the files that the command names from main for every branch; ``branch`` the branch's own.
        flag_style: How the script takes flags: ``--name value``, ``--name=value`` or ``name=value``.
        resume: Words that are appended where an earlier attempt has left a checkpoint.
        checkpoint: Glob below a run's own folder that finds it. Without ``resume`` the script finds it by itself.
        pattern: Regular expression with named groups that finds metrics in lines of output, or ``key: value``.
    """

    task: str = ""
    arguments: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    trainer_from: str = "branch"
    flag_style: str = str(FlagStyle.WORDS)
    resume: tuple[str, ...] = ()
    checkpoint: str = ""
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """``[run]``: what verdicts are about, and how runs are carried out.

    Attributes:
        min_effect: Smallest difference of the metric that matters; two branches are called the same within it.
        share: Ignored files or folders of the main work tree that runs need; symlinked into their work trees.
        device: ``auto`` (cuda, else mps, else cpu), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
        jobs: Runs at once; 0 means one a core on a CPU, as many as fit and help on GPUs.
        processes: Processes of one run, each on a device of its own.
        workers: Processes that read streamed data for each process of a run; as many as serve unless given.
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
    workers: int | None = None
    stop_early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """``[sample]``: the reduced part of the training set that experiments work on.

    Attributes:
        strategy: ``stratified``, ``random``, or ``package.module:function`` of the project's own, imported from main.
        class_min: Examples that every class keeps at least, where it has so many.
        epochs: Of runs on the sample, instead of the recipe's own, so that they take steps enough.
    """

    fraction: float = 0.1
    strategy: str = "stratified"
    seed: int = 0
    class_min: int = 1
    epochs: int | None = None

    def sample(self) -> Sample:
        """Return the sample as a value of the domain."""
        return Sample(
            fraction=self.fraction,
            strategy=self.strategy,
            seed=self.seed,
            class_min=self.class_min,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """``[baseline]``: the published figure that the reference must reproduce.

    Attributes:
        tolerance: How far from the figure still counts as the same.
        source: Where it stands, in words.
        task: Trains the reference instead of ``[trainer] task`` or command: the net that was published, where that is another.
        arguments: What it is given on top of ``[trainer] arguments``, for instance where the whole data set is.
        seeds: Of the reference; None is ``[run] seeds``.
    """

    metric: str = "test/accuracy"
    published: float | None = None
    tolerance: float = 0.0
    source: str = ""
    task: str = ""
    arguments: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    seeds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """``[promote]``: how ``promote --halving`` finds the branches that are worth the full set.

    Attributes:
        rungs: Parts of the sample, growing; the last is all of it.
        eta: One branch in so many goes on to the next rung.
    """

    rungs: tuple[float, ...] = (0.1, 0.3, 1.0)
    eta: int = 3


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
class SlurmOptions:
    """``[executor.slurm]``: what each run asks of a Slurm cluster; what is left out is the cluster's own default.

    Attributes:
        time_s: Limit of a job; else ``[run] timeout_s``, or the partition's own where that is less.
        container: Image of Apptainer that holds Python, branchlab and what the task imports.
        extra: Further parameters of ``sbatch``, by their long names.
        jobs: Runs at once; else ``[run] jobs``. 0 leaves that to the cluster.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    gpus: int = 0
    cpus: int = 1
    memory_gib: float | None = None
    time_s: float | None = None
    container: str = ""
    extra: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    jobs: int | None = None


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
    """``[executor]``: what starts runs, with a table of options for each kind.

    Attributes:
        linger_s: On this machine, the process that has imported torch stays for so long after the last run, so that the
            next command starts at once; 0 ends it with its command.
    """

    kind: str = "local"
    linger_s: float = 300.0
    slurm: SlurmOptions = field(default_factory=SlurmOptions)
    ray: RayOptions = field(default_factory=RayOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """``[env]``: whether branches get environments of their own, and what goes into them.

    Attributes:
        manager: ``none`` trains every branch in the environment that branchlab runs in; ``uv`` makes one for each set
            of dependencies.
        files: What names them, as paths within the repository; where none is given, the lock, requirements or project
            file at its root.
        python: Version of the interpreter; else what the branch's ``.python-version`` says, else branchlab's own.
        extras: Optional dependencies of the project that runs need.
    """

    manager: str = "none"
    files: tuple[str, ...] = ()
    python: str = ""
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """``[track]``: the tools that runs are mirrored into while they train.

    What is left empty is what the tool's own environment variables say, else a place below ``.branchlab/``.

    Attributes:
        to: Any of ``mlflow``, ``tensorboard``, ``wandb``.
        project: Name of the experiment in MLflow and of the project in W&B; the repository's folder where nothing says it.
        mlflow_uri: Server or database, as ``MLFLOW_TRACKING_URI`` has it.
        tensorboard_dir: Folder below which every run has one of its own.
    """

    to: tuple[str, ...] = ()
    project: str = ""
    mlflow_uri: str = ""
    tensorboard_dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    branches: Branches = field(default_factory=Branches)
    trainer: Trainer = field(default_factory=Trainer)
    run: RunOptions = field(default_factory=RunOptions)
    sample: SampleOptions = field(default_factory=SampleOptions)
    baseline: Baseline = field(default_factory=Baseline)
    promote: Promote = field(default_factory=Promote)
    merge_back: MergeBackOptions = field(default_factory=MergeBackOptions)
    executor: Executor = field(default_factory=Executor)
    env: Env = field(default_factory=Env)
    track: Track = field(default_factory=Track)

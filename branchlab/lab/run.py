"""``run``: plan runs of branches, record them, carry them out, and say what happens meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from branchlab.config import CONFIG_NAME, is_device
from branchlab.domain import Branch, Flags, Run, RunState, Sample, Scale
from branchlab.errors import ConfigError, RepositoryError
from branchlab.experiment import experiment_path, parse_experiment
from branchlab.git.worktrees import checkout, reclaim
from branchlab.lab.branches import (
    all_branches,
    experiment_of,
    find_branches,
    is_experiment,
    main_branch,
)
from branchlab.lab.progress import Progress, Watcher
from branchlab.lab.project import Project
from branchlab.run_folder import locked
from branchlab.schedule.executor import Bounds, Executor, Facts
from branchlab.schedule.local import LocalExecutor
from branchlab.schedule.plan import Plan, Protocol, Target, make_plan
from branchlab.schedule.pool import Manner, Pool, Slot, StopRequest, slots_for

_SEEDS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the user asked for; None means what the config says."""

    names: Sequence[str] = ()
    is_all: bool = False
    seeds: int | None = None
    is_full: bool = False
    fraction: float | None = None
    epochs: int | None = None
    flags: Flags = field(default_factory=dict)
    experiment: str | None = None
    device: str | None = None
    jobs: int | None = None
    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan that is ready to be carried out, and what the user should know before."""

    plan: Plan
    facts: Facts
    slots: tuple[Slot, ...]
    notes: tuple[str, ...]

    @property
    def num_slots(self) -> int:
        return len(self.slots)


class RunSession:
    """One ``branchlab run``: the warm parent starts importing torch at once, planning goes on meanwhile."""

    def __init__(
        self, project: Project, request: RunRequest, *, executor: Executor | None = None
    ) -> None:
        self.project = project
        self.request = request
        self.stop = StopRequest()
        self._executor = executor
        """The caller's own when one is given: it may be warm already, and stays so."""
        self._is_executor_ours = executor is None

    def prepare(self) -> Prepared:
        """Return the plan; nothing has been written yet but the state folder itself.

        Raises:
            BranchlabError: Something in the request, the config or the repository does not serve.
        """
        project, request = self.project, self.request
        _check(project, request)
        branches = all_branches(project)
        main = main_branch(project, branches)
        wanted = _wanted(project, request, branches, main)
        project.state.create()
        executor = self._executor or self._warm_up(main)
        targets = [self._target(branch, main) for branch in wanted]
        index = project.index()
        facts = executor.facts()
        device = device_of(request.device or project.config.run.device, facts)
        seeds = range(request.seeds or project.config.run.seeds)
        jobs = project.config.run.jobs if request.jobs is None else request.jobs
        slots = slots_for(
            [device] if device in {"cpu", "mps"} or ":" in device else list(facts.devices),
            jobs=jobs,
            num_cores=num_cores(),
            num_runs=len(targets) * len(seeds),
        )
        protocol = self._protocol(facts, device, threads=threads_of(jobs))
        plan = make_plan(
            targets,
            seeds,
            protocol,
            known=index.runs_of_key,
            now=datetime.now(UTC),
            is_forced=request.is_forced,
        )
        index.close()
        return Prepared(plan=plan, facts=facts, slots=tuple(slots), notes=_notes(project, wanted))

    def carry_out(self, prepared: Prepared) -> Iterator[Progress]:
        """Carry the plan out; yields what is going on, several times a second, and last how it all ended.

        ``stop.level`` may be raised meanwhile: 1 lets runs write a checkpoint and end, 2 ends them at once.
        """
        project, plan = self.project, prepared.plan
        assert self._executor is not None
        runs = plan.to_start
        new = [planned.run for planned in plan.runs if planned.known is None]
        project.repository.keep_all({run.id: run.commit for run in new})
        for run in new:
            project.state.run(run.id).write_plan(run)
        index = project.index()
        watcher = Watcher(index, plan)
        yield watcher.look()
        if not runs:
            return
        pool = Pool(
            self._executor,
            project.state,
            prepared.slots[: len(runs)],
            Manner(
                prepare=self._checkout,
                bounds=Bounds(
                    timeout_s=project.config.run.timeout_s, silence_s=project.config.run.silence_s
                ),
                shares_slots=True,
            ),
        )
        for change in pool.carry_out(runs, self.stop):
            for run, reason in change.refused:
                _refuse(project, run, reason)
            yield watcher.look(change)
        yield watcher.look(is_last=True)
        index.close()
        _tidy(project)

    def close(self) -> None:
        """Let the warm parent end; runs that still work go on by themselves."""
        if self._executor is not None and self._is_executor_ours:
            self._executor.close()
            self._executor = None

    def _warm_up(self, main: Branch) -> Executor:
        executor = LocalExecutor(self.project.state, preload=preload_of(self.project, main.tip))
        self._executor = executor
        executor.warm_up()
        return executor

    def _target(self, branch: Branch, main: Branch) -> Target:
        request = self.request
        flags = dict(experiment_of(self.project, branch).flags)
        if branch.name == main.name and request.experiment is not None:
            flags |= _landed_flags(self.project, main, request.experiment)
        if branch.name != main.name or tuple(request.names) == (main.name,):
            flags |= request.flags
        return Target(branch=branch.name, commit=branch.tip, tree=branch.tree, flags=flags)

    def _protocol(self, facts: Facts, device: str, *, threads: int) -> Protocol:
        config, request = self.project.config, self.request
        sample = config.sample.sample()
        if request.fraction is not None:
            sample = replace(sample, fraction=request.fraction)
        return Protocol(
            task=config.trainer.task,
            scale=Scale.FULL if request.is_full else Scale.SAMPLE,
            sample=Sample(fraction=1.0, strategy=sample.strategy) if request.is_full else sample,
            arguments=config.trainer.arguments,
            epochs=request.epochs,
            deterministic=config.run.deterministic,
            environment=environment_of(facts, device, threads=threads),
            device="cuda" if device.startswith("cuda") else device,
            threads=threads,
        )

    def _checkout(self, run: Run) -> Path:
        share = self.project.config.run.share
        return checkout(self.project.repository, run.commit, label=run.branch, share=share).path


def _check(project: Project, request: RunRequest) -> None:
    config = project.config
    if not config.trainer.task:
        raise ConfigError(
            f"[trainer] task is not set in {CONFIG_NAME}: nothing says what to train",
            hint='set it: task = "package.module:Class" (a subclass of branchlab.Task)',
        )
    checks: list[tuple[bool, str, str]] = [
        (
            request.seeds is not None and not 1 <= request.seeds <= _SEEDS_MAX,
            "--seeds",
            f"at least 1 and at most {_SEEDS_MAX}",
        ),
        (request.epochs is not None and request.epochs < 1, "--epochs", "at least 1"),
        (request.jobs is not None and request.jobs < 0, "--jobs", "0 (as many as serve) or more"),
        (
            request.fraction is not None and not 0 < request.fraction <= 1,
            "--sample",
            "0 < fraction <= 1",
        ),
        (
            request.device is not None and not is_device(request.device),
            "--device",
            "auto, cpu, mps, cuda or cuda:N",
        ),
    ]
    for is_wrong, option, needed in checks:
        if is_wrong:
            found = {"--sample": request.fraction}.get(option, getattr(request, option[2:], None))
            raise ConfigError(f"{option} {found}: needs {needed}", hint="see: branchlab run --help")
    if request.is_full and request.fraction is not None:
        raise ConfigError("--full and --sample exclude each other", hint="leave one of them out")


def _wanted(
    project: Project, request: RunRequest, branches: Sequence[Branch], main: Branch
) -> list[Branch]:
    """Return what to run: main first, as the other half of every pair."""
    if request.is_all:
        reference = project.config.branches.reference
        frozen = [branch for branch in branches if branch.own_name == reference]
        others = frozen + [branch for branch in branches if is_experiment(project, branch)]
    elif request.names:
        others = find_branches(project, request.names, branches)
    else:
        current = project.repository.current_branch(at=project.here)
        others = [b for b in branches if b.name == current and is_experiment(project, b)]
    if request.experiment is not None and others and others != [main]:
        raise ConfigError(
            "--experiment runs main with the flags of a landed experiment; it takes no other branch",
            hint=f"branchlab run {main.name} --experiment {request.experiment}",
        )
    return list({branch.name: branch for branch in [main, *others]}.values())


def _landed_flags(
    project: Project, main: Branch, name: str
) -> Mapping[str, bool | int | float | str]:
    path = experiment_path(name)
    text = project.repository.read_file(main.tip, path)
    if text is None:
        raise RepositoryError(
            f"{main.name} has no experiment '{name}': {path} is not there",
            hint=f"see which have landed: git ls-tree --name-only {main.name} experiments/",
        )
    return parse_experiment(text, where=f"{main.name}:{path}").flags


def preload_of(project: Project, commit: str) -> list[str]:
    """Return what the warm parent imports besides torch: torchvision costs 1.5 s, so only for a project that uses it."""
    uses = project.repository.grep(commit, r"^(import|from) torchvision")
    return ["torchvision", "torchvision.transforms.v2"] if uses else []


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


def threads_of(jobs: int) -> int:
    """Divide the cores by the jobs that were asked for, not by the runs that happen to be left.

    Sums over two threads round otherwise than over one: the same key must never be trained with another number.
    """
    return max(1, num_cores() // (jobs or num_cores()))


def environment_of(facts: Facts, device: str, *, threads: int) -> Mapping[str, str]:
    """Return the versions and the kind of device that a run's bits depend on."""
    kind = device.partition(":")[0]
    found = {**facts.environment, "device": kind}
    return {**found, "threads": str(threads)} if kind == "cpu" else found


def _notes(project: Project, wanted: Sequence[Branch]) -> tuple[str, ...]:
    """Say what runs leave out: uncommitted changes of a branch that is checked out here."""
    current = project.repository.current_branch(at=project.here)
    branch = next((b for b in wanted if b.name == current), None)
    paths = project.repository.dirty_paths(at=project.here) if branch is not None else []
    paths = [path for path in paths if path != CONFIG_NAME]
    if branch is None or not paths:
        return ()
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    changed = f"{branch.name} has uncommitted changes ({paths[0]}{more})"
    return (f"{changed}; runs train its commit {branch.tip[:10]} without them",)


def _refuse(project: Project, run: Run, reason: str) -> None:
    """Record a run that could not even get its work tree as a failed attempt."""
    folder = project.state.run(run.id)
    with locked(folder.lease) as is_ours:
        if is_ours:
            folder.attempt(folder.attempts() + 1).write_result(RunState.FAILED, reason=reason)


def _tidy(project: Project) -> None:
    """Give back work trees of commits that no branch points to and no run uses."""
    index = project.index()
    busy = {record.run.commit for record in index.runs() if record.state is RunState.RUNNING}
    index.close()
    reclaim(project.repository, keep=busy | {branch.tip for branch in all_branches(project)})

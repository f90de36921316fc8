"""``run``: plan runs of branches, record them, carry them out, and say what happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from branchlab.config import CONFIG_NAME
from branchlab.domain import Branch, Drawn, Run, RunState, Sample, Scale, Script
from branchlab.git.memo import Tell, silently
from branchlab.lab.branches import (
    all_branches,
    contents_of,
    experiment_of,
    main_branch,
)
from branchlab.lab.dependencies import dependencies_changed_since_main, dependency_notes
from branchlab.lab.devices import (
    check_processes,
    device_of,
    environment_of,
    num_cores,
    threads_of,
)
from branchlab.lab.early_stop import EarlyStop
from branchlab.lab.executors import (
    LOCAL,
    cluster_executor,
    kind_of,
    local_executor,
    needs_worktrees,
)
from branchlab.lab.hypotheses import unrecorded
from branchlab.lab.outlook import Estimate, estimate, reason_for
from branchlab.lab.own_environments import OwnEnvironments, check_supported, own_environments
from branchlab.lab.own_script import (
    check_flags,
    check_script_request,
    code_of,
    script_notes,
    script_of_project,
)
from branchlab.lab.progress import Progress, Watcher
from branchlab.lab.project import Project
from branchlab.lab.run_records import end_unstarted, record_plan
from branchlab.lab.run_request import (
    RunRequest,
    check_request,
    landed_flags,
    left_out_notes,
    wanted_branches,
)
from branchlab.lab.samples import epochs_on_sample, sample_of_runs
from branchlab.lab.work_places import tidy, work_tree_of
from branchlab.run_folder import Job
from branchlab.schedule.executor import Bounds, Executor, Facts
from branchlab.schedule.jobs import look_after
from branchlab.schedule.packing import Packing, Reading
from branchlab.schedule.plan import Plan, Protocol, Target, make_plan
from branchlab.schedule.pool import Manner, Pool, Slot, StopRequest, slots_for
from branchlab.schedule.watchdog import release_slots

_STILLBORN = "its process ended before it could record anything: is the disk full?"
_MOST_PER_GPU = 8
"""Runs that are put on one GPU at most, where nobody has said how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan that is ready to be carried out, and what the user should know before.

    Attributes:
        slots: Without any, the executor shares its machines out itself.
        jobs: Of clusters that have runs of the plan already, by run; these are left to them.
    """

    plan: Plan
    facts: Facts
    slots: tuple[Slot, ...]
    estimate: Estimate
    reasons: Mapping[str, str]
    """Why each run is trained or known, by id."""
    notes: tuple[str, ...]
    jobs: Mapping[str, Job] = field(default_factory=dict)

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
        self._own = OwnEnvironments()
        self._drawn: Drawn | None = None

    def prepare(self, *, is_dry: bool = False, tell: Tell = silently) -> Prepared:
        """Return the plan; nothing has been written yet but the state folder itself, and environments of branches.

        With ``trainer_from = "main"`` the commits that runs will check out are made in git's object store already, also for
        a plan that will only be shown: a planned run names its own. No ref keeps them before ``carry_out``.

        Args:
            is_dry: Whether it will only be shown: then no environment is made.
            tell: Hears what takes long.

        Raises:
            BranchlabError: Something in the request, the config or the repository does not serve.
        """
        project, request = self.project, self.request
        check_request(project, request)
        branches = all_branches(project)
        main = main_branch(project, branches)
        wanted = wanted_branches(project, request, branches, main)
        project.state.create()
        release_slots(project.state.slots)
        script = script_of_project(project, main)
        if script is not None:
            check_script_request(script, request, processes=project.config.run.processes)
        kind = kind_of(project, request.executor)
        check_supported(project, kind)
        self._own = own_environments(
            project, [branch.tip for branch in wanted], makes=not is_dry, tell=tell
        )
        # The caller's own knows one environment only.
        is_given = self._executor is not None and not self._own.by_commit
        executor = self._executor if is_given else self._warm_up(main, kind)
        assert executor is not None
        changed = dependencies_changed_since_main(project, wanted, main)
        looked = look_after(project.state)
        index = project.index()
        facts = executor.facts()
        device = device_of(request.device or project.config.run.device, facts)
        seeds = request.exact_seeds or range(request.seeds or project.config.run.seeds)
        jobs = project.config.run.jobs if request.jobs is None else request.jobs
        processes = project.config.run.processes
        check_processes(device, processes)
        slots = slots_for(
            [device] if device in {"cpu", "mps"} or ":" in device else list(facts.devices),
            jobs=jobs,
            num_cores=num_cores(),
            num_runs=len(wanted) * len(seeds),
            most_per_gpu=1 if request.budget_s or processes > 1 else _MOST_PER_GPU,
            processes=processes,
        )
        threads = threads_of(jobs, processes) if facts.threads is None else facts.threads
        protocol = self._protocol(facts, device, threads=threads, script=script)
        contents = contents_of(project, wanted)
        plan = make_plan(
            [
                self._target(branch, main, protocol, content=contents[branch.tree])
                for branch in wanted
            ],
            seeds,
            protocol,
            known=index.runs_of_key,
            now=datetime.now(UTC),
            is_forced=request.is_forced,
        )
        records = index.runs()
        not_recorded = unrecorded(project, wanted, index, records)
        index.close()
        to_start = {run.id for run in plan.to_start}
        given = {run_id: job for run_id, job in looked.jobs.items() if run_id in to_start}
        num_at_once = len(slots) if facts.has_slots else max(1, jobs or len(to_start))
        return Prepared(
            plan=plan,
            facts=facts,
            slots=tuple(slots) if facts.has_slots else (),
            estimate=estimate(plan, records, num_slots=num_at_once),
            reasons={planned.run.id: reason_for(planned, records) for planned in plan.runs},
            notes=(
                *_notes(project, wanted),
                *left_out_notes(project, request, branches),
                *script_notes(script),
                *dependency_notes(project, changed),
                *self._own.notes(wanted),
                *not_recorded,
                *looked.notes,
                *_left_to_jobs(given),
            ),
            jobs=given,
        )

    def carry_out(self, prepared: Prepared) -> Iterator[Progress]:
        """Carry the plan out; yields what is going on, several times a second, and last how it all ended.

        ``stop.level`` may be raised meanwhile: 1 lets runs write a checkpoint and end, 2 ends them at once.
        """
        project, plan = self.project, prepared.plan
        assert self._executor is not None
        runs = [run for run in plan.to_start if run.id not in prepared.jobs]
        record_plan(project, plan, runs, drawn=self._drawn, command=self.request.command)
        index = project.index()
        watcher = Watcher(index, plan, left=prepared.jobs)
        yield watcher.look()
        if not runs:
            return
        early = EarlyStop(
            [planned.run for planned in plan.runs], project.config.branches.main, project.config.run
        )
        packing = Packing(most=_MOST_PER_GPU) if self._packs(prepared) else None
        pool = Pool(
            self._executor,
            project.state,
            prepared.slots[: len(runs)],
            Manner(
                prepare=self._checkout,
                bounds=Bounds(
                    timeout_s=project.config.run.timeout_s,
                    silence_s=project.config.run.silence_s,
                    checkpoint_s=project.config.run.checkpoint_s,
                ),
                why_not=early.why_not if project.config.run.stop_early else lambda _: "",
                starts_for_s=self.request.budget_total_s,
                shares_slots=prepared.facts.has_slots,
                packing=packing,
                python_of=self._own.python_of,
            ),
        )
        for change in pool.carry_out(runs, self.stop):
            for run, reason in change.refused:
                end_unstarted(project, run, RunState.FAILED, reason)
            for run in change.stillborn:
                end_unstarted(project, run, RunState.FAILED, _STILLBORN)
            for run, reason in change.dropped:
                end_unstarted(project, run, RunState.CANCELLED, reason)
            progress = watcher.look(change)
            if change.ended or change.elsewhere:
                early.look(progress.records)
            if packing is not None:
                pool.hear(_readings(progress))
            yield progress
        yield watcher.look(is_last=True)
        index.close()
        release_slots(project.state.slots)
        tidy(project)

    def close(self) -> None:
        """Let the warm parent end; runs that still work go on by themselves."""
        if self._executor is not None and self._is_executor_ours:
            self._executor.close()
            self._executor = None

    def _packs(self, prepared: Prepared) -> bool:
        """Whether it is learned how many runs fit on a GPU: not where the user has said how many."""
        is_free = not (self.request.jobs or self.project.config.run.jobs)
        return is_free and any(slot.number for slot in prepared.slots if slot.device == "cuda")

    def _warm_up(self, main: Branch, kind: str) -> Executor:
        if kind != LOCAL:
            asked = self.request.jobs
            jobs = self.project.config.run.jobs if asked is None else asked
            self._executor = cluster_executor(self.project, kind, jobs=jobs)
            return self._executor
        self._is_executor_ours = True
        executor = local_executor(self.project, self.project.state, main.tip, self._own)
        self._executor = executor
        executor.warm_up()
        return executor

    def _target(self, branch: Branch, main: Branch, protocol: Protocol, *, content: str) -> Target:
        flags = self._flags(branch, main)
        check_flags(protocol.script, flags, branch.name)
        own = self._own.facts_of(branch.tip)
        environment = own and own | {
            name: value
            for name, value in protocol.environment.items()
            if name in {"device", "threads"}
        }
        if protocol.script is not None and environment:
            environment.pop("trainer", None)
        return Target(
            branch=branch.name,
            commit=branch.tip,
            tree=branch.tree,
            code=code_of(self.project, protocol.script, branch, main),
            content=content,
            flags=flags,
            environment=environment,
        )

    def _flags(self, branch: Branch, main: Branch) -> dict[str, bool | int | float | str]:
        """Return what a branch's runs are given: what its experiment switches on, and what the request adds."""
        request = self.request
        for pinned in request.exactly:
            if pinned.branch == branch:
                return dict(pinned.flags)
        flags = dict(experiment_of(self.project, branch).flags)
        if branch.name == main.name and request.experiment is not None:
            flags |= landed_flags(self.project, main, request.experiment)
        if branch.name != main.name or tuple(request.names) == (main.name,):
            flags |= request.flags
        return flags

    def _protocol(
        self, facts: Facts, device: str, *, threads: int, script: Script | None
    ) -> Protocol:
        config, request = self.project.config, self.request
        # A script that is told of no sample sees what it always sees.
        is_full = request.is_full or (script is not None and not script.takes("sample"))
        environment = environment_of(facts, device, threads=threads)
        if script is not None:
            environment = {name: v for name, v in environment.items() if name != "trainer"}
        if is_full:
            sample = Sample(fraction=1.0, strategy=config.sample.strategy)
        else:
            of_runs = sample_of_runs(self.project, fraction=request.fraction)
            sample, self._drawn = of_runs.sample, of_runs.drawn
        return Protocol(
            task=config.trainer.task,
            scale=Scale.FULL if is_full else Scale.SAMPLE,
            sample=sample,
            arguments=config.trainer.arguments,
            epochs=request.epochs if is_full else epochs_on_sample(config, request, script),
            deterministic=config.run.deterministic,
            environment=environment,
            device="cuda" if device.startswith("cuda") else device,
            threads=threads,
            processes=config.run.processes,
            workers=config.run.workers,
            budget_s=request.budget_s,
            script=script,
        )

    def _checkout(self, run: Run) -> Path:
        if not needs_worktrees(self.project, kind_of(self.project, self.request.executor)):
            return self.project.repository.root
        return work_tree_of(self.project, run)


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


def _left_to_jobs(jobs: Mapping[str, Job]) -> tuple[str, ...]:
    """Say which runs of the plan a cluster has already."""
    if not jobs:
        return ()
    first, job = next(iter(jobs.items()))
    more = f" and {len(jobs) - 1} more are" if len(jobs) > 1 else " is"
    given = (
        f"{first} (job {job.job} of {job.executor}){more} queued already and left to the cluster"
    )
    return (f"{given}; to take one back: branchlab cancel {first}",)


def _readings(progress: Progress) -> dict[str, Reading]:
    """Return what running runs tell of their GPU."""
    return {
        record.run.id: Reading(
            epoch=record.epoch,
            images_per_s=record.images_per_s or 0.0,
            memory_gib=record.usage.get("device_memory_gib", 0.0),
            total_gib=record.usage.get("gpu_memory_gib_total", 0.0),
        )
        for record in progress.running
    }

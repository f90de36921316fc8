"""Recordings of trainings: made side by side by one warm parent, and kept by everything that decides them.

A recording depends on a tree, flags, a seed, the sample and the environment alone, so that main's is made once for all
branches that are held against it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from branchlab.domain import Flags, Outside, Recording, Run, RunState, Sample, Scale
from branchlab.errors import BranchlabError, ConfigError
from branchlab.git.memo import Tell, silently
from branchlab.git.worktrees import checkout
from branchlab.lab.devices import device_of, environment_of, num_cores, threads_of
from branchlab.lab.executors import local_executor
from branchlab.lab.own_environments import environment_for_all
from branchlab.lab.own_script import needs_task
from branchlab.lab.project import Project
from branchlab.lab.samples import sample_of_runs
from branchlab.run_folder import AskedRecording, RunFolder, StateFolder, unpack_recording
from branchlab.schedule.executor import Bounds, Executor
from branchlab.schedule.interrupt import stopping
from branchlab.schedule.plan import Protocol, Target, run_key
from branchlab.schedule.pool import Manner, Pool, StopRequest, slots_for

_KIND = "recordings-3"
"""Raise the number when recordings hold something else."""
_KEPT_MAX = 400
"""Of 30 to 100 KB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One training to record.

    Attributes:
        name: Tells sides of one call apart.
        tree: Id of the tree that ``folder`` holds; the folder is asked for only when the recording is not known.
        number: Which of several recordings of the same training this is.
    """

    name: str
    tree: str
    folder: Callable[[], Path]
    flags: Flags = field(default_factory=dict)
    seed: int = 0
    number: int = 1


class Recorder:
    """Records trainings of one project; ``close`` it.

    Args:
        project: Whose.
        steps: Taken at most, of the recipe's own.
        device: As the config takes it; the config's own unless said.
        executor: The caller's own when one is given; it stays open.
        sample: Another than that of the config's runs.
        purpose: What its processes are for, in a few words.
        variables: Of the environment; given, trainings are started by a parent of their own.
        verb: Which verb it is that needs a task, as a sentence begins with it.
        tell: Hears what is going on.
    """

    def __init__(  # noqa: PLR0913  whose, how long, where, and who hears of it
        self,
        project: Project,
        *,
        steps: int,
        device: str | None = None,
        executor: Executor | None = None,
        variables: Mapping[str, str] | None = None,
        verb: str = "parity, on which merge-back and drift rest,",
        tell: Tell = silently,
        sample: Sample | None = None,
        purpose: str = "training side by side",
    ) -> None:
        needs_task(project, verb)
        if not project.config.trainer.task:
            raise ConfigError(
                f"[trainer] task is not set in .branchlab.toml: {verb.split(',', maxsplit=1)[0]} trains the task, and nothing says what that is",
                hint='set it: task = "package.module:Class" (a subclass of branchlab.Task)',
            )
        self._project = project
        self._steps = steps
        self._device = device or project.config.run.device
        self._executor = executor
        self._is_ours = executor is None
        self._variables = variables
        self._tell = tell
        self._purpose = purpose
        self._given = sample
        self.state = StateFolder(project.state.path / "parity" / uuid.uuid4().hex[:12])
        self.stop = StopRequest()

    @property
    def device(self) -> str:
        """The device that trainings get."""
        assert self._executor is not None
        return device_of(self._device, self._executor.facts())

    def warm_up(self, commit: str, *, main: str = "") -> None:
        """Start importing torch, in the environment of ``commit``, where all train; returns at once unless it has yet to be made."""
        if self._executor is None:
            self._project.state.create()
            self.state.create()
            own = environment_for_all(self._project, commit, self._tell)
            local = local_executor(
                self._project, self.state, commit, own, reads=main, variables=self._variables
            )
            local.warm_up()
            self._executor = local

    def record(
        self,
        sides: Sequence[Side],
        *,
        closely: tuple[int, ...] = (1, 2),
        is_strict: bool = True,
        is_anew: bool = False,
        steps: int | None = None,
        varied: tuple[Outside, ...] | None = None,
    ) -> dict[str, Recording]:
        """Return the recording of each side, by name; sides of one tree, flags and seed share theirs.

        Args:
            sides: What to record.
            closely: Steps of which every module is noted.
            is_strict: Whether an operation without a deterministic form ends the training.
            is_anew: Whether what is known is trained again; what is made is kept all the same.
            steps: Fewer than the recorder's own.
            varied: Given, calls for what no seed decides are noted, so much of that is made different, and nothing is kept.

        Raises:
            KeyboardInterrupt: The user interrupted; what was running has ended.
            BranchlabError: A tree could not be checked out, or no process could be started.
        """
        steps = min(steps or self._steps, self._steps)
        asked = AskedRecording(steps=steps, closely=closely, is_strict=is_strict)
        how: list[object] = [steps, closely, is_strict]
        if varied is not None:
            asked = replace(asked, is_watchful=True, varied=varied)
            how.append([*varied])
        runs = {side.name: self.plan(side, how=how) for side in sides}
        memo = self._project.memo()
        keys = [run.key for run in runs.values()]
        kept = {} if is_anew or asked.is_watchful else memo.get(_KIND, keys)
        known = {k: r for k, v in kept.items() if (r := unpack_recording(v)) is not None}
        missing = {runs[s.name].key: s for s in reversed(sides) if runs[s.name].key not in known}
        if missing:
            made = self._make(
                [(runs[side.name], side) for side in reversed(missing.values())], asked
            )
            for key, content in made.items():
                found = unpack_recording(content)
                assert found is not None
                known[key] = found
                # One that failed may have met a full disk or a missing file: it is tried again.
                if not found.failure and not asked.is_watchful:
                    memo.put(_KIND, {key: content}, most=_KEPT_MAX)
        return {name: known[run.key] for name, run in runs.items()}

    def close(self) -> None:
        """Let the warm parent end, and take away what was written."""
        if self._executor is not None and self._is_ours:
            self._executor.close()
        shutil.rmtree(self.state.path, ignore_errors=True)

    def plan(self, side: Side, *, how: Sequence[object]) -> Run:
        """Return the run of a side; ``how`` it is trained is part of its key."""
        assert self._executor is not None
        facts = self._executor.facts()
        config = self._project.config
        device = device_of(self._device, facts)
        threads = threads_of(config.run.jobs)
        protocol = Protocol(
            task=config.trainer.task,
            scale=Scale.SAMPLE,
            sample=self._given or sample_of_runs(self._project).sample,
            arguments=config.trainer.arguments,
            environment=environment_of(facts, device, threads=threads),
            device="cuda" if device.startswith("cuda") else device,
            threads=threads,
        )
        target = Target(branch=side.name, commit="", tree=side.tree, flags=side.flags)
        base = run_key(target, side.seed, protocol)
        document = json.dumps([base, *how, side.number])
        key = hashlib.sha256(document.encode()).hexdigest()
        return Run(
            id=key[:16],
            key=key,
            branch=side.name,
            commit="",
            tree=side.tree,
            task=protocol.task,
            seed=side.seed,
            scale=protocol.scale,
            sample=protocol.sample,
            flags=side.flags,
            arguments=protocol.arguments,
            environment=protocol.environment,
            device=protocol.device,
            threads=threads,
            planned_at=datetime.now(UTC),
        )

    def write_plan(self, run: Run) -> RunFolder:
        """Record a run that was planned here; return its folder."""
        folder = self.state.run(run.id)
        folder.write_plan(run)
        if run.sample.manifest and (drawn := sample_of_runs(self._project).drawn) is not None:
            folder.write_drawn(drawn)
        return folder

    def _make(
        self, wanted: Sequence[tuple[Run, Side]], asked: AskedRecording
    ) -> Mapping[str, bytes]:
        """Record what is not known, side by side; return the packed recordings by key."""
        missing = [(run, side) for run, side in wanted if not self._is_made(run)]
        for run, side in missing:
            folder = self.write_plan(run)
            folder.ask_to_record(replace(asked, number=side.number))
        self.carry_out(missing)
        return {run.key: self._result(run, side) for run, side in wanted}

    def carry_out(self, wanted: Sequence[tuple[Run, Side]]) -> None:
        """Let runs that are planned here make one attempt each, side by side.

        Raises:
            KeyboardInterrupt: The user interrupted; what was running has ended.
            BranchlabError: A tree could not be checked out, or no process could be started.
        """
        assert self._executor is not None
        facts = self._executor.facts()
        folders = {run.id: side.folder for run, side in wanted}
        missing = [run for run, _ in wanted]
        device = device_of(self._device, facts)
        slots = slots_for(
            [device] if device in {"cpu", "mps"} or ":" in device else list(facts.devices),
            jobs=self._project.config.run.jobs,
            num_cores=num_cores(),
            num_runs=len(missing),
        )
        timeout_s = self._project.config.run.timeout_s
        pool = Pool(
            self._executor,
            self.state,
            slots,
            # Recordings beat no pulse: they are short, and the bound on time serves for both.
            Manner(
                prepare=lambda run: folders[run.id](),
                bounds=Bounds(timeout_s=timeout_s, silence_s=timeout_s),
            ),
        )
        refused: dict[str, str] = {}
        num_ended = 0
        with stopping(self.stop, at_once=True):
            for change in pool.carry_out(missing, self.stop):
                refused |= {run.id: reason for run, reason in change.refused}
                num_ended += len(change.ended) + len(change.elsewhere) + len(change.refused)
                self._tell(self._purpose, num_ended, len(missing))
        if self.stop.level:
            raise KeyboardInterrupt
        if refused:
            raise BranchlabError(next(iter(refused.values())), hint="branchlab doctor")

    def _is_made(self, run: Run) -> bool:
        """Whether this recorder has made a recording already: to make it anew means not to take a kept one."""
        latest = self.state.run(run.id).latest()
        result = latest.read_result() if latest is not None else None
        return result is not None and result["state"] == RunState.DONE

    def _result(self, run: Run, side: Side) -> bytes:
        attempt = self.state.run(run.id).latest()
        try:
            return attempt.recording.read_bytes() if attempt is not None else b""
        except FileNotFoundError:
            result = attempt.read_result() if attempt is not None else None
            reason = str(result["reason"]) if result else "it left no result"
            raise BranchlabError(
                f"the training of {side.name} could not be recorded: {reason}",
                hint="try it as a run: branchlab run --force --seeds 1",
            ) from None


def commit_side(project: Project, name: str, commit: str, *, flags: Flags | None = None) -> Side:
    """Return the side of a commit that is in the repository."""
    return Side(
        name=name,
        tree=project.repository.tree_of(commit),
        folder=lambda: (
            checkout(project.repository, commit, label=name, share=project.config.run.share).path
        ),
        flags=flags or {},
    )


def again(side: Side, number: int) -> Side:
    """Return the same training once more."""
    return replace(side, name=f"{side.name}, again {number - 1}", number=number)

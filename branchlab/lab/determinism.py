"""``run --check-determinism``: are two runs of one key the same to the bit, and is one that was interrupted?

Each branch is recorded as it is, and once more in a process of another parent in which everything that no seed decides is
another: the clock, the order of folders, where objects lie, what fresh memory holds, how threads take turns, the hash
seed. Where the two part, one thing at a time is made different to find out which. Then the trainer itself trains a short
course without and with interruptions. Branches that share an environment are checked together, each environment by parents of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from branchlab.analysis.determinism.chance import drawn_globally, parted
from branchlab.analysis.determinism.outcome import (
    Parting,
    differs,
    does_not_train,
    failed,
    resumed,
    said_of_hashes,
)
from branchlab.analysis.parity.compare import steps_to_look_at
from branchlab.domain import (
    Branch,
    Determinism,
    DeterminismStatus,
    Outside,
    Proof,
    Recording,
    Repeat,
    Resume,
)
from branchlab.errors import ConfigError
from branchlab.git.memo import Tell, silently
from branchlab.lab.branches import all_branches, experiment_of, main_branch
from branchlab.lab.own_environments import own_environments
from branchlab.lab.own_script import needs_task
from branchlab.lab.project import Project
from branchlab.lab.recordings import Recorder, Side, again, commit_side
from branchlab.lab.rehearsals import course_of, rehearse
from branchlab.lab.run_request import RunRequest, check_request, landed_flags, wanted_branches
from branchlab.schedule.executor import Executor

_IN_PROCESS = (Outside.ADDRESSES, Outside.LISTING, Outside.CLOCK, Outside.THREADS)
_OTHER_MEMORY = {"MALLOC_PERTURB_": "170", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
"""Of glibc: fresh memory is filled with a byte; without the cache for small blocks, all of it is."""
_OTHER_HASHES = {"PYTHONHASHSEED": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    branch: Branch
    side: Side


class _Check:
    """The trainings of branches that share an environment; use it as a context.

    Args:
        project: Whose.
        targets: At least one.
        steps: Taken at most by each training.
        device: As the config takes it.
        executor: The caller's own when one is given.
        tell: Hears what is going on.
    """

    def __init__(
        self,
        project: Project,
        targets: Sequence[_Target],
        *,
        steps: int,
        device: str,
        executor: Executor | None,
        tell: Tell,
    ) -> None:
        self._project, self._targets, self._steps = project, targets, steps
        self._device, self._tell = device, tell
        self._recorder = Recorder(project, steps=steps, device=device, executor=executor, tell=tell)
        self._other = self._recorder
        self._stack = ExitStack()

    def __enter__(self) -> _Check:
        self._stack.callback(self._recorder.close)
        self._recorder.warm_up(self._targets[0].branch.tip)
        # Both parents import torch meanwhile.
        self._other = self._stack.enter_context(self._elsewhere(_OTHER_MEMORY | _OTHER_HASHES))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def device(self) -> str:
        """The device that trainings get."""
        return self._recorder.device

    def results(self) -> list[Determinism]:
        """Return what the check of each branch shows.

        Raises:
            KeyboardInterrupt: The user interrupted; what was running has ended.
            BranchlabError: A tree could not be checked out, or no process could be started.
        """
        sides = [target.side for target in self._targets]
        ones = self._recorder.record(sides, varied=())
        trained = [side for side in sides if not does_not_train(ones[side.name])]
        partings, by_hash = self._repeat(trained, ones)
        same = [side for side in trained if side.name not in partings]
        courses = [(side, course_of(ones[side.name], self._steps)) for side in same]
        course_by_name = {side.name: course for side, course in courses}
        rehearsed = rehearse(self._recorder, courses) if courses else {}
        found = []
        for target in self._targets:
            name, one = target.side.name, ones[target.side.name]
            blank = self._blank(target, one)
            if does_not_train(one):
                found.append(failed(blank, one))
            elif name in partings:
                found.append(differs(blank, partings[name]))
            else:
                whole, cut = rehearsed[name]
                course = course_by_name[name]
                resume = Resume(
                    status=Proof.SAME,
                    steps=whole.steps,
                    epochs=course.epochs,
                    stops=course.stops[: len(cut.attempts) - 1],
                )
                found.append(
                    resumed(
                        blank, resume, whole.attempts[0], cut.attempts, (whole.failure, cut.failure)
                    )
                )
            if name in by_hash:
                found[-1] = replace(
                    found[-1], remarks=(*found[-1].remarks, said_of_hashes(by_hash[name]))
                )
        return found

    def _blank(self, target: _Target, one: Recording) -> Determinism:
        place = drawn_globally(one)
        remarks: tuple[str, ...] = () if place is None else (
            f"augment() draws from the global generator ({place}); the one that it is given keeps branches comparable",
        )  # fmt: skip
        config = self._project.config.run
        if not config.deterministic:
            remarks += ("[run] deterministic = false: runs are made without what was checked here",)
        return Determinism(
            branch=target.branch.name,
            tip=target.branch.tip,
            device=self.device,
            status=DeterminismStatus.DETERMINISTIC,
            steps=one.num_steps,
            repeat=Repeat(status=Proof.SAME, steps=one.num_steps, varied=tuple(Outside)),
            resume=Resume(status=Proof.NOT_RUN),
            remarks=remarks,
        )

    def _repeat(
        self, sides: Sequence[Side], ones: Mapping[str, Recording]
    ) -> tuple[dict[str, Parting], dict[str, Parting]]:
        """Train again with everything different; return what parts for good, and what parts with the hash seed alone."""
        suspect = self._parting(self._other, sides, ones, number=2, varied=_IN_PROCESS)
        if not suspect:
            return {}, {}
        left = [side for side in sides if side.name in suspect]
        with self._elsewhere(_OTHER_MEMORY) as recorder:
            still = self._parting(recorder, left, ones, number=3, varied=_IN_PROCESS)
            by_memory = self._parting(recorder, left, ones, number=4, varied=())
            still |= self._closely(recorder, [s for s in left if s.name in still], ones, still)
        by_hash: dict[str, Parting] = {}
        if left := [side for side in left if side.name not in still]:
            with self._elsewhere(_OTHER_HASHES) as recorder:
                by_hash = self._parting(recorder, left, ones, number=5, varied=())
        # What neither gave its difference again nor follows the hash seed has met a rarer chance.
        for_good = {name: one for name, one in (suspect | still).items() if name not in by_hash}
        if left := [side for side in sides if side.name in for_good]:
            with self._elsewhere({}) as recorder:
                for side in left:
                    tried = self._tried(recorder, side, ones, is_memory=side.name in by_memory)
                    for_good[side.name] = replace(for_good[side.name], tried=tried)
        return for_good, by_hash

    def _parting(
        self,
        recorder: Recorder,
        sides: Sequence[Side],
        ones: Mapping[str, Recording],
        *,
        number: int,
        varied: tuple[Outside, ...],
    ) -> dict[str, Parting]:
        """Return which sides part from their first training when they are trained again, by name."""
        others = {side.name: again(side, number) for side in sides}
        twos = recorder.record(list(others.values()), varied=varied) if others else {}
        found = {}
        for side in sides:
            one, two = ones[side.name], twos[others[side.name].name]
            divergence = parted(one, two)
            if divergence is not None:
                found[side.name] = Parting(one=one, two=two, divergence=divergence, tried=())
        return found

    def _closely(
        self,
        recorder: Recorder,
        sides: Sequence[Side],
        ones: Mapping[str, Recording],
        still: Mapping[str, Parting],
    ) -> dict[str, Parting]:
        """Train both again and note every module in the steps before a difference, where that tells more."""
        found = {}
        for side in sides:
            one, parting = ones[side.name], still[side.name]
            closely = steps_to_look_at(one, parting.two)
            if not closely:
                continue
            near = self._recorder.record([side], varied=(), closely=closely, steps=max(closely))
            other = again(side, 3)
            far = recorder.record([other], varied=_IN_PROCESS, closely=closely, steps=max(closely))
            divergence = parted(near[side.name], far[other.name])
            if divergence is not None:
                found[side.name] = replace(
                    parting, one=near[side.name], two=far[other.name], divergence=divergence
                )
        return found

    def _tried(
        self, recorder: Recorder, side: Side, ones: Mapping[str, Recording], *, is_memory: bool
    ) -> tuple[Outside, ...]:
        """Make one thing at a time different; return those that part the trainings by themselves, none where nothing has to be."""
        if self._parting(recorder, [side], ones, number=6, varied=()):
            # Two forks of one parent find objects and old bytes at the same places; those of two parents do not.
            is_same = not self._parting(self._recorder, [side], ones, number=8, varied=())
            return (Outside.ADDRESSES, Outside.MEMORY) if is_same else ()
        tried = [
            outside
            for outside in _IN_PROCESS
            if self._parting(recorder, [side], ones, number=7, varied=(outside,))
        ]
        return (*tried, *([Outside.MEMORY] if is_memory else []))

    @contextmanager
    def _elsewhere(self, variables: Mapping[str, str]) -> Iterator[Recorder]:
        """Give a recorder whose trainings are started by a parent of its own, in an environment of its own."""
        recorder = Recorder(
            self._project,
            steps=self._steps,
            device=self._device,
            variables=variables,
            tell=self._tell,
        )
        recorder.warm_up(self._targets[0].branch.tip)
        try:
            yield recorder
        finally:
            recorder.close()


def check_determinism(
    project: Project,
    request: RunRequest,
    *,
    steps: int,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> list[Determinism]:
    """Return, for each branch that ``run`` would train, whether its runs are the same to the bit; main's first.

    Args:
        project: Whose.
        request: Branches, flags and device, as ``run`` takes them.
        steps: Taken at most by each training.
        executor: The caller's own when one is given; left alone where branches have environments of their own.
        tell: Hears what is going on.

    Raises:
        ConfigError: There is no task, or the request cannot be met.
        KeyboardInterrupt: The user interrupted; nothing is left behind.
    """
    if steps < 1:
        raise ConfigError(f"--steps {steps}: needs at least 1", hint="see: branchlab run --help")
    needs_task(project, "run --check-determinism")
    check_request(project, request)
    branches = all_branches(project)
    main = main_branch(project, branches)
    wanted = wanted_branches(project, request, branches, main)
    owns = own_environments(project, [branch.tip for branch in wanted], tell=tell).by_commit
    device = request.device or project.config.run.device
    failures: dict[str, str] = {}
    together: dict[str, list[_Target]] = {}
    for branch in wanted:
        own = owns.get(branch.tip)
        if own is not None and own.environment is None:
            failures[branch.name] = own.failure
            continue
        key = own.environment.key if own is not None and own.environment is not None else ""
        together.setdefault(key, []).append(_target(project, request, branch, main))
    found: dict[str, Determinism] = {}
    # A caller's own knows one environment only.
    ours = None if owns else executor
    for targets in together.values():
        check = _Check(project, targets, steps=steps, device=device, executor=ours, tell=tell)
        with check:
            found |= {one.branch: one for one in check.results()}
            device = check.device
    for branch in wanted:
        if branch.name in failures:
            found[branch.name] = _without_environment(branch, device, failures[branch.name])
    return [found[branch.name] for branch in wanted]


def _target(project: Project, request: RunRequest, branch: Branch, main: Branch) -> _Target:
    flags = dict(experiment_of(project, branch).flags)
    if branch.name == main.name and request.experiment is not None:
        flags |= landed_flags(project, main, request.experiment)
    if branch.name != main.name or tuple(request.names) == (main.name,):
        flags |= request.flags
    return _Target(branch=branch, side=commit_side(project, branch.name, branch.tip, flags=flags))


def _without_environment(branch: Branch, device: str, failure: str) -> Determinism:
    """Return what is known of a branch that nothing can be trained of."""
    return Determinism(
        branch=branch.name,
        tip=branch.tip,
        device=device,
        status=DeterminismStatus.FAILED,
        steps=0,
        repeat=Repeat(status=Proof.NOT_RUN, reason=failure),
        resume=Resume(status=Proof.NOT_RUN),
    )

"""``run --check-determinism``: are two runs of one key the same to the bit, and is one that was interrupted?

Each branch is recorded as it is, and once more in a process of another parent in which everything that no seed decides is
another: the clock, the order of folders, where objects lie, what fresh memory holds, how threads take turns, the hash
seed. Where the two part, one thing at a time is made different to find out which. Then the trainer itself trains a short
course without and with interruptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from branchlab.analysis.determinism.chance import (
    cause_of,
    cause_of_unfilled,
    drawn_globally,
    parted,
    unfilled,
)
from branchlab.analysis.determinism.interruption import interrupted_difference, joined, lacking
from branchlab.analysis.determinism.kernels import place_in, refused_operation
from branchlab.analysis.parity.compare import steps_to_look_at
from branchlab.domain import (
    Branch,
    Cause,
    Determinism,
    DeterminismStatus,
    Divergence,
    Outside,
    Proof,
    Recording,
    Repeat,
    Resume,
)
from branchlab.errors import ConfigError
from branchlab.git.memo import Tell, silently
from branchlab.lab.branches import all_branches, experiment_of, main_branch
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parting:
    """Two trainings that part."""

    one: Recording
    two: Recording
    divergence: Divergence
    tried: tuple[Outside, ...]


class DeterminismCheck:
    """The trainings of one check; use it as a context.

    Args:
        project: Whose.
        request: Branches, flags and device, as ``run`` takes them.
        steps: Taken at most by each training.
        executor: The caller's own when one is given.
        tell: Hears what is going on.
    """

    def __init__(
        self,
        project: Project,
        request: RunRequest,
        *,
        steps: int,
        executor: Executor | None = None,
        tell: Tell = silently,
    ) -> None:
        if steps < 1:
            raise ConfigError(
                f"--steps {steps}: needs at least 1", hint="see: branchlab run --help"
            )
        needs_task(project, "run --check-determinism")
        check_request(project, request)
        self._project, self._request, self._steps, self._tell = project, request, steps, tell
        self._recorder = Recorder(
            project, steps=steps, device=request.device, executor=executor, tell=tell
        )
        self._other = self._recorder
        self._stack = ExitStack()
        self._targets: list[_Target] = []

    def __enter__(self) -> DeterminismCheck:
        branches = all_branches(self._project)
        main = main_branch(self._project, branches)
        self._stack.callback(self._recorder.close)
        self._recorder.warm_up(main.tip)
        wanted = wanted_branches(self._project, self._request, branches, main)
        self._targets = [_Target(branch=one, side=self._side(one, main)) for one in wanted]
        # Both parents import torch meanwhile.
        self._other = self._stack.enter_context(self._elsewhere(_OTHER_MEMORY | _OTHER_HASHES))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def results(self) -> list[Determinism]:
        """Return what the check of each branch shows, main's first.

        Raises:
            KeyboardInterrupt: The user interrupted; what was running has ended.
            BranchlabError: A tree could not be checked out, or no process could be started.
        """
        sides = [target.side for target in self._targets]
        ones = self._recorder.record(sides, varied=())
        trained = [side for side in sides if not _does_not_train(ones[side.name])]
        partings, by_hash = self._repeat(trained, ones)
        same = [side for side in trained if side.name not in partings]
        courses = [(side, course_of(ones[side.name], self._steps)) for side in same]
        course_by_name = {side.name: course for side, course in courses}
        rehearsed = rehearse(self._recorder, courses) if courses else {}
        found = []
        for target in self._targets:
            name, one = target.side.name, ones[target.side.name]
            blank = self._blank(target, one)
            if _does_not_train(one):
                found.append(_failed(blank, one))
            elif name in partings:
                found.append(_differs(blank, partings[name]))
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
                    _resumed(
                        blank, resume, whole.attempts[0], cut.attempts, (whole.failure, cut.failure)
                    )
                )
            if name in by_hash:
                found[-1] = replace(
                    found[-1], remarks=(*found[-1].remarks, _of_hashes(by_hash[name]))
                )
        return found

    def _side(self, branch: Branch, main: Branch) -> Side:
        request = self._request
        flags = dict(experiment_of(self._project, branch).flags)
        if branch.name == main.name and request.experiment is not None:
            flags |= landed_flags(self._project, main, request.experiment)
        if branch.name != main.name or tuple(request.names) == (main.name,):
            flags |= request.flags
        return commit_side(self._project, branch.name, branch.tip, flags=flags)

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
            device=self._recorder.device,
            status=DeterminismStatus.DETERMINISTIC,
            steps=one.num_steps,
            repeat=Repeat(status=Proof.SAME, steps=one.num_steps, varied=tuple(Outside)),
            resume=Resume(status=Proof.NOT_RUN),
            remarks=remarks,
        )

    def _repeat(
        self, sides: Sequence[Side], ones: Mapping[str, Recording]
    ) -> tuple[dict[str, _Parting], dict[str, _Parting]]:
        """Train again with everything different; return what parts for good, and what parts with the hash seed alone."""
        suspect = self._parting(self._other, sides, ones, number=2, varied=_IN_PROCESS)
        if not suspect:
            return {}, {}
        left = [side for side in sides if side.name in suspect]
        with self._elsewhere(_OTHER_MEMORY) as recorder:
            still = self._parting(recorder, left, ones, number=3, varied=_IN_PROCESS)
            by_memory = self._parting(recorder, left, ones, number=4, varied=())
            still |= self._closely(recorder, [s for s in left if s.name in still], ones, still)
        by_hash: dict[str, _Parting] = {}
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
    ) -> dict[str, _Parting]:
        """Return which sides part from their first training when they are trained again, by name."""
        others = {side.name: again(side, number) for side in sides}
        twos = recorder.record(list(others.values()), varied=varied) if others else {}
        found = {}
        for side in sides:
            one, two = ones[side.name], twos[others[side.name].name]
            divergence = parted(one, two)
            if divergence is not None:
                found[side.name] = _Parting(one=one, two=two, divergence=divergence, tried=())
        return found

    def _closely(
        self,
        recorder: Recorder,
        sides: Sequence[Side],
        ones: Mapping[str, Recording],
        still: Mapping[str, _Parting],
    ) -> dict[str, _Parting]:
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
            device=self._request.device,
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
    """Return, for each branch that ``run`` would train, whether its runs are the same to the bit.

    Raises:
        ConfigError: There is no task, or the request cannot be met.
        KeyboardInterrupt: The user interrupted; nothing is left behind.
    """
    with DeterminismCheck(project, request, steps=steps, executor=executor, tell=tell) as check:
        return check.results()


def _does_not_train(one: Recording) -> bool:
    return bool(one.failure) or unfilled(one) is not None


def _failed(blank: Determinism, one: Recording) -> Determinism:
    nothing = replace(blank.repeat, status=Proof.NOT_RUN)
    where = unfilled(one)
    if not one.failure and where is not None:
        cause = cause_of_unfilled(one, where.step)
        reason = f"the loss is no number at step {where.step}"
        return replace(
            blank,
            status=DeterminismStatus.FAILED,
            repeat=replace(nothing, reason=reason),
            first_difference=where,
            cause=cause,
        )
    cause = refused_operation(one)
    step = one.num_steps + any(note.step for note in one.notes)
    stage = "operation" if cause else "training"
    return replace(
        blank,
        status=DeterminismStatus.FAILED,
        repeat=replace(nothing, reason=one.failure),
        first_difference=Divergence(
            step=step, stage=stage, where=place_in(one.failure) or "the task", reason=one.failure
        ),
        cause=cause,
    )


def _differs(blank: Determinism, parting: _Parting) -> Determinism:
    return replace(
        blank,
        status=DeterminismStatus.DIFFERS,
        repeat=replace(blank.repeat, status=Proof.DIFFERS),
        first_difference=parting.divergence,
        cause=cause_of(parting.one, parting.two, parting.tried),
    )


def _resumed(
    blank: Determinism,
    resume: Resume,
    whole: Recording,
    attempts: Sequence[Recording],
    failures: tuple[str, str],
) -> Determinism:
    if failures[0]:
        resume = replace(resume, status=Proof.NOT_RUN, reason=failures[0])
        return replace(blank, status=DeterminismStatus.FAILED, resume=resume)
    cut = joined(attempts)
    found = interrupted_difference(whole, cut)
    if found is None and not failures[1]:
        return replace(blank, resume=resume)
    if found is None:
        found = Divergence(step=cut.num_steps, stage="resume", where="the task", reason=failures[1])
    cause: Cause = lacking(whole, cut, found)
    return replace(
        blank,
        status=DeterminismStatus.DIFFERS,
        resume=replace(resume, status=Proof.DIFFERS, reason=failures[1]),
        first_difference=found,
        cause=cause,
    )


def _of_hashes(parting: _Parting) -> str:
    cause = cause_of(parting.one, parting.two, (Outside.HASHES,))
    where = f"{cause.operation} ({cause.place})" if cause.place else parting.divergence.where
    return (
        f"{parting.divergence.stage}: {where} depends on the hash seed, which every run here has fixed; "
        "elsewhere it trains differently"
    )

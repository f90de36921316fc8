"""``parity``: both promises of a merge, proved by training.

Off: main with the branch merged and every flag at its default trains bit for bit like main. On: with the experiment's flags it
trains like the branch does, once main's later improvements are in it. The merge is made in memory and thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from branchlab.analysis.parity.compare import first_difference
from branchlab.analysis.parity.exercised import not_exercised
from branchlab.domain import (
    PARITY_STEPS,
    Branch,
    Flags,
    Parity,
    ParityCheck,
    ParityStatus,
    Recording,
)
from branchlab.errors import ConfigError, RepositoryError
from branchlab.experiment import Experiment, experiment_name, experiment_path, parse_experiment
from branchlab.git.memo import Tell, silently
from branchlab.git.quarantine import Quarantine, Union, quarantine
from branchlab.git.sources import ChangedPath, merge_base, read_difference, resolve_revision
from branchlab.lab.branches import all_branches, find_branches, main_branch
from branchlab.lab.feature_reading import file_change
from branchlab.lab.known_parity import keep_parity
from branchlab.lab.project import Project
from branchlab.lab.recordings import Recorder, Side, commit_side
from branchlab.lab.side_by_side import SideBySide
from branchlab.schedule.executor import Executor

GUARD = "guard/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityRequest:
    """What the user asked for."""

    steps: int = PARITY_STEPS
    seeds: int = 1
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Idea:
    """A branch with its experiment.

    Attributes:
        short: Name of the experiment.
        model: The branch whose training the flags must give back: for ``guard/x`` the experiment itself.
    """

    branch: Branch
    short: str
    experiment: Experiment
    model: Branch
    model_flags: Flags

    @property
    def flags(self) -> Flags:
        return self.experiment.flags


class ParityProof:
    """Merges in memory and the trainings that are held side by side; use it as a context.

    Args:
        project: Whose.
        request: How long and how often.
        executor: The caller's own when one is given.
        tell: Hears what is going on.
        trained_in: The branch in whose environment both sides train, where branches have their own; else main's. What a
            branch adds to its dependencies is there on both sides then, so that the code alone makes a difference.
    """

    def __init__(
        self,
        project: Project,
        request: ParityRequest,
        *,
        executor: Executor | None = None,
        tell: Tell = silently,
        trained_in: str = "",
    ) -> None:
        self._trained_in = trained_in
        _check(request)
        self.project = project
        self.request = request
        self.branches = all_branches(project)
        self.main = main_branch(project, self.branches)
        self.recorder = Recorder(
            project, steps=request.steps, device=request.device, executor=executor, tell=tell
        )
        self._stack = ExitStack()
        self._quarantine: Quarantine | None = None

    def __enter__(self) -> ParityProof:
        self._stack.callback(self.recorder.close)
        tip = self.main.tip
        if self._trained_in:
            tip = find_branches(self.project, [self._trained_in], self.branches)[0].tip
        self.recorder.warm_up(tip, main=self.main.tip)
        self._quarantine = self._stack.enter_context(quarantine(self.project.repository))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def idea(self, name: str) -> Idea:
        """Return the branch of a name with its experiment.

        Raises:
            RepositoryError: There is no such branch, or it is main.
            ConfigError: Its experiment's file cannot be used.
        """
        branch = find_branches(self.project, [name], self.branches)[0]
        if branch.name == self.main.name:
            raise RepositoryError(
                f"{name} is main itself: parity holds a branch against it",
                hint="name a branch, or ask what main has drifted: branchlab drift",
            )
        return idea_of(self.project, branch, self.branches)

    def union(self, tips: Sequence[str]) -> Union:
        """Return what merging some tips into main gives, in memory."""
        assert self._quarantine is not None
        return self._quarantine.merge(self.main.tip, tips)

    @contextmanager
    def checked_out(self, tree: str) -> Iterator[Side]:
        """Give a side that stands for a tree of the quarantine, with its files in a folder of their own."""
        assert self._quarantine is not None
        share = self.project.config.run.share
        with self._quarantine.checked_out(tree, share=share) as folder:
            yield Side(name="merged", tree=tree, folder=lambda: folder)

    @contextmanager
    def model_of(self, idea: Idea, merged: Side) -> Iterator[Side | None]:
        """Give the branch as it is once main is merged into it: ``merged`` where that is the same tree, None where it conflicts."""
        assert self._quarantine is not None
        synced = self._quarantine.merge(idea.model.tip, [self.main.tip])
        name, flags = f"{idea.model.name} after sync", idea.model_flags
        if synced.conflicts:
            yield None
        elif synced.tree == merged.tree:
            yield replace(merged, name=name, flags=flags)
        else:
            with self.checked_out(synced.tree) as side:
                yield replace(side, name=name, flags=flags)

    def of_main(self) -> Side:
        """Return the side of main as it stands."""
        return commit_side(self.project, self.main.name, self.main.tip)

    def prove(self, idea: Idea, merged: Side) -> Parity:
        """Return both checks of one branch, whose merge stands in ``merged``."""
        off = replace(merged, name=f"{self.main.name} with {idea.branch.name} merged")
        on = replace(off, name=f"{off.name} and its flags on", flags=idea.flags)
        with self.model_of(idea, merged) as model:
            beside = [on, model] if idea.flags and model is not None else []
            sides = [self.of_main(), off, *beside]
            known = self.record(sides)
            off_check = self.compared(self.of_main(), off, known)
            ran = [one for (name, _), one in known.items() if name == off.name and not one.failure]
            off_check = replace(
                off_check,
                not_exercised=self.unseen([idea], ran),
            )
            on_check = self.on_check(idea, off, on, model, known)
        return Parity(
            branch=idea.branch.name,
            main=self.main.tip,
            tip=idea.branch.tip,
            off=off_check,
            on=on_check,
            flags=dict(idea.flags),
        )

    def on_check(
        self,
        idea: Idea,
        off: Side,
        on: Side,
        model: Side | None,
        known: Mapping[tuple[str, int], Recording],
    ) -> ParityCheck:
        """Return whether the merged tree with an idea's flags on trains like the branch that it was on."""
        if not idea.flags:
            where = experiment_path(idea.short)
            return ParityCheck(
                status=ParityStatus.NOT_RUN,
                reason=f"{where} on {idea.branch.name} switches nothing on",
                is_asked=False,
            )
        if model is None:
            return ParityCheck(
                status=ParityStatus.NOT_RUN,
                reason=f"{idea.model.name} conflicts with {self.main.name}, so there is nothing to hold it against: "
                f"branchlab sync {idea.model.name}",
            )
        check = self.compared(model, on, known, with_signature=False)
        if check.status is not ParityStatus.NEUTRAL:
            return check
        names = ", ".join(idea.flags)
        is_dead = all(
            first_difference(known[off.name, seed], known[on.name, seed]) is None
            for seed in range(self.request.seeds)
        )
        if is_dead:
            return replace(
                check, reason=f"{names} changes nothing: on and off train to the same bits"
            )
        if model.tree == on.tree:
            same = f"the merged tree is that of {model.name}, file for file"
            return replace(check, reason=f"{same}; {names} takes effect")
        return check

    def compared(
        self,
        one: Side,
        two: Side,
        known: Mapping[tuple[str, int], Recording],
        *,
        with_signature: bool = True,
    ) -> ParityCheck:
        """Return the comparison of two sides over all seeds; the first seed that differs decides."""
        found = ParityCheck(status=ParityStatus.NOT_RUN)
        for seed in range(self.request.seeds):
            ours, theirs = known[one.name, seed], known[two.name, seed]
            judge = SideBySide(
                self.recorder,
                replace(one, seed=seed),
                replace(two, seed=seed),
                with_signature=with_signature,
            )
            found = judge.check(ours, theirs)
            if found.status is not ParityStatus.NEUTRAL:
                break
        return replace(found, compared=f"{two.name}, against {one.name}")

    def record(self, sides: Sequence[Side]) -> dict[tuple[str, int], Recording]:
        """Return the recordings of some sides by name and seed."""
        asked = {
            (side.name, seed): replace(side, name=f"{side.name}, seed {seed}", seed=seed)
            for side in sides
            for seed in range(self.request.seeds)
        }
        found = self.recorder.record(list(asked.values()))
        return {key: found[side.name] for key, side in asked.items()}

    def brought_by(self, idea: Idea) -> list[ChangedPath]:
        """Return what a branch has changed since it left main."""
        root = self.project.repository.root
        start = merge_base(root, self.main.tip, idea.branch.tip)
        if start is None:
            return []
        return read_difference(root, resolve_revision(root, start)[1], idea.branch.tree)

    def unseen(self, ideas: Sequence[Idea], recordings: Sequence[Recording]) -> tuple[str, ...]:
        """Return the functions that some branches changed and that none of the recordings ran."""
        unseen: list[str] = []
        for idea in ideas:
            changes = [file_change(one) for one in self.brought_by(idea)]
            left = [set(not_exercised(changes, recording)) for recording in recordings]
            unseen += sorted(set.intersection(*left)) if left else []
        return tuple(dict.fromkeys(unseen))


def idea_of(project: Project, branch: Branch, branches: Sequence[Branch]) -> Idea:
    """Return a branch with its experiment.

    Raises:
        ConfigError: Its experiment's file cannot be used.
    """
    short = experiment_name(branch.own_name, project.config.branches.experiments)
    model = branch
    if branch.own_name.startswith(GUARD):
        short = branch.own_name.removeprefix(GUARD)
        names = {
            experiment_name(one.own_name, project.config.branches.experiments): one
            for one in branches
            if not one.own_name.startswith(GUARD)
        }
        model = names.get(short, branch)
    experiment = _experiment_at(project, branch, short)
    model_flags = experiment.flags
    if model.name != branch.name:
        model_flags = _experiment_at(project, model, short).flags
    return Idea(
        branch=branch, short=short, experiment=experiment, model=model, model_flags=model_flags
    )


def _experiment_at(project: Project, branch: Branch, short: str) -> Experiment:
    path = experiment_path(short)
    text = project.repository.read_file(branch.tip, path)
    return Experiment() if text is None else parse_experiment(text, where=f"{branch.name}:{path}")


def prove_parity(
    project: Project,
    name: str,
    request: ParityRequest,
    *,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> Parity:
    """Return what training shows of a merge of one branch into main; it is kept for ``status``.

    Raises:
        RepositoryError: There is no such branch, or its history has nothing in common with main's.
        ConfigError: There is no task, or the experiment's file cannot be used.
        KeyboardInterrupt: The user interrupted; nothing is left behind.
    """
    with ParityProof(project, request, executor=executor, tell=tell, trained_in=name) as proof:
        idea = proof.idea(name)
        union = proof.union([idea.branch.tip])
        if union.conflicts:
            found = _conflicting(proof, idea, union)
        else:
            with proof.checked_out(union.tree) as merged:
                found = proof.prove(idea, merged)
    keep_parity(project, found, steps=request.steps)
    return found


def _conflicting(proof: ParityProof, idea: Idea, union: Union) -> Parity:
    reason = f"merging {idea.branch.name} conflicts in {', '.join(union.conflicts[:3])}"
    nothing = ParityCheck(status=ParityStatus.NOT_RUN, reason=reason)
    return Parity(
        branch=idea.branch.name,
        main=proof.main.tip,
        tip=idea.branch.tip,
        off=nothing,
        on=nothing,
        flags=dict(idea.flags),
    )


def _check(request: ParityRequest) -> None:
    for option, value in (("--steps", request.steps), ("--seeds", request.seeds)):
        if value < 1:
            raise ConfigError(
                f"{option} {value}: needs at least 1", hint="see: branchlab parity --help"
            )

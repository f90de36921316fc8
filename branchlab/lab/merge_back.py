"""``merge-back``: a branch goes into main behind its flag, step by step proved; or nothing at all has changed.

Forecast, features, off-parity, on-parity, the project's own check: all happen in memory and in folders of their own. Only when
the last of them has passed is a commit made, and a branch pointed at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from branchlab.domain import (
    Feature,
    FeatureVerdict,
    MergeBack,
    Parity,
    ParityCheck,
    ParityStatus,
    Verdict,
)
from branchlab.errors import BranchlabError, ConfigError, RepositoryError
from branchlab.experiment import (
    Experiment,
    experiment_path,
    mark_landed,
    parse_experiment,
    render_experiment,
)
from branchlab.git.bring import take_along
from branchlab.git.checkouts import checkouts
from branchlab.git.memo import Tell, silently
from branchlab.git.write import (
    advance_branch,
    check_branch_name,
    commit_merge,
    create_branch,
    drop_branch,
    identity,
)
from branchlab.lab.evidence import Evidence, commit_message
from branchlab.lab.features import features_of_branches
from branchlab.lab.judge import compare
from branchlab.lab.known_parity import keep_parity
from branchlab.lab.parity import Idea, ParityProof, ParityRequest
from branchlab.lab.project import Project
from branchlab.lab.recordings import Side
from branchlab.schedule.check import run_check
from branchlab.schedule.executor import Executor

PREFIX = "merge-back/"


class Step(StrEnum):
    """What a merge has to pass, in order."""

    FORECAST = "forecast"
    FEATURES = "features"
    OFF = "off-parity"
    ON = "on-parity"
    CHECK = "check"
    COMMIT = "commit"
    MAIN = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """One step: whether it was passed, what it showed, and the next command where it was not."""

    step: Step
    is_passed: bool
    said: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """What the user asked for."""

    name: str
    parity: ParityRequest = field(default_factory=ParityRequest)
    to_main: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What became of a merge.

    Attributes:
        main: Name of main.
        made: The new branch, and ``commit`` its tip; None when a step was not passed.
        is_in_main: Whether main has been moved to it.
    """

    branch: str
    main: str
    steps: tuple[Passed, ...]
    made: str | None = None
    commit: str | None = None
    is_in_main: bool = False
    evidence: Evidence | None = None

    @property
    def is_passed(self) -> bool:
        return all(one.is_passed for one in self.steps)


_ROADS = {
    MergeBack.BREAKS_BASE: "mend the branch first: branchlab features {name}",
    MergeBack.NEEDS_FLAG: "branchlab guard {name}",
    MergeBack.DEFAULT_ON: "turn the default of its flag round: branchlab features {name}",
    MergeBack.NOTHING: "branchlab features {name}",
    MergeBack.LANDED: "branchlab retire {name}",
}


class _NotPassedError(Exception):
    """A step was not passed; the steps say which."""


class _Merge:
    """One merge, while it is made."""

    def __init__(
        self, project: Project, request: MergeRequest, proof: ParityProof, hear: Hear
    ) -> None:
        self.project = project
        self.request = request
        self.proof = proof
        self.steps: list[Passed] = []
        self._hear = hear

    def passed(self, step: Step, said: str, *, is_passed: bool = True, hint: str = "") -> None:
        done = Passed(step=step, is_passed=is_passed, said=said, hint="" if is_passed else hint)
        self.steps.append(done)
        self._hear(done)
        if not is_passed:
            raise _NotPassedError

    def features(self, idea: Idea) -> tuple[Feature, ...]:
        """Return the features when reading stands against none of them."""
        name = idea.branch.name
        found = features_of_branches(self.project, [name])[0]
        needed = found.merge_back
        counts = ", ".join(
            f"{sum(f.verdict is verdict for f in found.features)} {verdict}"
            for verdict in FeatureVerdict
            if any(f.verdict is verdict for f in found.features)
        )
        said = f"{needed}: {counts}" if counts else str(needed)
        if found.problem:
            said = found.problem
        road = _ROADS.get(needed, "").format(name=name)
        worst = min(found.features, key=lambda feature: feature.verdict.rank, default=None)
        if road and worst is not None:
            said = f"{said}; {worst.reason}"
        self.passed(Step.FEATURES, said, is_passed=not road and not found.problem, hint=road)
        return found.features

    def parity(self, idea: Idea, merged: Side, features: Sequence[Feature]) -> Parity:
        found = self.proof.prove(idea, merged)
        keep_parity(self.project, found, steps=self.request.parity.steps)
        self._judge(Step.OFF, found.off, idea)
        undecided = [f for f in features if f.verdict is FeatureVerdict.UNDECIDED]
        unseen = [f for f in undecided if f"{f.path}:{f.symbol}" in found.off.not_exercised]
        if unseen:
            self.passed(
                Step.OFF,
                f"{unseen[0].symbol} could not be judged by reading, and no step of the training ran it",
                is_passed=False,
                hint=f"branchlab guard {idea.branch.name}",
            )
        if found.on.status is ParityStatus.NOT_RUN and not idea.flags:
            self.passed(Step.ON, f"not run: {found.on.reason}")
        else:
            self._judge(Step.ON, found.on, idea)
        return found

    def _judge(self, step: Step, check: ParityCheck, idea: Idea) -> None:
        first = check.first_difference
        said = f"{check.status}, {check.steps} steps: {check.compared}"
        if first is not None:
            said = f"differs at step {first.step}, {first.stage}: {first.where}: {first.reason}"
        elif check.status is ParityStatus.NOT_RUN:
            said = f"not run: {check.reason}"
        elif check.tolerance is not None:
            said = f"{said}, within {check.tolerance:.3g} of the loss ({check.reason})"
        hint = (first.remedy if first is not None else "") or f"branchlab parity {idea.branch.name}"
        self.passed(step, said, is_passed=check.status is ParityStatus.NEUTRAL, hint=hint)

    def check_flags(self, idea: Idea, text: str) -> None:
        """Stop where main and the branch give the experiment's file other flags together than those that are proved."""
        found = parse_experiment(text, where=f"the merged {experiment_path(idea.short)}").flags
        if dict(found) != dict(idea.flags):
            said = (
                f"merged, {experiment_path(idea.short)} has other flags than on {idea.branch.name}"
            )
            hint = f"bring {self.proof.main.name} in first: branchlab sync {idea.branch.name}"
            self.passed(Step.FEATURES, said, is_passed=False, hint=hint)

    def check(self, merged: Side) -> str:
        """Run the project's own check on the merged tree; return what it said."""
        options = self.project.config.merge_back
        if not options.check:
            return ""
        done = run_check(options.check, merged.folder(), timeout_s=options.timeout_s)
        command = " ".join(options.check)
        last = done.said.splitlines()[-1] if done.said else "no output"
        said = f"{command}: {last if done.is_passed else done.said}"
        hint = f"run it on the branch: {command}"
        self.passed(Step.CHECK, said, is_passed=done.is_passed, hint=hint)
        return f"{command}: {last}"


Hear = Callable[[Passed], None]


def merge_back(
    project: Project,
    request: MergeRequest,
    *,
    executor: Executor | None = None,
    tell: Tell = silently,
    hear: Hear = lambda _: None,
) -> Merged:
    """Merge a branch into main on a branch of its own, or say which step stands against it.

    Args:
        project: Where.
        request: The branch, and how far to go.
        executor: The caller's own when one is given.
        tell: Hears what takes long.
        hear: Hears of each step as it is done.

    Raises:
        RepositoryError: There is no such branch, the new one exists already, or git does not know who the user is.
        ConfigError: There is no task, or the experiment's file cannot be used.
        KeyboardInterrupt: The user interrupted; nothing has changed.
    """
    name = request.name
    with ParityProof(
        project, request.parity, executor=executor, tell=tell, trained_in=name
    ) as proof:
        idea = proof.idea(name)
        made = f"{PREFIX}{idea.short}"
        _check_can_begin(project, proof, idea, made, to_main=request.to_main)
        merge = _Merge(project, request, proof, hear)
        try:
            return _carried_out(merge, idea, made)
        except _NotPassedError:
            return Merged(branch=idea.branch.name, main=proof.main.name, steps=tuple(merge.steps))


def _check_can_begin(
    project: Project, proof: ParityProof, idea: Idea, made: str, *, to_main: bool
) -> None:
    """Raise before anything is trained where the last step could not be taken."""
    check_branch_name(project.repository, made)
    taken = project.repository.tip_of(made)
    if taken is not None:
        raise RepositoryError(
            f"the branch '{made}' exists already at {taken[:10]}",
            hint=f"look at it: git log {made}, or remove it: git branch -D {made}",
        )
    identity(project.repository)
    for place in checkouts(project.repository).get(proof.main.name, ()) if to_main else ():
        if place.operation:
            raise RepositoryError(
                f"a {place.operation} is under way in {place.path}, where {proof.main.name} is checked out",
                hint="finish it, or leave --to-main out",
            )
        brought = {
            path for one in proof.brought_by(idea) for path in (one.base.path, one.head.path)
        }
        brought.add(experiment_path(idea.short))
        in_the_way = [p for p in project.repository.dirty_paths(at=place.path) if p in brought]
        if in_the_way:
            raise RepositoryError(
                f"{in_the_way[0]} has uncommitted changes in {place.path}, and the merge brings it to {proof.main.name}",
                hint="commit or stash them, or leave --to-main out",
            )


def _carried_out(merge: _Merge, idea: Idea, made: str) -> Merged:
    project, proof, request = merge.project, merge.proof, merge.request
    union = proof.union([idea.branch.tip])
    files = ", ".join(union.conflicts[:3])
    merge.passed(
        Step.FORECAST,
        f"conflicts in {files}" if union.conflicts else "the merge is clean",
        is_passed=not union.conflicts,
        hint=f"bring {proof.main.name} in by hand: git switch {idea.branch.name} && git merge {proof.main.name}",
    )
    features = merge.features(idea)
    with proof.checked_out(union.tree) as merged:
        text = _experiment_in(merged, idea, proof)
        merge.check_flags(idea, text)
        parity = merge.parity(idea, merged, features)
        checked = merge.check(merged)
    evidence = Evidence(
        branch=idea.branch.name,
        short=idea.short,
        title=idea.experiment.title or idea.short,
        idea=idea.experiment.idea,
        main=proof.main.name,
        parity=parity,
        features=features,
        verdict=_verdict(project, idea),
        metric=project.config.run.metric,
        check=checked,
    )
    commit = _commit(merge, idea, made, evidence, proved=union.tree, text=text)
    found = Merged(
        branch=idea.branch.name,
        main=proof.main.name,
        steps=tuple(merge.steps),
        made=made,
        commit=commit,
        evidence=evidence,
    )
    if not request.to_main:
        return found
    try:
        complaint = _advance(project, proof, commit)
    except BaseException:
        drop_branch(project.repository, made, commit)
        raise
    if complaint:
        drop_branch(project.repository, made, commit)
        merge.passed(Step.MAIN, complaint, is_passed=False, hint="the same command again")
    merge.passed(Step.MAIN, f"{proof.main.name} is at {commit[:10]}")
    return replace(found, steps=tuple(merge.steps), is_in_main=True)


def _verdict(project: Project, idea: Idea) -> Verdict | None:
    """Return what runs say of the experiment against main; None without any."""
    try:
        found = compare(project, [idea.model.name])
    except ConfigError:
        return None
    return found.judged[0].verdict if found.judged else None


def _experiment_in(merged: Side, idea: Idea, proof: ParityProof) -> str:
    """Return the experiment's file as the merge has it, which may be neither main's nor the branch's; a new one where it has none."""
    place = merged.folder() / experiment_path(idea.short)
    if place.is_file() and not place.is_symlink():
        return place.read_text(encoding="utf-8", errors="surrogateescape")
    return render_experiment(Experiment(title=idea.short, base=proof.main.name))


def _commit(
    merge: _Merge, idea: Idea, made: str, evidence: Evidence, *, proved: str, text: str
) -> str:
    """Build the commit whose tree is the one that was proved, with the experiment marked as landed, and point a branch at it."""
    project, proof = merge.project, merge.proof
    path = experiment_path(idea.short)
    landed = mark_landed(
        text,
        where=f"{idea.branch.name}:{path}",
        at=datetime.now(UTC),
        onto=proof.main.tip,
        branch=idea.model.name,
        tip=idea.model.tip,
    )
    commit, tree = commit_merge(
        project.repository,
        proof.main.tip,
        idea.branch.tip,
        files={path: landed},
        message=commit_message(evidence),
    )
    if tree != proved:
        raise BranchlabError(
            f"git gives another merge now than the one that was proved ({tree[:10]}, {proved[:10]})",
            hint="did git or its config change meanwhile? try again",
        )
    create_branch(project.repository, made, commit)
    merge.passed(Step.COMMIT, f"{made} is at {commit[:10]}")
    return commit


def _advance(project: Project, proof: ParityProof, commit: str) -> str:
    """Move main forward; return why it could not be, or nothing."""
    main = proof.main
    if project.repository.tip_of(main.name) != main.tip:
        return f"{main.name} has moved meanwhile"
    places = checkouts(project.repository).get(main.name, ())
    if places:
        return take_along(places[0].path, commit)
    why = f"branchlab merge-back: {commit[:10]}"
    try:
        advance_branch(project.repository, main.name, before=main.tip, after=commit, why=why)
    except RepositoryError as error:
        return error.message
    return ""

"""``hypotheses``: what the recorded runs say of what experiments claim.

Claims are read and judged only where a figure is new: results are kept by the hypotheses, the runs and the rest of the
comparison, so that ``status`` need not load the grammar.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from branchlab.analysis.claims.claim import MAIN, REFERENCE, Claim, Estimand, estimands_of
from branchlab.analysis.claims.grammar import parse_claim
from branchlab.analysis.claims.hypotheses import judge_hypothesis, remark
from branchlab.analysis.results import BranchResults, Recorded, Subject, when_planned
from branchlab.domain import (
    Branch,
    Hypothesis,
    HypothesisState,
    JudgedClaim,
    JudgedHypothesis,
    Registration,
    Run,
    RunRecord,
    RunState,
)
from branchlab.errors import ClaimError, ConfigError, nearest
from branchlab.experiment import Experiment, experiment_name, experiment_path
from branchlab.lab.branches import (
    all_branches,
    deleted_branches,
    experiments_of,
    find_branches,
    is_experiment,
    is_experiment_name,
    main_branch,
    reference_branch,
)
from branchlab.lab.claim_figures import ClaimFigures, Scene
from branchlab.lab.judge import Judged, judge_all, subjects_of, subjects_without_flags
from branchlab.lab.own_script import taken_from_main
from branchlab.lab.project import Project
from branchlab.lab.registration import Registered, registered
from branchlab.store.index import Index

_KIND = "hypotheses-2"
"""Raise the number when the method changes."""
_USUAL = ("train/loss", "val/loss", "val/accuracy")
"""What the shared trainer records of a task that adds nothing."""
_LOG_IT = "log it (Task.metrics, branchlab.log)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchHypotheses:
    """What the hypotheses of a branch came to.

    Attributes:
        remark: Where hypotheses and the verdict on the project's metric disagree, in words.
        problem: Why its experiment file cannot be read; empty when it can.
        file: Where they stand on the branch.
        is_of_tip: Whether the runs that judge them are of the branch's present content.
    """

    name: str
    judged: tuple[JudgedHypothesis, ...] = ()
    remark: str = ""
    problem: str = ""
    file: str = ""
    is_of_tip: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """What verdicts were made of: the same runs judge hypotheses. ``frozen`` is the reference, where there is one."""

    main: Subject
    frozen: Subject | None
    judged: Mapping[str, Judged]
    records: Sequence[RunRecord]
    taken: Mapping[str, str]


def hypotheses(project: Project, names: Sequence[str] = ()) -> tuple[BranchHypotheses, ...]:
    """Return the hypotheses of branches (all experiments unless named) with their evidence.

    Branches without one are left out unless they are named.

    Raises:
        RepositoryError: A branch is unknown.
    """
    refs = project.repository.refs()
    branches = all_branches(project, refs)
    main = main_branch(project, branches)
    index = project.index()
    records = index.runs()
    gone = deleted_branches(project, records, branches)
    open_ones = [branch for branch in branches if is_experiment(project, branch)]
    wanted = find_branches(project, names, [*branches, *gone]) if names else open_ones
    family = list({b.name: b for b in [*open_ones, *gone, *wanted] if b.name != main.name}.values())
    experiments = experiments_of(project, family)
    subjects = subjects_of(project, family, experiments, records)
    taken = taken_from_main(project, main)
    frozen = reference_branch(project, refs)
    ends = [main, *([frozen] if frozen is not None else [])]
    on_main, *on_frozen = subjects_without_flags(project, ends)
    judged = judge_all(
        records,
        subjects,
        on_main,
        metric=project.config.run.metric,
        project=project,
        taken=taken,
    )
    seen = Comparisons(
        main=on_main,
        frozen=replace(on_frozen[0], branch=frozen.own_name) if frozen is not None else None,
        judged=judged,
        records=records,
        taken=taken,
    )
    found = judge_hypotheses(project, family, experiments, seen, index=index)
    index.close()
    empty = {branch.name: BranchHypotheses(name=branch.name) for branch in wanted if names}
    return tuple((empty | found)[b.name] for b in wanted if b.name in empty | found)


def judge_hypotheses(
    project: Project,
    branches: Sequence[Branch],
    experiments: Mapping[str, Experiment | ConfigError],
    seen: Comparisons,
    *,
    index: Index,
) -> dict[str, BranchHypotheses]:
    """Return the hypotheses of branches that have any, by branch."""
    found = {
        branch.name: BranchHypotheses(name=branch.name, problem=error.message)
        for branch in branches
        if isinstance(error := experiments.get(branch.name), ConfigError)
    }
    stated = registered(project, branches, experiments, seen.records, _renamed(project, seen))
    if not stated:
        return found
    files = {branch.name: _file_of(project, branch) for branch in branches}
    scene = _scene(project, seen)
    of_lab = _digest_of_lab(project, seen, scene)
    keys = {name: _key(of_lab, seen.judged.get(name), ones) for name, ones in stated.items()}
    kept = project.memo().get(_KIND, list(keys.values()))
    figures = ClaimFigures(index, scene)
    new = {}
    for name, ones in stated.items():
        known = _decoded(name, kept[keys[name]]) if keys[name] in kept else None
        if known is None:
            known = _judged(
                name, ones, seen.judged.get(name), figures, scene, main=seen.main.branch
            )
            new[keys[name]] = _encoded(known)
        results = seen.judged[name].results if name in seen.judged else BranchResults()
        is_old = bool(results.records) and not results.is_of_tip
        found[name] = replace(known, file=files[name], is_of_tip=not is_old)
    project.memo().put(_KIND, new)
    return found


def _renamed(project: Project, seen: Comparisons) -> dict[str, Run]:
    """Return the first run of each branch that ran under a name that is gone, and never under its own."""
    ran = {record.run.branch for record in seen.records}
    is_gone: dict[str, bool] = {}
    found = {}
    for name, one in seen.judged.items():
        if name in ran:
            continue
        for record in sorted(one.results.records, key=when_planned):
            old = record.run.branch
            if old not in is_gone:
                is_gone[old] = is_experiment_name(project, old) and not project.repository.tip_of(
                    old
                )
            if is_gone[old]:
                found[name] = record.run
                break
    return found


def unrecorded(
    project: Project, branches: Sequence[Branch], index: Index, records: Sequence[RunRecord]
) -> tuple[str, ...]:
    """Say before a run what its hypotheses need that no run has recorded, and which of them cannot be read."""
    found: list[str] = []
    files = {branch.name: _file_of(project, branch) for branch in branches}
    for name, experiment in experiments_of(project, branches).items():
        where = f"{name}:{files[name]}"
        if not isinstance(experiment, Experiment):
            continue
        for one in experiment.hypotheses:
            if one.damage:
                found.append(f"{where}: {one.id} is damaged: {one.damage}")
            for key, text in [*one.expect.items(), *one.guard.items()]:
                claim = _read(text)
                if isinstance(claim, ClaimError):
                    found.append(f"{where}: {one.id}.{key} cannot be read: {claim.message}")
                    continue
                found += [
                    f"{name}: {one.id}.{key} needs {said}"
                    for estimand in estimands_of(claim)
                    if (said := _unrecorded(project, estimand, index, records))
                ]
    return tuple(dict.fromkeys(found))


def _file_of(project: Project, branch: Branch) -> str:
    patterns = project.config.branches.experiments
    return experiment_path(experiment_name(branch.own_name, patterns))


def _unrecorded(
    project: Project, estimand: Estimand, index: Index, records: Sequence[RunRecord]
) -> str:
    """Return what an estimand lacks; empty where some run has recorded it, or would without being asked to."""
    names = index.metric_names()
    if not names:
        config = project.config
        usual = (*_USUAL, config.run.metric, config.baseline.metric)
        # Nothing has run: which parts there are nobody knows yet.
        return "" if estimand.metric in usual else f"{estimand.name}; {_LOG_IT}"
    done = BranchResults(records=tuple(r for r in records if r.state is RunState.DONE))
    if estimand.name in names or done.seeds(estimand.name):
        return ""
    return f"{estimand.name}, which no run has recorded: {nearest(estimand.name, names)}{_LOG_IT}"


def _read(text: str) -> Claim | ClaimError:
    try:
        return parse_claim(text)
    except ClaimError as error:
        return error


def _judged(
    name: str,
    ones: Sequence[Registered],
    judged: Judged | None,
    figures: ClaimFigures,
    scene: Scene,
    *,
    main: str,
) -> BranchHypotheses:
    found = []
    for one in ones:
        texts = {*one.hypothesis.expect.values(), *one.hypothesis.guard.values()}
        claims = {text: claim for text in texts if not isinstance(claim := _read(text), ClaimError)}
        found.append(
            judge_hypothesis(
                one.hypothesis,
                {text: figures.measured(name, claim) for text, claim in claims.items()},
                registration=one.registration,
                original=one.original,
            )
        )
    outcome = judged.verdict.outcome if judged and judged.verdict else None
    said = remark(found, outcome, metric=scene.metric, main=main)
    return BranchHypotheses(name=name, judged=tuple(found), remark=said)


def _scene(project: Project, seen: Comparisons) -> Scene:
    patterns = project.config.branches.experiments
    subjects = {name: one.subject for name, one in seen.judged.items()}
    others = {experiment_name(name, patterns): one for name, one in subjects.items()} | subjects
    if seen.frozen is not None:
        others |= {seen.frozen.branch: seen.frozen, REFERENCE: seen.frozen}
    others |= {seen.main.branch: seen.main, MAIN: seen.main}
    return Scene(
        judged=seen.judged,
        others=others,
        recorded=Recorded(seen.records),
        taken=seen.taken,
        metric=project.config.run.metric,
        goal=project.config.run.goal,
    )


def _digest_of_lab(project: Project, seen: Comparisons, scene: Scene) -> str:
    """Return a digest of all that any claim can be held against: what a run that is done has measured never changes."""
    run = project.config.run
    content = [
        [(record.run.id, record.state is RunState.DONE) for record in seen.records],
        sorted((name, repr(subject)) for name, subject in scene.others.items()),
        sorted(seen.taken.items()),
        [run.metric, run.goal, seen.main.branch],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _key(of_lab: str, judged: Judged | None, ones: Sequence[Registered]) -> str:
    outcome = judged.verdict.outcome if judged and judged.verdict else None
    name = judged.subject.branch if judged else ""
    content = repr([of_lab, name, outcome, ones])
    return hashlib.sha256(content.encode()).hexdigest()


def _encoded(found: BranchHypotheses) -> bytes:
    return json.dumps([found.remark, [asdict(one) for one in found.judged]]).encode()


def _decoded(name: str, content: bytes) -> BranchHypotheses | None:
    """Return what was kept; None when it is damaged, or of another version."""
    try:
        said, rows = json.loads(content)
        return BranchHypotheses(name=name, judged=tuple(map(_one, rows)), remark=said)
    except (ValueError, TypeError, KeyError):
        return None


def _one(row: dict[str, Any]) -> JudgedHypothesis:
    original = row["original"]
    return JudgedHypothesis(
        **{
            **row,
            "hypothesis": Hypothesis(**row["hypothesis"]),
            "state": HypothesisState(row["state"]),
            "registration": Registration(row["registration"]),
            "expect": tuple(map(_finding, row["expect"])),
            "guard": tuple(map(_finding, row["guard"])),
            "original": original and Hypothesis(**original),
        }
    )


def _finding(row: dict[str, Any]) -> JudgedClaim:
    interval = row["interval"]
    return JudgedClaim(
        **{
            **row,
            "state": HypothesisState(row["state"]),
            "interval": interval and tuple(interval),
        }
    )

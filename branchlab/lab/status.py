"""``status``: where every branch stands against main and the reference, and how it did."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from branchlab.analysis.recommendation import recommendation
from branchlab.analysis.results import BranchResults, Subject, freshness, results_of
from branchlab.domain import (
    Action,
    Branch,
    FeatureVerdict,
    Flags,
    Freshness,
    Goal,
    Landed,
    MergeBack,
    Overview,
    Parity,
    Recommendation,
    RunState,
    Standing,
    Verdict,
    merge_back_of,
)
from branchlab.errors import ConfigError
from branchlab.experiment import (
    FOLDER,
    Experiment,
    experiment_name,
    experiment_path,
    parse_experiment,
)
from branchlab.git.memo import Tell, silently
from branchlab.git.sources import paths_below
from branchlab.lab.branch_features import feature_counts
from branchlab.lab.branches import (
    all_branches,
    deleted_branches,
    experiments_of,
    find_branches,
    is_experiment,
    main_branch,
    moved_reference,
    reference_branch,
)
from branchlab.lab.dependencies import dependencies_changed
from branchlab.lab.judge import Judged, judge_all, subjects_of
from branchlab.lab.known_parity import known_parities
from branchlab.lab.own_script import taken_from_main
from branchlab.lab.project import Project
from branchlab.lab.samples import other_sample
from branchlab.lab.survey import survey
from branchlab.lab.words import few, notes

_STALE_AFTER = timedelta(days=30)
_READING_MAX = 40
"""Reading a branch's code takes 0.1 s the first time: where more are new, that is left to ``branchlab features``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchStatus:
    """One branch of the overview.

    Attributes:
        mean: Of the metric over the seeds that are done; None without any.
        features: How many have which verdict; None where the code has not been read yet.
        flags: What its experiment switches on.
        is_landed_as_flag: Whether main's copy of its experiment's file says that this tip has landed.
        parity: What training has shown of merging this tip into today's main; None where that was not asked.
        notes: What else is to be known, in a few words each.
        dependencies_changed: Files in which it changes what the project depends on, since it left main.
        given_up: Why the idea was dropped, as its last note says; "" while it is open.
        num_done: Of the results shown; ``num_running`` counts every run of the branch.
    """

    standing: Standing
    title: str
    freshness: Freshness
    results: BranchResults
    verdict: Verdict | None
    mean: float | None
    num_done: int
    num_running: int
    num_failed: int
    is_stale: bool
    features: Mapping[FeatureVerdict, int] | None = None
    merge_back: MergeBack | None = None
    recommendation: Recommendation
    notes: tuple[str, ...] = ()
    flags: Flags = field(default_factory=dict)
    is_landed_as_flag: bool = False
    parity: Parity | None = None
    dependencies_changed: tuple[str, ...] = ()
    given_up: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole overview.

    Attributes:
        warnings: What the user should know before reading on, in sentences.
        repin_reason: Why the reference was pinned anew; empty while it stands where it was frozen.
    """

    overview: Overview
    metric: str
    goal: Goal
    main_results: BranchResults
    reference_results: BranchResults
    branches: tuple[BranchStatus, ...]
    warnings: tuple[str, ...]
    repin_reason: str = ""


def status(
    project: Project,
    names: Sequence[str] = (),
    *,
    with_deleted: bool = False,
    tell: Tell = silently,
) -> Status:
    """Return the overview, of all experiments or of some branches.

    Args:
        project: Whose.
        names: Only these branches.
        with_deleted: Also branches that were deleted and have recorded runs.
        tell: Hears what takes long.

    Raises:
        RepositoryError: Main or a named branch is missing.
    """
    config = project.config
    refs = project.repository.refs()
    known = all_branches(project, refs)
    main = main_branch(project, known)
    records = project.index().runs()
    branches = [branch for branch in known if is_experiment(project, branch)]
    gone = deleted_branches(project, records, known)
    named = find_branches(project, names, [*known, *gone]) if names else []
    experiments = experiments_of(project, [*branches, *gone])
    subjects = subjects_of(project, [*branches, *gone], experiments, records)
    branches += gone if with_deleted or names else []
    metric = config.run.metric
    frozen = reference_branch(project, refs)
    ends = [main, *([frozen] if frozen is not None else [])]
    subject_of_main, *frozen_subjects = subjects_of(
        project, ends, {branch.name: Experiment() for branch in ends}, []
    )
    taken = taken_from_main(project, main)
    judged = (
        judge_all(records, subjects, subject_of_main, metric=metric, project=project, taken=taken)
        if records
        else {}
    )
    measured = {
        name: one.results.records[0].run.commit
        for name, one in judged.items()
        if one.results.records
    }
    seen = survey(project, refs, experiments, branches, measured=measured, tell=tell)
    shown = [s for s in seen.standings if not named or s.branch in named]
    on_main = _experiments_on_main(project, main, [standing.branch for standing in shown])
    proved = known_parities(project, main.tip, {s.branch.name: s.branch.tip for s in shown})
    changed = dependencies_changed(project, shown)
    counts = feature_counts(project, shown, reading_max=_READING_MAX, tell=tell)
    running = Counter(r.run.branch for r in records if r.state is RunState.RUNNING)
    reference = config.branches.reference
    on_reference = next(
        (replace(one, branch=reference) for one in frozen_subjects),
        Subject(branch=reference, tree=""),
    )
    found = [
        _branch_status(
            standing,
            experiments[standing.branch.name],
            judged.get(standing.branch.name),
            metric=metric,
            num_running=running[standing.branch.name],
            features=counts.get(standing.branch.name),
            words=notes(standing, main=main.name, root=project.repository.root),
            dependencies=changed.get(standing.branch.name, ()),
            landed=on_main.get(standing.branch.name, Experiment()),
            parity=proved.get(standing.branch.name),
        )
        for standing in shown
    ]
    return Status(
        overview=seen,
        metric=metric,
        goal=config.run.goal,
        main_results=results_of(subject_of_main, records, taken=taken),
        reference_results=results_of(on_reference, records, taken=taken),
        branches=tuple(sorted(found, key=_urgency)),
        warnings=_warnings(project, seen, frozen, experiments.values(), found),
        repin_reason=config.branches.reference_reason,
    )


def _branch_status(  # noqa: PLR0913  what one row is made of
    standing: Standing,
    experiment: Experiment | ConfigError,
    judged: Judged | None,
    *,
    metric: str,
    num_running: int,
    features: Mapping[FeatureVerdict, int] | None,
    words: Sequence[str],
    dependencies: tuple[str, ...],
    landed: Experiment,
    parity: Parity | None,
) -> BranchStatus:
    results = judged.results if judged else BranchResults()
    values = list(results.seeds(metric).values())
    fresh = freshness(results, judged.against) if judged else Freshness.NONE
    verdict = judged.verdict if judged else None
    flags = experiment.flags if isinstance(experiment, Experiment) else {}
    is_as_flag = landed.landed is not None and landed.landed.tip == standing.branch.tip
    merge_back = MergeBack.LANDED if is_as_flag else _merge_back(standing, features, parity)
    is_on_main = merge_back is MergeBack.LANDED and bool(landed.flags)
    given_up = experiment.given_up if isinstance(experiment, Experiment) else ""
    dropped = [f"dropped: {given_up}"] if given_up else []
    behind = [f"on main behind {', '.join(landed.flags)}"] if is_on_main else []
    changed = [f"other dependencies: {few(dependencies)}"] if dependencies else []
    if judged is not None and other_sample(results, judged.against, against="main"):
        changed.append("another sample")
    return BranchStatus(
        standing=standing,
        title=experiment.title if isinstance(experiment, Experiment) else "",
        freshness=fresh,
        results=results,
        verdict=verdict,
        mean=sum(values) / len(values) if values else None,
        num_done=results.count(RunState.DONE),
        num_running=num_running,
        num_failed=results.count(RunState.FAILED, RunState.LOST),
        is_stale=_is_stale(standing),
        features=features,
        merge_back=merge_back,
        recommendation=Recommendation(action=Action.NOTHING, reason=f"given up: {given_up}")
        if given_up
        else recommendation(standing, merge_back, verdict, fresh, parity=parity),
        notes=(*dropped, *behind, *changed, *words),
        flags=flags,
        is_landed_as_flag=is_as_flag,
        parity=parity,
        dependencies_changed=dependencies,
        given_up=given_up,
    )


def _experiments_on_main(
    project: Project, main: Branch, branches: Sequence[Branch]
) -> dict[str, Experiment]:
    """Return, by branch, what main's copy of its experiment's file says; those without one, or a damaged one, are left out."""
    patterns = project.config.branches.experiments
    paths = {
        branch.name: experiment_path(experiment_name(branch.own_name, patterns))
        for branch in branches
    }
    there = set(paths_below(project.repository.root, main.tip, FOLDER)) if paths else set()
    texts = project.repository.read_files((main.tip, path) for path in there & set(paths.values()))
    found = {}
    for name, path in paths.items():
        text = texts.get((main.tip, path))
        if text is not None:
            with contextlib.suppress(ConfigError):
                found[name] = parse_experiment(text, where=f"{main.name}:{path}")
    return found


def _merge_back(
    standing: Standing, features: Mapping[FeatureVerdict, int] | None, parity: Parity | None
) -> MergeBack | None:
    """Return what the branch needs; None while its code has not been read.

    What reading could not decide, training has: when every changed function ran and main stayed what it was.
    """
    if standing.landed in {Landed.MERGED, Landed.SQUASHED, Landed.REBASED}:
        return MergeBack.LANDED
    if standing.has_content is False:
        return MergeBack.NOTHING
    found = None if features is None else merge_back_of(features.keys())
    is_shown = parity is not None and parity.holds and not parity.off.not_exercised
    return MergeBack.READY if found is MergeBack.NEEDS_PARITY and is_shown else found


def _urgency(branch: BranchStatus) -> tuple[int, float]:
    """Let what did well and waits rise to the top, the longest wait first; all else keeps its order."""
    if not branch.recommendation.action.is_waiting:
        return 1, 0.0
    return 0, branch.standing.branch.last_commit_at.timestamp()


def _is_stale(standing: Standing) -> bool:
    """Whether nobody has touched a branch for a month while main went on."""
    idle = datetime.now(UTC) - standing.branch.last_commit_at
    is_open = standing.landed is Landed.NO and not standing.branch.is_gone
    return is_open and bool(standing.main.behind) and idle > _STALE_AFTER


def _warnings(
    project: Project,
    seen: Overview,
    frozen: Branch | None,
    experiments: Iterable[Experiment | ConfigError],
    branches: Sequence[BranchStatus],
) -> tuple[str, ...]:
    found = [moved_reference(project, frozen)]
    if project.repository.is_shallow():
        found.append(
            "this clone is shallow: where branches stand is unknown; fetch the rest with: git fetch --unshallow"
        )
    if project.repository.is_partial():
        found.append(
            "this clone is partial: where it lacks a file, merges are unknown and patches are not compared; "
            "fetch all with: git fetch --refetch --no-filter"
        )
    if seen.reference is not None and seen.reference.remote:
        found.append(
            f"the reference is {seen.reference.name}, as of the last fetch: there is no local branch"
        )
    found += [
        f"{error.message}; {error.hint}" for error in experiments if isinstance(error, ConfigError)
    ]
    num_unread = sum(
        branch.merge_back is None for branch in branches if branch.standing.conflicts is not None
    )
    if num_unread:
        found.append(
            f"the code of {num_unread} branches has not been read yet; read it with: branchlab features"
        )
    return tuple(sentence for sentence in found if sentence)

"""``status``: where every branch stands against main and the reference, and how it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from branchlab.analysis.landing import landed
from branchlab.analysis.results import BranchResults, Subject, freshness, results_of
from branchlab.config import CONFIG_NAME
from branchlab.domain import (
    Freshness,
    Goal,
    Landed,
    Overview,
    RunRecord,
    RunState,
    Standing,
    Verdict,
)
from branchlab.errors import ConfigError
from branchlab.experiment import Experiment
from branchlab.git.standing import overview
from branchlab.lab.judge import Judged, judge_all, subject_of
from branchlab.lab.project import Project, experiments_of, find_branches

_STALE_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchStatus:
    """One branch of the overview.

    Attributes:
        mean: Of the metric over the seeds that are done; None without any.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole overview.

    Attributes:
        warnings: What the user should know before reading on, in sentences.
    """

    overview: Overview
    metric: str
    goal: Goal
    main_results: BranchResults
    reference_results: BranchResults
    branches: tuple[BranchStatus, ...]
    warnings: tuple[str, ...]


def status(project: Project, names: Sequence[str] = ()) -> Status:
    """Return the overview, of all experiments or of some branches.

    Raises:
        RepositoryError: Main or a named branch is missing.
    """
    config = project.config
    seen = overview(
        project.repository,
        main=config.branches.main,
        reference=config.branches.reference or None,
        pinned=config.branches.reference_commit or None,
        experiments=config.branches.experiments,
        landed=landed,
    )
    standings = seen.standings
    named = find_branches(project, names, project.repository.branches()) if names else []
    wanted = {branch.name for branch in named}
    metric = config.run.metric
    records = project.index().runs()
    branches = [standing.branch for standing in standings]
    experiments = experiments_of(project, branches)
    main = Subject(branch=seen.main.name, tree=seen.main.tree)
    subjects = [subject_of(branch, experiments[branch.name]) for branch in branches]
    judged = judge_all(records, subjects, main, metric=metric, config=config) if records else {}
    running = Counter(r.run.branch for r in records if r.state is RunState.RUNNING)
    reference = Subject(
        branch=config.branches.reference, tree=_reference_tree(project, seen, records)
    )
    return Status(
        overview=seen,
        metric=metric,
        goal=config.run.goal,
        main_results=results_of(main, records),
        reference_results=results_of(reference, records),
        branches=tuple(
            _branch_status(
                standing,
                experiments[standing.branch.name],
                judged.get(standing.branch.name),
                metric=metric,
                num_running=running[standing.branch.name],
            )
            for standing in standings
            if not names or standing.branch.name in wanted
        ),
        warnings=_warnings(project, seen, experiments.values()),
    )


def _reference_tree(project: Project, seen: Overview, records: Sequence[RunRecord]) -> str:
    if seen.reference is None or not records:
        return ""
    return project.repository.tree_of(seen.reference.tip)


def _branch_status(
    standing: Standing,
    experiment: Experiment | ConfigError,
    judged: Judged | None,
    *,
    metric: str,
    num_running: int,
) -> BranchStatus:
    results = judged.results if judged else BranchResults()
    values = list(results.seeds(metric).values())
    return BranchStatus(
        standing=standing,
        title=experiment.title if isinstance(experiment, Experiment) else "",
        freshness=freshness(results, judged.against) if judged else Freshness.NONE,
        results=results,
        verdict=judged.verdict if judged else None,
        mean=sum(values) / len(values) if values else None,
        num_done=results.count(RunState.DONE),
        num_running=num_running,
        num_failed=results.count(RunState.FAILED, RunState.LOST),
        is_stale=_is_stale(standing),
    )


def _is_stale(standing: Standing) -> bool:
    """Whether nobody has touched a branch for a month while main went on."""
    idle = datetime.now(UTC) - standing.branch.last_commit_at
    return standing.landed is Landed.NO and bool(standing.main.behind) and idle > _STALE_AFTER


def _warnings(
    project: Project, seen: Overview, experiments: Iterable[Experiment | ConfigError]
) -> tuple[str, ...]:
    known = project.config.branches
    found = []
    if seen.reference is None and known.reference:
        found.append(
            f"the reference branch '{known.reference}' does not exist; "
            f"make it again with: git branch {known.reference} {known.reference_commit or 'COMMIT'}"
        )
    elif seen.reference is not None and seen.reference.is_moved:
        found.append(
            f"the frozen reference '{seen.reference.name}' MOVED: it is at {seen.reference.tip[:10]}, pinned at "
            f"{(seen.reference.pinned or '')[:10]} in {CONFIG_NAME}; "
            f"put it back with: git branch -f {seen.reference.name} {(seen.reference.pinned or '')[:10]}"
        )
    found += [
        f"{error.message}; {error.hint}" for error in experiments if isinstance(error, ConfigError)
    ]
    return tuple(found)

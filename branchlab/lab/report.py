"""``report``: everything that is known of a lab, or of some of its branches, as one value that a page can show."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from branchlab.domain import RunState
from branchlab.errors import ConfigError, RepositoryError
from branchlab.git.memo import Tell, silently
from branchlab.lab.branches import is_experiment_name
from branchlab.lab.curves import Chart, charts_of
from branchlab.lab.feature_reading import BranchFeatures
from branchlab.lab.features import features_seen
from branchlab.lab.journal import Journal, journal
from branchlab.lab.judge import Comparison, compare
from branchlab.lab.judge_slices import SlicedBranch, judge_slices
from branchlab.lab.pictures import Pictures, pictures_of
from branchlab.lab.progress import follow
from branchlab.lab.project import Project
from branchlab.lab.relations import ExperimentMap, experiment_map
from branchlab.lab.status import BranchStatus, Status, status

_EVERY_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A lab at one moment.

    Attributes:
        name: Of the project: that of its folder.
        asked_for: The branches that it is about; empty for all.
        branches: Of ``status``, the best first, those without a verdict last.
        min_effect: The difference that matters.
        comparison: None where there is nothing to compare.
        features: Of the branches whose code has been read, by branch.
        map: None where no experiment is asked for.
        warnings: What the reader should know before reading on, in sentences.
        num_running: Runs that are under way, of whichever branch.
    """

    name: str
    at: datetime
    asked_for: tuple[str, ...]
    status: Status
    branches: tuple[BranchStatus, ...]
    min_effect: float
    comparison: Comparison | None
    slices: tuple[SlicedBranch, ...] = ()
    charts: tuple[Chart, ...] = ()
    features: Mapping[str, BranchFeatures] = field(default_factory=dict)
    map: ExperimentMap | None = None
    journal: Journal = field(default_factory=lambda: Journal(entries=()))
    pictures: Pictures = field(default_factory=Pictures)
    warnings: tuple[str, ...] = ()
    num_running: int = 0


def report(
    project: Project,
    names: Sequence[str] = (),
    *,
    with_pictures: bool = True,
    tell: Tell = silently,
) -> Report:
    """Return what is known of all experiments, or of some.

    Args:
        project: Whose.
        names: Only these branches.
        with_pictures: Whether pictures are read.
        tell: Hears what takes long.

    Raises:
        RepositoryError: Main or a named branch is missing, or none of those named is an experiment.
    """
    whole = status(project, with_deleted=True, tell=tell)
    shown = status(project, names, tell=tell) if names else _without_deleted(whole)
    main = shown.overview.main.name
    branches = _best_first([one for one in shown.branches if _name(one) != main], shown)
    if names and not branches:
        raise RepositoryError(
            f"{', '.join(names)}: no experiment; main and the reference are on every page",
            hint="name experiments, or none for all of them: branchlab report",
        )
    compared, problem = _compared(project, branches)
    by_name = {one.subject.branch: one for one in compared.judged} if compared else {}
    judged = [by_name[_name(one)] for one in branches if _name(one) in by_name]
    index = project.index()
    charts = charts_of(judged, index.epoch_curves(shown.metric), main=main)
    records = index.runs()
    index.close()
    own_names = [one.standing.branch.own_name for one in branches]
    experiments = [name for name in own_names if is_experiment_name(project, name)]
    known = [s.standing for s in branches if s.features is not None]
    wanted = experiments if names else []
    told = journal(project, wanted) if experiments or not names else Journal(entries=())
    drawn = experiment_map(project, wanted, seen=whole) if experiments or not names else None
    complaints = (*told.complaints, *(drawn.complaints if drawn is not None else ()))
    warnings = dict.fromkeys((*shown.warnings, *([problem] if problem else []), *complaints))
    return Report(
        name=project.repository.root.name,
        at=datetime.now(UTC),
        asked_for=tuple(_name(one) for one in branches) if names else (),
        status=shown,
        branches=branches,
        min_effect=project.config.run.min_effect,
        comparison=compared,
        slices=judge_slices(project, compared) if compared is not None else (),
        charts=charts,
        features={one.name: one for one in features_seen(project, known, main=main, tell=tell)},
        map=drawn,
        journal=told,
        pictures=_pictures(project, shown, branches) if with_pictures else Pictures(),
        warnings=tuple(warnings),
        num_running=sum(record.state is RunState.RUNNING for record in records),
    )


def reports(
    project: Project,
    names: Sequence[str] = (),
    *,
    with_pictures: bool = True,
    tell: Tell = silently,
) -> Iterator[tuple[Report, bool]]:
    """Yield a report each time that runs have got on, and whether it is the last: none runs and none is to come.

    Raises as ``report`` does.
    """
    has_news, looked_at = True, float("-inf")
    for progress in follow(project):
        has_news = has_news or bool(progress.started or progress.ended or progress.moved)
        is_due = has_news and time.monotonic() - looked_at >= _EVERY_S
        if is_due or progress.is_last:
            yield report(project, names, with_pictures=with_pictures, tell=tell), progress.is_last
            has_news, looked_at = False, time.monotonic()


def _name(one: BranchStatus) -> str:
    return one.standing.branch.name


def _without_deleted(whole: Status) -> Status:
    return replace(
        whole, branches=tuple(b for b in whole.branches if not b.standing.branch.is_gone)
    )


def _best_first(branches: Sequence[BranchStatus], seen: Status) -> tuple[BranchStatus, ...]:
    sign = 1 if seen.goal == "max" else -1

    def rank(one: BranchStatus) -> tuple[bool, float, str]:
        difference = one.verdict.difference if one.verdict is not None else None
        return difference is None, -sign * (difference or 0.0), _name(one)

    return tuple(sorted(branches, key=rank))


def _compared(project: Project, branches: Sequence[BranchStatus]) -> tuple[Comparison | None, str]:
    """Return the comparison of branches, or why there is none."""
    if not branches:
        return None, ""
    try:
        return compare(project, [_name(one) for one in branches]), ""
    except ConfigError as error:  # no run has recorded the metric, while others were
        return None, f"{error.message}; {error.hint}"


def _pictures(project: Project, shown: Status, branches: Sequence[BranchStatus]) -> Pictures:
    main = shown.overview.main
    results = [(main.name, shown.main_results)]
    results += [(_name(one), one.results) for one in branches]
    tips = {main.name: main.tip, **{_name(one): one.standing.branch.tip for one in branches}}
    return pictures_of(project, results, tips)

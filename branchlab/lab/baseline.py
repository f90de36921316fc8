"""``baseline``: does the reference reproduce the published figure? What to run for it, and what its runs say.

The figure speaks of a net, a data set and a recipe that may not be those that experiments work on: ``[baseline] task`` and
``arguments`` stand in for those of ``[trainer]``. All else is as in every run, so that what reproduces is the code base's own
data, trainer and evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from branchlab.analysis.baseline import judge_baseline
from branchlab.analysis.results import BranchResults, results_of
from branchlab.config import CONFIG_NAME
from branchlab.domain import (
    BaselineState,
    BaselineVerdict,
    Branch,
    Published,
    Run,
    RunRecord,
    RunState,
    Scale,
)
from branchlab.errors import ConfigError, RepositoryError
from branchlab.experiment import Experiment
from branchlab.lab.branches import main_branch, reference_branch
from branchlab.lab.judge import metric_missing, subjects_of
from branchlab.lab.project import Project
from branchlab.lab.run_request import Pinned, RunRequest, check_request

_HOW = (
    f"set it in {CONFIG_NAME}: [baseline] metric, published, tolerance and source; "
    "see docs/promotion.md"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFound:
    """What is known of the baseline.

    Attributes:
        published: None where the config names no figure.
        results: Of the reference on the full set; of an older commit when it has moved.
        notes: What else is to be known, in sentences.
    """

    verdict: BaselineVerdict
    published: Published | None
    reference: Branch | None
    results: BranchResults
    notes: tuple[str, ...] = ()


def published_figure(project: Project) -> Published | None:
    """Return the figure that the config names, or None."""
    known = project.config.baseline
    if known.published is None:
        return None
    return Published(
        metric=known.metric,
        value=known.published,
        tolerance=known.tolerance,
        source=known.source,
    )


def project_of_baseline(project: Project) -> Project:
    """Return the project as the reference is trained for its figure: with the task and arguments of ``[baseline]``."""
    known, trainer = project.config.baseline, project.config.trainer
    arguments = {**trainer.arguments, **known.arguments}
    if known.task:
        trainer = replace(trainer, task=known.task, command=(), arguments=arguments)
    else:
        trainer = replace(trainer, arguments=arguments)
    return replace(project, config=replace(project.config, trainer=trainer))


def baseline_of(
    project: Project, records: Sequence[RunRecord], frozen: Branch | None
) -> BaselineFound:
    """Return what recorded runs of the reference say of the published figure."""
    published = published_figure(project)
    if published is None:
        return _nothing(BaselineState.NONE, None, frozen, "no published figure is set")
    if frozen is None:
        return _nothing(BaselineState.NOT_RUN, published, None, "there is no reference branch")
    results = _results(project_of_baseline(project), records, frozen)
    done = [record for record in results.records if record.state is RunState.DONE]
    values = results.seeds(published.metric)
    verdict = judge_baseline(values, published)
    if not done and results.records:
        verdict = replace(verdict, sentence=f"not run yet: {_unfinished(results)}")
    if done and not values:
        lacking = metric_missing(done, published.metric) or f"{published.metric} was never finite"
        verdict = replace(verdict, state=BaselineState.UNDECIDED, sentence=f"undecided: {lacking}")
    return BaselineFound(
        verdict=verdict,
        published=published,
        reference=frozen,
        results=results,
        notes=tuple(_notes(published, results, frozen)),
    )


def baseline(project: Project) -> BaselineFound:
    """Return what is known of the baseline, from the recorded runs.

    Raises:
        ConfigError: The config names no published figure.
        RepositoryError: There is no reference.
    """
    if project.config.baseline.published is None:
        raise ConfigError("no published figure is set: nothing to reproduce", hint=_HOW)
    frozen = reference_branch(project, project.repository.refs())
    if frozen is None:
        raise RepositoryError(
            "there is no reference branch, so that nothing can reproduce the published figure",
            hint="freeze the code base as it was found: branchlab init",
        )
    return baseline_of(project, project.index().runs(), frozen)


def baseline_request(
    project: Project, found: BaselineFound, request: RunRequest
) -> tuple[Project, RunRequest]:
    """Return what to run: the reference alone, on the full set, and the project that trains it.

    Raises:
        ConfigError: The request cannot be met, or the reference has no such task.
    """
    assert found.reference is not None
    trained = project_of_baseline(project)
    check_request(trained, request)
    _check_has_task(trained, found.reference)
    seeds = request.seeds or project.config.baseline.seeds
    wanted = replace(request, seeds=seeds, is_full=True, exactly=(Pinned(branch=found.reference),))
    return trained, wanted


def _check_has_task(project: Project, frozen: Branch) -> None:
    """Refuse a reference that lacks the file of the task while main has it.

    Raises:
        ConfigError: It does; what the code base lacked has to be added to it once.
    """
    task = project.config.trainer.task
    if not task:
        return
    module = task.partition(":")[0].replace(".", "/")
    paths = (f"{module}.py", f"{module}/__init__.py")
    main = main_branch(project, project.repository.refs().local.values())
    at = {
        branch.name: any(
            project.repository.read_file(branch.tip, path) is not None for path in paths
        )
        for branch in (frozen, main)
    }
    if at[frozen.name] or not at[main.name]:
        return
    raise ConfigError(
        f"{frozen.name} at {frozen.tip[:10]} has no {paths[0]}: the code base as it was found has no task for branchlab",
        hint=f"add {paths[0]} to {frozen.name} in a commit that changes nothing else, then: "
        'branchlab init --repin --reason "adds the task"; or run its own script: [trainer] command',
    )


def without_figures(project: Project, records: Sequence[RunRecord]) -> Sequence[RunRecord]:
    """Return the runs but those that trained the reference for its figure by a task or arguments that no other run has."""
    own, usual = project_of_baseline(project).config.trainer, project.config.trainer
    if (own.task, dict(own.arguments)) == (usual.task, dict(usual.arguments)):
        return records
    return [
        record
        for record in records
        if record.run.task != own.task or dict(record.run.arguments) != dict(own.arguments)
    ]


def _results(project: Project, records: Sequence[RunRecord], frozen: Branch) -> BranchResults:
    trainer = project.config.trainer
    fitting = [
        record
        for record in records
        if record.run.scale is Scale.FULL
        and record.run.epochs is None
        and record.run.budget_s is None
        and dict(record.run.arguments) == dict(trainer.arguments)
        and record.run.task == trainer.task
        and _command(record.run) == trainer.command
    ]
    (subject,) = subjects_of(project, [frozen], {frozen.name: Experiment()}, [])
    return results_of(subject, fitting)


def _unfinished(results: BranchResults) -> str:
    """Say what has become of runs none of which is done."""
    failed = results.count(RunState.FAILED, RunState.LOST)
    running = results.count(RunState.RUNNING)
    if running:
        return f"{running} of its runs {'is' if running == 1 else 'are'} under way"
    return f"{failed} of its runs failed" if failed else "its runs are not finished"


def _command(run: Run) -> tuple[str, ...]:
    return () if run.script is None else tuple(run.script.command)


def _notes(published: Published, results: BranchResults, frozen: Branch) -> list[str]:
    found = []
    if results.records and not results.is_of_tip:
        commit = results.records[0].run.commit[:10]
        found.append(
            f"these are results of {commit}, and {frozen.name} is at {frozen.tip[:10]} now: it has moved"
        )
    if published.metric.startswith(("val/", "train/")):
        found.append(
            f"{published.metric} is not measured on the test set, of which published figures speak"
        )
    if not published.tolerance:
        found.append("[baseline] tolerance is 0: nothing can be shown to be equal to a figure")
    failed = results.count(RunState.FAILED, RunState.LOST)
    if failed:
        found.append(f"{failed} of its runs failed; see: branchlab runs {frozen.name}")
    return found


def _nothing(
    state: BaselineState, published: Published | None, frozen: Branch | None, sentence: str
) -> BaselineFound:
    return BaselineFound(
        verdict=BaselineVerdict(
            state=state, mean=None, interval=None, seeds=0, seeds_needed=None, sentence=sentence
        ),
        published=published,
        reference=frozen,
        results=BranchResults(),
    )

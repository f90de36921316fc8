"""``compare``: what the recorded runs say of each branch against main, or against the reference."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from branchlab.analysis.claims.claim import is_rising_better
from branchlab.analysis.declared import declared
from branchlab.analysis.results import (
    BranchResults,
    ProtocolKey,
    Recorded,
    Subject,
    is_identical,
    protocol_of,
    results_of,
    value_of,
)
from branchlab.analysis.verdict import Question, Seeds, judge, same
from branchlab.analysis.wording import is_share
from branchlab.domain import Branch, Goal, Outcome, RunRecord, RunState, Scale, Trust, Verdict
from branchlab.errors import ConfigError, nearest
from branchlab.experiment import Experiment
from branchlab.lab.branches import (
    all_branches,
    contents_of,
    deleted_branches,
    experiments_of,
    find_branches,
    is_experiment,
    main_branch,
)
from branchlab.lab.own_script import taken_from_main
from branchlab.lab.project import Project
from branchlab.lab.run_environments import difference_of_pairs
from branchlab.lab.samples import other_sample
from branchlab.lab.trust import trust_of
from branchlab.store.memo import Memo

KIND = "verdicts-3"
"""Raise the number when the method or the sentences change."""


_LISTED_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A branch's results beside those it is held against, and the verdict (None without any result)."""

    subject: Subject
    results: BranchResults
    against: BranchResults
    verdict: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The answer of ``compare``.

    Attributes:
        samples: By branch, what its runs trained on that those they are paired with did not; as ``environments``.
        environments: By branch, in what its runs' environment differs from that of the runs they are paired with, in one
            line; branches without such a difference are left out.
        family: All that were judged together, by branch, whichever were asked for.
        other_scales: By branch, at which other scale runs of it are done; a comparison is of one scale alone.
        trust: How far the sample can be trusted; None for another metric than the config's, or another branch than main.
    """

    metric: str
    goal: Goal
    against: str
    judged: tuple[Judged, ...]
    environments: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, str] = field(default_factory=dict)
    family: Mapping[str, Judged] = field(default_factory=dict)
    other_scales: Mapping[str, Scale] = field(default_factory=dict)
    trust: Trust | None = None


def compare(
    project: Project,
    names: Sequence[str] = (),
    *,
    metric: str | None = None,
    against: str | None = None,
    scale: Scale | None = None,
) -> Comparison:
    """Hold branches (all experiments unless named) against main, or against another branch.

    Args:
        project: Whose.
        names: Only these branches.
        metric: Another than the config's, or a slice of one: ``val/accuracy[shirt]``.
        against: Another branch than main.
        scale: Only runs of this one; else of each branch the one with most seeds done.

    Raises:
        RepositoryError: A branch is unknown.
        ConfigError: No run has recorded the metric.
    """
    branches = all_branches(project)
    main = main_branch(project, branches)
    other = find_branches(project, [against], branches)[0] if against else main
    experiments = [b for b in branches if is_experiment(project, b) and b.name != other.name]
    index = project.index()
    records = index.runs()
    gone = deleted_branches(project, records, branches)
    wanted = find_branches(project, names, [*branches, *gone]) if names else experiments
    metric = metric or project.config.run.metric
    _check_metric(metric, index.metric_names(), records)
    # All experiments are judged, whichever are asked for, deleted ones too: what was tried counts, and naming one
    # hides no other.
    family = list({branch.name: branch for branch in [*experiments, *gone, *wanted]}.values())
    experiment = experiments_of(project, [other, *family])
    subjects = subjects_of(project, [other, *family], experiment, records)
    taken = taken_from_main(project, main)
    shown = [record for record in records if scale in {None, record.run.scale}]
    judged = judge_all(
        shown, subjects[1:], subjects[0], metric=metric, project=project, taken=taken
    )
    found = {
        branch.name: difference_of_pairs(project, one.results, one.against, against=other.name)
        for branch in wanted
        if (one := judged[branch.name]).verdict is not None
    }
    samples = {
        branch.name: other_sample(one.results, one.against, against=other.name)
        for branch in wanted
        if (one := judged[branch.name]).verdict is not None
    }
    return Comparison(
        metric=metric,
        goal=_goal(project, metric),
        against=other.name,
        judged=tuple(judged[branch.name] for branch in wanted),
        environments={name: said for name, said in found.items() if said},
        samples={name: said for name, said in samples.items() if said},
        family=judged,
        other_scales=_other_scales(records, [judged[branch.name] for branch in wanted]),
        trust=trust_of(project, records, main)
        if (metric, other.name) == (project.config.run.metric, main.name)
        else None,
    )


def _check_metric(metric: str, known: Sequence[str], records: Sequence[RunRecord]) -> None:
    if metric in known or any(value_of(record, metric) is not None for record in records):
        return
    slices = {name for record in records for name in record.slices}
    if not known and not slices:
        return
    whole = metric.partition("[")[0]
    of_whole = sorted(name for name in slices if name.startswith(f"{whole}["))
    found = of_whole if metric.endswith("]") and of_whole else known
    listed = ", ".join(found[:_LISTED_MAX]) + (" …" if len(found) > _LISTED_MAX else "")
    raise ConfigError(
        f"no run has recorded the metric '{metric}'",
        hint=f"{nearest(metric, found)}recorded: {listed}",
    )


def _other_scales(records: Sequence[RunRecord], judged: Sequence[Judged]) -> dict[str, Scale]:
    """Return, by branch, the scale besides the one shown at which runs of its content are done."""
    recorded = Recorded(records)
    found = {}
    for one in judged:
        other = {
            record.run.scale
            for record in recorded.about(one.subject)
            if record.state is RunState.DONE
            and one.subject.is_of(record.run)
            and dict(record.run.flags) == dict(one.subject.flags)
        } - {one.results.scale}
        if other:
            found[one.subject.branch] = other.pop()
    return found


def metric_missing(records: Sequence[RunRecord], metric: str) -> str:
    """Say that runs which are done lack a metric, and which they have instead."""
    names = sorted({name for record in records for name in record.metrics})
    if not records or any(value_of(record, metric) is not None for record in records):
        return ""
    if not names:
        return f"its runs recorded no {metric}"
    listed = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")  # noqa: PLR2004  enough to recognise
    return f"its runs recorded no {metric}; {nearest(metric, names)}recorded: {listed}"


def why_none(judged: Judged, found: Comparison) -> str:
    """Say why a branch has no verdict although there are runs: they, or those they are held against, lack the metric or its value."""
    if judged.verdict is not None and judged.verdict.difference is not None:
        return ""
    for name, results in ((judged.subject.branch, judged.results), (found.against, judged.against)):
        done = [record for record in results.records if record.state is RunState.DONE]
        if missing := metric_missing(done, found.metric) or _never_finite(done, found.metric):
            return f"{name}: {missing}"
    return ""


def _never_finite(records: Sequence[RunRecord], metric: str) -> str:
    values = [v for record in records if (v := value_of(record, metric)) is not None]
    if not values or any(map(math.isfinite, values)):
        return ""
    return f"its runs recorded {metric}, never a finite value"


def subjects_of(
    project: Project,
    branches: Sequence[Branch],
    experiments: Mapping[str, Experiment | ConfigError],
    records: Sequence[RunRecord],
) -> list[Subject]:
    """Return branches as their results are asked for.

    One whose experiment file is damaged has no flags, one that is gone has those that it ran with last.
    """
    contents = contents_of(project, branches)
    last = {record.run.branch: record.run.flags for record in reversed(records)}
    found = []
    for branch in branches:
        experiment = experiments[branch.name]
        flags = experiment.flags if isinstance(experiment, Experiment) else {}
        if branch.is_gone:
            flags = last.get(branch.name, flags)
        content = contents[branch.tree]
        found.append(Subject(branch=branch.name, tree=branch.tree, content=content, flags=flags))
    return found


def subjects_without_flags(project: Project, branches: Sequence[Branch]) -> list[Subject]:
    """Return branches that no experiment describes, main and the reference, as their results are asked for."""
    return subjects_of(project, branches, {b.name: Experiment() for b in branches}, [])


def judge_all(
    records: Sequence[RunRecord],
    subjects: Sequence[Subject],
    other: Subject,
    *,
    metric: str,
    project: Project,
    taken: Mapping[str, str],
) -> Mapping[str, Judged]:
    """Judge branches against another, those of one protocol together so that their noise is pooled.

    Results under main's script of today, the files ``taken`` from it, go before those under an older one.
    """
    recorded = Recorded(records)
    found = {s.branch: (s, results_of(s, recorded.about(s), taken=taken)) for s in subjects}
    groups: dict[ProtocolKey | None, list[str]] = {}
    for name, (_, results) in found.items():
        protocol = protocol_of(results.records[0].run) if results.records else None
        groups.setdefault(protocol, []).append(name)
    judged: dict[str, Judged] = {}
    for protocol, names in groups.items():
        against = results_of(other, recorded.about(other), protocol=protocol)
        verdicts = _verdicts(
            {n: found[n][1] for n in names}, against, other.branch, metric=metric, project=project
        )
        for name in names:
            subject, results = found[name]
            judged[name] = Judged(
                subject=subject, results=results, against=against, verdict=verdicts.get(name)
            )
    return judged


def _verdicts(
    results: Mapping[str, BranchResults],
    against: BranchResults,
    other: str,
    *,
    metric: str,
    project: Project,
) -> Mapping[str, Verdict]:
    equal = {name for name, found in results.items() if is_identical(found, against)}
    seeds = {name: found.seeds(metric) for name, found in results.items()}
    measured = {name: values for name, values in seeds.items() if values and name not in equal}
    others = against.seeds(metric)
    question = question_of(project, metric, results, against, other=other)
    # What computed the same as main is main once more: pooled, it would count main's noise twice.
    verdicts = _judged(project.memo(), measured, others, question) if measured else {}
    return verdicts | {
        name: same(name, len(seeds[name].keys() & others.keys()), question) for name in equal
    }


def question_of(
    project: Project,
    metric: str,
    results: Mapping[str, BranchResults],
    against: BranchResults,
    *,
    other: str,
) -> Question:
    """Return what a comparison of branches of one protocol is about."""
    scales = [found.scale for found in results.values() if found.scale is not None]
    values = (v for found in (*results.values(), against) for v in found.seeds(metric).values())
    return Question(
        goal=_goal(project, metric),
        min_effect=project.config.run.min_effect,
        scale=scales[0] if scales else Scale.SAMPLE,
        against=other,
        is_share=is_share(metric, values),
        declared={name: declared(found, against) for name, found in results.items()},
    )


def _goal(project: Project, metric: str) -> Goal:
    """Return which values of a metric are better: a higher ``val/loss`` is no gain where accuracy is the goal."""
    known, whole = project.config.run, metric.partition("[")[0]
    is_up = is_rising_better(whole, metric_of_run=known.metric.partition("[")[0], goal=known.goal)
    return Goal.MAX if is_up else Goal.MIN


def _judged(
    memo: Memo, branches: Mapping[str, Seeds], other: Seeds, question: Question
) -> dict[str, Verdict]:
    """Return verdicts, from what is kept where the same figures were judged before: 1,000 branches take a second."""
    asked = json.dumps([branches, other, asdict(question)], sort_keys=True)
    key = hashlib.sha256(asked.encode()).hexdigest()
    kept = memo.get(KIND, [key]).get(key)
    if kept is not None and (known := verdicts_kept(kept)) is not None:
        return {verdict.branch: verdict for verdict in known}
    verdicts = judge(branches, other, question)
    memo.put(KIND, {key: json.dumps([asdict(one) for one in verdicts.values()]).encode()})
    return verdicts


def verdicts_kept(content: bytes) -> list[Verdict] | None:
    """Return the verdicts that were kept; None when they are damaged, or of another version."""
    try:
        return [_verdict(one) for one in json.loads(content)]
    except (ValueError, TypeError, KeyError):
        return None


def _verdict(kept: dict[str, Any]) -> Verdict:
    interval = kept["interval"]
    return Verdict(
        **{
            **kept,
            "outcome": Outcome(kept["outcome"]),
            "scale": Scale(kept["scale"]),
            "interval": interval and tuple(interval),
        }
    )

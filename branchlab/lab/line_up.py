"""Several branches side by side: verdicts, curves, slices, and in what their runs differ; joined for whoever shows them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean, stdev

from branchlab.analysis.claims.claim import has_better_side
from branchlab.analysis.results import BranchResults
from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Outcome, RunState, Scale, Verdict
from branchlab.errors import RepositoryError
from branchlab.lab.curves import Curve, charts_of
from branchlab.lab.differing import Fact, Pairing, measured, pairing, planned
from branchlab.lab.judge import Comparison, compare, why_none
from branchlab.lab.judge_slices import SlicedBranch, judge_slices
from branchlab.lab.markdown_text import escaped, markdown_table
from branchlab.lab.project import Project
from branchlab.lab.words import duration, figure
from branchlab.store.index import Index

BRANCHES_MAX = 6
"""More curves in one chart are not told apart."""


class Axis(StrEnum):
    """What curves are drawn over."""

    EPOCH = "epoch"
    STEP = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One branch of the line-up.

    Attributes:
        mean: Of the metric over the seeds that are done, with ``spread``, their standard deviation.
        verdict: None of the one that the others are held against, and without a result.
        why: The verdict in words, or why there is none.
        remarks: What is to be known of its verdict before one believes it, in sentences.
        pairing: Where seeds lack a partner.
    """

    branch: str
    mean: float | None = None
    spread: float | None = None
    num_seeds: int = 0
    verdict: Verdict | None = None
    why: str = ""
    remarks: tuple[str, ...] = ()
    pairing: Pairing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineUp:
    """Branches side by side.

    Attributes:
        members: The one that the others are held against first, then these in the order asked for.
        curves: Of the metric, in the order of the members; ``beside`` of a second metric, the loss.
        slices: Of every member but the first.
        facts: In what their runs differ, a value a member.
        metrics: The names of all metrics that any run has recorded.
        min_effect: The difference that matters.
        left_out: Branches whose curves are of another protocol, and so in no chart with these.
        has_better_side: False of a metric like the learning rate, which is only higher or lower.
    """

    comparison: Comparison
    members: tuple[Member, ...]
    curves: tuple[Curve, ...] = ()
    beside_metric: str = ""
    beside: tuple[Curve, ...] = ()
    slices: tuple[SlicedBranch, ...] = ()
    facts: tuple[Fact, ...] = ()
    metrics: tuple[str, ...] = ()
    min_effect: float = 0.0
    left_out: tuple[str, ...] = ()
    has_better_side: bool = True

    @property
    def unpaired(self) -> tuple[Pairing, ...]:
        """Where seeds lack a partner, by branch."""
        return tuple(one.pairing for one in self.members if one.pairing is not None)


def line_up(
    project: Project,
    names: Sequence[str],
    *,
    against: str = "",
    metric: str = "",
    scale: Scale | None = None,
    axis: Axis = Axis.EPOCH,
) -> LineUp:
    """Return branches beside main, or beside another branch.

    Args:
        project: Whose.
        names: The branches, ``BRANCHES_MAX`` at most with the one that they are held against.
        against: Another branch than main.
        metric: Another than the config's, or a slice of one.
        scale: Only runs of this one.
        axis: What curves are drawn over.

    Raises:
        RepositoryError: A branch is unknown, or none is named.
        ConfigError: No run has recorded the metric.
    """
    if not names:
        raise RepositoryError(
            "there is nothing to compare", hint="start an experiment: branchlab new-exp NAME"
        )
    found = compare(project, names, metric=metric or None, against=against or None, scale=scale)
    index = project.index()
    try:
        metrics = tuple(index.metric_names())
        beside = _beside(found.metric, metrics, project.config.run.metric)
        curves, left_out = _curves(index, found, found.metric, axis)
        others = _curves(index, found, beside, axis)[0] if beside else ()
    finally:
        index.close()
    first = _against_results(found)
    is_sided = has_better_side(found.metric, metric_of_run=project.config.run.metric)
    results = [first, *(one.results for one in found.judged)]
    return LineUp(
        comparison=found,
        members=_members(found, first, is_sided=is_sided),
        curves=curves,
        beside_metric=beside,
        beside=others,
        slices=judge_slices(project, found),
        facts=(*measured(results), *planned(results)),
        metrics=metrics,
        min_effect=project.config.run.min_effect,
        left_out=left_out,
        has_better_side=is_sided,
    )


def comparison_markdown(found: LineUp) -> str:
    """Return the verdicts as a table in Markdown, with what is to be known of them below."""
    comparison = found.comparison
    delta = f"Δ {comparison.against}"
    header = ["Branch", comparison.metric, delta, "Interval", "Verdict", "Seeds", "p (Holm)"]
    rows = []
    for one in found.members:
        verdict = one.verdict
        spread = f" ± {one.spread:.4f}" if one.spread is not None else ""
        said = ["", "", "", "", ""]
        if verdict is not None:
            said = [
                difference_text(verdict),
                interval_text(verdict),
                outcome_words(verdict),
                str(verdict.seeds),
                p_text(verdict),
            ]
        rows.append([one.branch, f"{figure(one.mean)}{spread}", *said])
    table = markdown_table(header, rows, right=(1, 2, 5, 6))
    remarks = [f"- {escaped(said)}" for one in found.members for said in one.remarks]
    return "\n".join([table, *(["", *remarks] if remarks else [])]) + "\n"


def outcome_words(verdict: Verdict) -> str:
    """Return a verdict's outcome, said to be interim while declared runs are still to come."""
    word = str(verdict.outcome).replace("-", " ")
    return f"{word} (interim)" if verdict.is_interim else word


def p_text(verdict: Verdict) -> str:
    """Return the adjusted p value, or a dash."""
    return "-" if verdict.p is None else f"{verdict.p:.2g}"


def _members(found: Comparison, first: BranchResults, *, is_sided: bool) -> tuple[Member, ...]:
    members = [_member(found.against, first, found.metric)]
    for one in found.judged:
        name, verdict = one.subject.branch, one.verdict
        said = (
            _sentence(verdict, is_sided=is_sided)
            if verdict is not None
            else _no_result(one.results)
        )
        # Its own name stands before it wherever it is shown; main's does not.
        missing = why_none(one, found).removeprefix(f"{name}: ")
        # Without the metric there are no seeds to be paired, whatever has run.
        apart = None if missing else pairing(name, one.results, one.against, found.metric)
        members.append(
            replace(
                _member(name, one.results, found.metric),
                verdict=verdict,
                why=missing or said,
                remarks=(*_pairing_remarks(apart, found.against), *_remarks(found, name, verdict)),
                pairing=apart,
            )
        )
    return tuple(members)


def _member(branch: str, results: BranchResults, metric: str) -> Member:
    values = list(results.seeds(metric).values())
    return Member(
        branch=branch,
        mean=fmean(values) if values else None,
        spread=stdev(values) if len(values) > 1 else None,
        num_seeds=len(values),
    )


def _sentence(verdict: Verdict, *, is_sided: bool) -> str:
    """Return a verdict in words; without a better side it is higher or lower, as such metrics are judged upwards."""
    words = {Outcome.BETTER: ("better", "higher"), Outcome.WORSE: ("worse", "lower")}
    if is_sided or verdict.outcome not in words:
        return verdict.sentence
    return verdict.sentence.replace(*words[verdict.outcome], 1)


def _no_result(results: BranchResults) -> str:
    failed = [r for r in results.records if r.state in {RunState.FAILED, RunState.LOST}]
    if failed:
        return (
            f"{len(failed)} failed: {failed[0].reason}" if failed[0].reason else "its runs failed"
        )
    num_running = results.count(RunState.RUNNING)
    if num_running:
        return f"no run of it is done; {num_running} running"
    return "no run of it is done" if results.records else "it has not run yet"


def _pairing_remarks(apart: Pairing | None, against: str) -> list[str]:
    if apart is None:
        return []
    if not apart.common:
        return [f"{apart.branch} and {against} have no seed in common yet"]
    number = len(apart.missing) + len(apart.other_missing)
    is_one = len(apart.common) == 1
    seeds = f"seed{'' if is_one else 's'} {' '.join(map(str, apart.common))} {'is' if is_one else 'are'}"
    cost = f", about {duration(apart.cost_s)}" if apart.cost_s else ""
    runs = f"{number} run{'' if number == 1 else 's'} would pair the rest{cost}"
    command = f"branchlab run {shlex.quote(apart.branch)} --seeds {apart.num_seeds}"
    return [f"{apart.branch}: only {seeds} paired with {against}; {runs}: {command}"]


def _remarks(found: Comparison, name: str, verdict: Verdict | None) -> list[str]:
    said = []
    if verdict is not None and verdict.is_interim:
        said.append(
            f"{name}: interim, {verdict.seeds} of {verdict.num_declared} declared seeds are done"
        )
    if name in found.samples:
        said.append(f"{name} {found.samples[name]}: its verdict is about the data too")
    if name in found.environments:
        said.append(f"{name} trained in another environment: {found.environments[name]}")
    if name in found.other_scales:
        said.append(
            f"{name}: also run at the {found.other_scales[name]} scale, which is never mixed in"
        )
    return said


def _against_results(found: Comparison) -> BranchResults:
    """Return the runs of what is held against, under the protocol that most of the branches have."""
    groups: dict[int, list[BranchResults]] = {}
    for one in found.judged:
        groups.setdefault(id(one.against), []).append(one.against)
    return max(groups.values(), key=lambda ones: (bool(ones[0].records), len(ones)))[0]


def _beside(metric: str, metrics: Sequence[str], own: str) -> str:
    """Return the metric of the second chart: the loss on what was not trained on, or the project's own beside a loss."""
    losses = [name for name in metrics if "loss" in name.casefold()]
    if metric in losses:
        return own if own in metrics else ""
    return next((name for name in losses if not name.startswith("train")), next(iter(losses), ""))


def _curves(
    index: Index, found: Comparison, metric: str, axis: Axis
) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    """Return the curves that can be in one chart, and the branches that have one under another protocol."""
    if axis is Axis.EPOCH:
        values = index.epoch_curves(metric)
    else:
        shown = {
            r.run.id for one in found.judged for r in (*one.results.records, *one.against.records)
        }
        values = {run_id: index.curve(run_id, metric) for run_id in shown}
    charts = charts_of(found.judged, values, main=found.against)
    if not charts:
        return (), ()
    first, *rest = charts
    drawn = (*([first.main] if first.main is not None else []), *first.curves)
    return drawn, tuple(curve.branch for chart in rest for curve in chart.curves)

"""In what the runs of several branches differ: what was planned, as far as it differs, and what was measured of speed and size.

Pure: from results to cells of a table, the first column of which is held against.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from branchlab.analysis.results import BranchResults
from branchlab.domain import Run, RunRecord, RunState, Scale
from branchlab.lab.words import duration, few

_NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the table: a value a branch, in their order; ``is_measured`` where it came out and was not chosen."""

    name: str
    values: tuple[str, ...]
    is_measured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The seeds of a branch and of what it is held against, where not all have a partner.

    Attributes:
        common: Seeds that both have done.
        missing: Seeds that the other has done alone; ``other_missing``: those that the branch has done alone.
        cost_s: How long the missing runs would take one after the other; None where nothing is known of it.
    """

    branch: str
    common: tuple[int, ...]
    missing: tuple[int, ...]
    other_missing: tuple[int, ...]
    cost_s: float | None

    @property
    def num_seeds(self) -> int:
        """``run --seeds`` that gives every seed a partner."""
        return max((*self.common, *self.missing, *self.other_missing), default=-1) + 1


def measured(results: Sequence[BranchResults]) -> tuple[Fact, ...]:
    """Return speed, memory and time, each a mean over the runs that are done, with the change against the first."""
    found = []
    for name, of_run, said in _MEASURED:
        means = [_mean(of_run(record) for record in _done(one)) for one in results]
        if any(mean is not None for mean in means):
            cells = (
                _changed(mean, means[0], said, is_first=i == 0) for i, mean in enumerate(means)
            )
            found.append(Fact(name=name, values=tuple(cells), is_measured=True))
    return tuple(found)


def planned(results: Sequence[BranchResults]) -> tuple[Fact, ...]:
    """Return what differs of flags, recipe, data, code and environment."""
    runs = [[record.run for record in one.records] for one in results]
    first = [ones[0] if ones else None for ones in runs]
    facts = [
        *_of_mappings([run.flags if run else {} for run in first]),
        *_of_mappings([run.arguments if run else {} for run in first]),
        Fact(name="epochs", values=tuple(_few_of(r.epochs or "" for r in one.records) for one in results)),
        Fact(name="seconds", values=tuple(_few_of(run.budget_s or "" for run in ones) for ones in runs)),
        Fact(name="sample", values=tuple(_few_of(_sample(run) for run in ones) for ones in runs)),
        Fact(name="data", values=tuple(_few_of(r.data[:8] for r in one.records) for one in results)),
        Fact(name="seeds", values=tuple(_seeds(one) for one in results)),
        Fact(name="commit", values=tuple(_few_of(run.commit[:7] for run in ones) for ones in runs)),
        Fact(name="of its tip", values=tuple(_is_tip(one) for one in results)),
        Fact(name="task", values=tuple(_few_of(run.task for run in ones) for ones in runs)),
        *_of_mappings([run.environment if run else {} for run in first]),
    ]  # fmt: skip
    return tuple(fact for fact in facts if len(set(fact.values)) > 1)


def pairing(
    branch: str, results: BranchResults, against: BranchResults, metric: str
) -> Pairing | None:
    """Return which seeds have no partner; None where each has one, or there are no seeds at all."""
    own, other = set(results.seeds(metric)), set(against.seeds(metric))
    if own == other or not (own or other):
        return None
    missing, other_missing = sorted(other - own), sorted(own - other)
    times = (_mean(r.duration_s for r in _done(one)) for one in (results, against))
    own_s, other_s = times
    cost = len(missing) * (own_s or other_s or 0.0) + len(other_missing) * (other_s or own_s or 0.0)
    return Pairing(
        branch=branch,
        common=tuple(sorted(own & other)),
        missing=tuple(missing),
        other_missing=tuple(other_missing),
        cost_s=cost or None,
    )


def _done(one: BranchResults) -> list[RunRecord]:
    return [record for record in one.records if record.state is RunState.DONE]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _changed(
    mean: float | None, base: float | None, said: Callable[[float], str], *, is_first: bool
) -> str:
    if mean is None:
        return _NOTHING
    if is_first or not base:
        return said(mean)
    change = round(100 * (mean / base - 1))
    return f"{said(mean)} {change:+d}%" if change else said(mean)


def _of_mappings(mappings: Sequence[Mapping[str, object]]) -> list[Fact]:
    names = dict.fromkeys(name for one in mappings for name in one)
    return [
        Fact(name=name, values=tuple(_value(one.get(name)) for one in mappings)) for name in names
    ]


def _value(value: object) -> str:
    if value is None:
        return _NOTHING
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _few_of(values: Iterable[object]) -> str:
    return few([str(value) for value in dict.fromkeys(values)], 2) or _NOTHING


def _sample(run: Run) -> str:
    if run.scale is Scale.FULL:
        return str(run.scale)
    return f"{run.sample.fraction:.0%} {run.sample.strategy}"


def _seeds(one: BranchResults) -> str:
    return " ".join(str(record.run.seed) for record in _done(one)) or _NOTHING


def _is_tip(one: BranchResults) -> str:
    return _NOTHING if not one.records else "yes" if one.is_of_tip else "no, older"


_MEASURED: tuple[tuple[str, Callable[[RunRecord], float | None], Callable[[float], str]], ...] = (
    ("images/s", lambda record: record.images_per_s, lambda value: f"{value:.0f}"),
    (
        "memory GiB",
        lambda record: record.usage.get("memory_gib_max"),
        lambda value: f"{value:.2f}",
    ),
    (
        "on the device",
        lambda record: record.usage.get("device_memory_gib"),
        lambda value: f"{value:.2f}",
    ),
    ("wall time", lambda record: record.duration_s, duration),
)

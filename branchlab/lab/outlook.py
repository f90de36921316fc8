"""What a plan will take, and why each of its runs is trained or known: said before anything starts."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from branchlab.domain import Run, RunRecord, RunState
from branchlab.schedule.plan import Plan, PlannedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long a plan takes.

    Attributes:
        total_s: From the first start to the last end; None where nothing like it has run yet.
        run_s: Of each run to train, by id. ``num_earlier``: finished runs that this rests on.
    """

    total_s: float | None
    run_s: Mapping[str, float | None]
    num_earlier: int


def estimate(plan: Plan, records: Sequence[RunRecord], *, num_slots: int) -> Estimate:
    """Estimate from finished runs of the same scale, sample, length and device: of the branch, or else of any."""
    done = [r for r in records if r.state is RunState.DONE and r.duration_s]
    used: set[str] = set()
    run_s: dict[str, float | None] = {}
    for run in plan.to_start:
        alike = [record for record in done if _is_alike(record.run, run)]
        of_branch = [record for record in alike if record.run.branch == run.branch] or alike
        used |= {record.run.id for record in of_branch}
        run_s[run.id] = run.budget_s or (
            statistics.median(record.duration_s or 0.0 for record in of_branch)
            if of_branch
            else None
        )
    known = [seconds for seconds in run_s.values() if seconds is not None]
    total_s = _makespan(known, num_slots) if len(known) == len(run_s) else None
    return Estimate(total_s=total_s, run_s=run_s, num_earlier=len(used))


def _is_alike(one: Run, other: Run) -> bool:
    """Whether two runs take about as long, whatever their branches changed."""
    kept = ("scale", "epochs", "budget_s", "device", "threads", "processes", "task", "script")
    is_same = all(getattr(one, name) == getattr(other, name) for name in kept)
    return is_same and one.sample.fraction == other.sample.fraction


def _makespan(durations_s: Iterable[float], num_slots: int) -> float:
    """Return when the last of some runs ends, each started on the first slot that is free."""
    free_at = [0.0] * max(1, num_slots)
    for seconds in durations_s:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)


def reason_for(planned: PlannedRun, records: Sequence[RunRecord]) -> str:
    """Return in a few words why a planned run is known, goes on, or has to be trained."""
    run, known = planned.run, planned.known
    if known is not None and planned.is_reused:
        owner = known.run.branch
        return "known" if owner == run.branch else f"known: same content as {owner}"
    if known is not None:
        return f"goes on ({known.state})" if known.step else f"again ({known.state})"
    of_branch = [
        record.run
        for record in records
        if record.state is RunState.DONE
        and (record.run.branch, record.run.seed) == (run.branch, run.seed)
    ]
    if not of_branch:
        return "new"
    if any(record.key == run.key for record in of_branch):
        return "forced"
    return f"new: {_difference(of_branch[0], run)}"


def _difference(old: Run, new: Run) -> str:
    """Name what keeps an earlier result of the branch and seed from being used again."""
    differences = {
        "the branch has changed since": old.tree != new.tree,
        "other flags than": dict(old.flags) != dict(new.flags)
        or dict(old.arguments) != dict(new.arguments),
        "main's script has changed since": old.script is not None
        and new.script is not None
        and old.script.taken != new.script.taken,
        "[trainer] has changed since": (old.task, old.script) != (new.task, new.script),
        "another sample than": old.scale is not new.scale or old.sample != new.sample,
        "another length than": (old.epochs, old.budget_s) != (new.epochs, new.budget_s),
    }
    for words, is_so in differences.items():
        if is_so:
            return f"{words} {old.id}"
    for name in sorted({*old.environment, *new.environment}):
        before, now = old.environment.get(name), new.environment.get(name)
        if before != now:
            return f"{name} was {before or 'not set'}, is {now or 'not set'}"
    return f"other settings than {old.id}"

"""What to type next: the few commands that fit where a lab stands, the most pressing first."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from branchlab.domain import (
    BaselineState,
    Freshness,
    MergeBack,
    Outcome,
    TrustState,
)
from branchlab.lab.next_of_branch import SEEDS_MAX, Step, next_step
from branchlab.lab.status import BranchStatus, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A command that is ready to be typed, and why, in a few words."""

    command: str
    reason: str


def next_steps(found: Status, *, num_max: int = 3) -> tuple[Suggestion, ...]:
    """Return the next commands, each once."""
    steps: dict[str, Suggestion] = {}
    for step in _steps(found):
        steps.setdefault(step.command, step)
    return tuple(steps.values())[:num_max]


def _steps(found: Status) -> Iterator[Suggestion]:
    if num_running := sum(branch.num_running for branch in found.branches):
        said = "1 run goes on" if num_running == 1 else f"{num_running} runs go on"
        yield Suggestion(command="branchlab status --watch", reason=said)
    for branch in found.branches:
        if branch.recommendation.action.is_waiting:
            step = next_step(branch, num_open=branch.num_running)
            if step.step is not Step.WAIT:
                yield Suggestion(command=step.command, reason=step.because)
                break
    if not found.branches:
        yield Suggestion(command="branchlab new-exp NAME", reason="no experiment branch yet")
        if not found.main_results.records:
            yield Suggestion(
                command="branchlab run main", reason="what experiments are held against"
            )
    yield from _training(found.branches)
    if found.baseline is not None and found.baseline.verdict.state is BaselineState.NOT_RUN:
        yield Suggestion(
            command="branchlab baseline", reason="nothing is anchored to a published figure"
        )
    yield from _more_seeds(found.branches)
    is_any_better = any(b.verdict and b.verdict.outcome is Outcome.BETTER for b in found.branches)
    if is_any_better and found.trust is not None and found.trust.state is TrustState.UNKNOWN:
        yield Suggestion(command="branchlab promote", reason="does it hold on the full set?")
    if any(branch.verdict for branch in found.branches):
        yield Suggestion(command="branchlab compare", reason="every verdict in a sentence")
    yield Suggestion(command="branchlab tui", reason="all of it, to walk through")
    yield Suggestion(command="branchlab new-exp NAME", reason="the next idea")


def _training(branches: Sequence[BranchStatus]) -> Iterator[Suggestion]:
    """Yield what is to be trained, and what failed."""
    open_ones = [branch for branch in branches if _is_open(branch)]
    failed = [b for b in open_ones if b.num_failed and b.verdict is None]
    unmeasured = [
        b
        for b in open_ones
        if b.freshness is Freshness.NONE and not b.num_failed and b.verdict is None
    ]
    old = [b for b in open_ones if b.freshness in {Freshness.BRANCH_MOVED, Freshness.MAIN_MOVED}]
    interim = [b for b in open_ones if b.verdict is not None and b.verdict.is_interim]
    for ones, reason in (
        (unmeasured, "without a result"),
        (old, "with results that are old"),
        (interim, "with declared runs to come"),
    ):
        if ones:
            yield Suggestion(command=_run(ones), reason=f"{_branches(ones)} {reason}")
    if failed:
        name = shlex.quote(failed[0].standing.branch.name)
        yield Suggestion(
            command=f"branchlab runs {name}",
            reason=f"{_branches(failed)} whose runs failed",
        )


def _is_open(branch: BranchStatus) -> bool:
    is_settled = branch.merge_back in {MergeBack.LANDED, MergeBack.NOTHING}
    is_there = not branch.standing.branch.is_gone
    return is_there and not is_settled and not branch.given_up and not branch.num_running


def _more_seeds(branches: Sequence[BranchStatus]) -> Iterator[Suggestion]:
    for branch in branches:
        verdict = branch.verdict
        needed = verdict.seeds_needed if verdict is not None and _is_open(branch) else None
        if verdict is not None and needed and verdict.seeds < needed <= SEEDS_MAX:
            name = shlex.quote(branch.standing.branch.name)
            yield Suggestion(
                command=f"branchlab run {name} --seeds {needed}",
                reason=f"no difference shown yet; {needed} seeds would show your min effect",
            )
            break


def _run(branches: Sequence[BranchStatus]) -> str:
    if len(branches) == 1:
        return f"branchlab run {shlex.quote(branches[0].standing.branch.name)}"
    return "branchlab run --all-branches"


def _branches(ones: Sequence[BranchStatus]) -> str:
    return "1 branch" if len(ones) == 1 else f"{len(ones)} branches"

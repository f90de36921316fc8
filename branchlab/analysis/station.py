"""Where a branch is on its way back to main: its recommendation and the states of its runs as one word.

The rule is read from the top. What is over comes first, so that nothing dropped or landed asks for anything; then what did well
and waits for somebody; then what keeps it from a result. A branch without a difference that is shown is never called promising.
"""

from __future__ import annotations

from collections.abc import Collection

from branchlab.domain import (
    Action,
    Freshness,
    Outcome,
    Recommendation,
    RunState,
    Station,
    Verdict,
)

_WAITING = {
    Action.MERGE_NOW: Station.READY,
    Action.GUARD_FIRST: Station.GUARD,
    Action.FLIP_DEFAULT: Station.GUARD,
    Action.PROVE_FIRST: Station.PROVE,
}
_OLD = {Freshness.BRANCH_MOVED, Freshness.MAIN_MOVED}


def station_of(
    advice: Recommendation,
    *,
    verdict: Verdict | None,
    freshness: Freshness,
    states: Collection[RunState],
    has_conflicts: bool,
    is_given_up: bool,
) -> Station:
    """Return where a branch is.

    Args:
        advice: What to do with it.
        verdict: What its runs say against main; None without any.
        freshness: Whether they still speak of its tip and of today's main.
        states: Of the runs that count, and of all that go on.
        has_conflicts: Whether a merge into main would leave any.
        is_given_up: Whether its last note dropped the idea.
    """
    if is_given_up:
        return Station.DROPPED
    if advice.action is Action.NOTHING:
        return Station.LANDED
    if advice.action.is_waiting:
        station = _WAITING[advice.action]
        return Station.CONFLICT if station is Station.READY and has_conflicts else station
    of_runs = _of_runs(states)
    if of_runs is not None:
        return of_runs
    return Station.OLD if freshness in _OLD else _of_result(advice, verdict)


def _of_runs(states: Collection[RunState]) -> Station | None:
    """Return where runs that go on, or the lack of any result, leave a branch; None where it has a result."""
    if any(not state.is_over for state in states):
        return Station.RUNNING
    if RunState.DONE in states:
        return None
    is_failed = RunState.FAILED in states or RunState.LOST in states
    return Station.FAILED if is_failed else Station.NOT_RUN


def _of_result(advice: Recommendation, verdict: Verdict | None) -> Station:
    if advice.action is Action.DROP:
        return Station.NO_BETTER
    is_better = verdict is not None and verdict.outcome is Outcome.BETTER
    return Station.PROMISING if is_better else Station.OPEN

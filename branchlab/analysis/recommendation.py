"""What to do with a branch: its features and its evidence joined into one recommendation, with its reason.

The rule is a table, read from the top: what is in main already or brings nothing needs no advice; what has not been measured as
it stands is to be measured; what is worse is to be dropped; what is better goes back, by the road that its most demanding feature leaves
open. Nothing is recommended on the strength of the code alone, and nothing on results of an older tip.
"""

from __future__ import annotations

from branchlab.analysis.wording import difference_text
from branchlab.domain import (
    Action,
    Freshness,
    Landed,
    MergeBack,
    Outcome,
    Parity,
    Recommendation,
    Standing,
    Verdict,
)

_WORDS = {
    Outcome.BETTER: "better than main",
    Outcome.WORSE: "worse than main",
    Outcome.NO_DIFFERENCE: "no difference that matters",
}
_ROADS = {
    MergeBack.BREAKS_BASE: (Action.GUARD_FIRST, "it breaks main, or does not work itself: mend that first"),
    MergeBack.NEEDS_FLAG: (Action.GUARD_FIRST, "it changes main for everybody: put it behind a flag"),
    MergeBack.DEFAULT_ON: (Action.FLIP_DEFAULT, "its flag is on by default: turn the default round"),
    MergeBack.NEEDS_PARITY: (Action.PROVE_FIRST, "reading cannot tell whether main stays what it was"),
    MergeBack.READY: (Action.MERGE_NOW, "it is off by default"),
    MergeBack.ADDITIVE: (Action.MERGE_NOW, "it only adds"),
}  # fmt: skip


def recommendation(
    standing: Standing,
    merge_back: MergeBack | None,
    verdict: Verdict | None,
    freshness: Freshness,
    *,
    parity: Parity | None = None,
) -> Recommendation:
    """Return what to do with a branch.

    Args:
        standing: Where it is in the commit graph.
        merge_back: What its most demanding feature needs; None while its code has not been read.
        verdict: What its runs say against main; None without any.
        freshness: Whether they still speak of its tip.
        parity: What training has shown of merging it; None where that was not asked.
    """
    if standing.landed.is_settled and standing.landed is not Landed.REVERTED:
        return Recommendation(
            action=Action.NOTHING, reason=f"its content is in main: {standing.landed}"
        )
    if merge_back is MergeBack.LANDED:
        return Recommendation(
            action=Action.NOTHING, reason="main and its flags are this experiment"
        )
    if merge_back is MergeBack.NOTHING:
        return _keep("it brings nothing that runs yet")
    if verdict is None or freshness is Freshness.NONE:
        return _keep("it has no result yet")
    if freshness is Freshness.BRANCH_MOVED:
        return _keep("its results are of an older tip")
    return _by_outcome(standing, merge_back, verdict, parity)


def _by_outcome(
    standing: Standing, merge_back: MergeBack | None, verdict: Verdict, parity: Parity | None
) -> Recommendation:
    if verdict.is_interim and verdict.outcome is not Outcome.UNDECIDED:
        return _keep(
            f"{_WORDS[verdict.outcome]} so far, {_figures(verdict)}: interim, "
            f"{verdict.seeds} of {verdict.num_declared} declared seeds are done"
        )
    match verdict.outcome:
        case Outcome.BETTER:
            return _road(standing, merge_back, verdict, parity)
        case Outcome.WORSE:
            return Recommendation(
                action=Action.DROP, reason=f"it is worse than main, {_figures(verdict)}"
            )
        case Outcome.NO_DIFFERENCE:
            reason = f"it makes no difference that matters, {_figures(verdict)}"
            return Recommendation(action=Action.DROP, reason=reason)
        case Outcome.UNDECIDED:
            more = verdict.seeds_needed
            needed = f"; about {more} seeds would show your min effect" if more else ""
            return _keep(f"no difference is shown yet, {_figures(verdict)}{needed}")


def _road(
    standing: Standing, merge_back: MergeBack | None, verdict: Verdict, parity: Parity | None
) -> Recommendation:
    better = f"better than main, {_figures(verdict)}"
    if merge_back is None or merge_back not in _ROADS:
        return _keep(f"{better}; its code has not been read yet")
    action, road = _ROADS[merge_back]
    if action is Action.MERGE_NOW and parity is not None:
        first = parity.off.first_difference or parity.on.first_difference
        if parity.holds:
            road = f"{road}, and trained beside main it leaves main what it is"
        elif first is not None:
            action = Action.GUARD_FIRST
            road = f"trained beside main it differs: {first.where}: {first.reason}"
    clash = ""
    if standing.conflicts:
        clash = f"; conflicts in {standing.conflicts[0]} stand against it"
    return Recommendation(action=action, reason=f"{better}, and {road}{clash}")


def _keep(reason: str) -> Recommendation:
    return Recommendation(action=Action.KEEP, reason=reason)


def _figures(verdict: Verdict) -> str:
    if verdict.difference is None:
        return f"{verdict.seeds} seeds"
    return f"{difference_text(verdict)} with {verdict.seeds} seeds"

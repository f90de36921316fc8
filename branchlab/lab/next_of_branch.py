"""The one thing to do next with a branch: from what ``status`` found, with the command that does it and why.

Every place that says it says this: the groups of the overview, the screen of a branch, what ``status`` suggests.
``analysis.recommendation`` says where a branch should go in the end; this says what stands before it now, read from the top:
what is over is put away, what goes on is waited for, what is broken is mended, what is not measured is run, and only what
did well takes the road back to main. ``next_steps`` is about a whole lab.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum

from branchlab.domain import (
    Action,
    Freshness,
    Landed,
    MergeBack,
    Outcome,
    RunState,
    Scale,
)
from branchlab.lab.status import BranchStatus
from branchlab.lab.words import few

SEEDS_MAX = 20
"""More seeds than that are not advised: the difference is smaller than what they cost."""


class Step(StrEnum):
    """What can come next, the most urgent first: what did well and waits for somebody, then what keeps others from a result."""

    MERGE = "merge-back"
    PROVE = "parity"
    GUARD = "guard"
    FLIP = "flip-default"
    SYNC = "sync"
    MEND = "mend"
    FINISH = "finish"
    WAIT = "wait"
    RERUN = "rerun"
    RUN = "run"
    SEEDS = "more-seeds"
    READ = "read"
    COMMIT = "commit"
    DECIDE = "decide"
    DROP = "drop"
    RETIRE = "retire"
    NOTHING = "nothing"

    @property
    def rank(self) -> int:
        """Place in the order of urgency; 0 is the most urgent."""
        return _RANKS[self]

    @property
    def words(self) -> str:
        """What to do."""
        return _WORDS[self][0]

    @property
    def meaning(self) -> str:
        """Of which branches it is said."""
        return _WORDS[self][1]


_RANKS = {step: rank for rank, step in enumerate(Step)}
_WORDS = {
    Step.MERGE: ("merge it back", "better, and it leaves main what it is"),
    Step.PROVE: ("prove parity", "better, and reading cannot tell whether main stays what it is"),
    Step.GUARD: ("guard it", "better, but it would change main: put it behind a flag that is off"),
    Step.FLIP: ("turn its default round", "better, but its flag is on by default"),
    Step.SYNC: ("bring main in", "better, but it conflicts with main"),
    Step.MEND: ("mend it", "its runs failed, or its code breaks main's"),
    Step.FINISH: ("finish its runs", "not all declared seeds are done"),
    Step.WAIT: ("wait", "runs go on"),
    Step.RERUN: ("run it again", "its results are of an older tip, or main has none of its own"),
    Step.RUN: ("run it", "it has no result yet"),
    Step.SEEDS: ("run more seeds", "no difference is shown yet"),
    Step.READ: ("have its code read", "better, but what it changes is not known"),
    Step.COMMIT: ("commit something", "it changes nothing against main yet"),
    Step.DECIDE: ("go on with the idea, or drop it", "a difference would need very many seeds"),
    Step.DROP: ("drop it, and say why", "no better than main"),
    Step.RETIRE: ("retire it", "it is over: in main, or given up"),
    Step.NOTHING: ("nothing to do", "the branch is gone"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """What comes next; ``because`` says why in a clause, ``command`` does it, "" where none does."""

    step: Step
    because: str
    command: str = ""

    @property
    def verb(self) -> str:
        """The verb of the command; "" where it is none of branchlab's."""
        words = self.command.split()
        return words[1] if words[:1] == ["branchlab"] else ""


def next_step(branch: BranchStatus, *, num_open: int = 0) -> NextStep:
    """Return what to do next with an experiment.

    Args:
        branch: As status shows it.
        num_open: Runs of it that are planned or go on.
    """
    name = branch.standing.branch.name
    for found in (
        _over(branch, name),
        _going_on(num_open, name),
        _empty(branch, name),
        _broken(branch, name),
        _unmeasured(branch, name),
    ):
        if found is not None:
            return found
    return _measured(branch, name)


def _over(branch: BranchStatus, name: str) -> NextStep | None:
    landed = branch.standing.landed
    if branch.standing.branch.is_gone:
        return NextStep(step=Step.NOTHING, because="the branch is gone; its runs stay")
    if branch.given_up:
        because = f"it was given up: {branch.given_up}"
        return NextStep(step=Step.RETIRE, because=because, command=_command("retire", name))
    if branch.merge_back is MergeBack.LANDED or landed in {
        Landed.MERGED,
        Landed.SQUASHED,
        Landed.REBASED,
    }:
        flags = (
            f" behind {', '.join(branch.flags)}"
            if branch.is_landed_as_flag and branch.flags
            else ""
        )
        how = f" ({landed})" if landed.is_settled else ""
        because = f"its content is on main{flags}{how}"
        return NextStep(step=Step.RETIRE, because=because, command=_command("retire", name))
    return None


def _going_on(num_open: int, name: str) -> NextStep | None:
    if not num_open:
        return None
    because = (
        f"{num_open} run{'s' if num_open > 1 else ''} of it go{'' if num_open > 1 else 'es'} on"
    )
    return NextStep(step=Step.WAIT, because=because, command=_command("runs", name))


def _empty(branch: BranchStatus, name: str) -> NextStep | None:
    if branch.standing.has_content is False or branch.standing.main.ahead == 0:
        because = "it changes nothing against main yet"
        return NextStep(
            step=Step.COMMIT, because=because, command=f"git switch {shlex.quote(name)}"
        )
    return None


def _broken(branch: BranchStatus, name: str) -> NextStep | None:
    failed = [r for r in branch.results.records if r.state in {RunState.FAILED, RunState.LOST}]
    if failed and not branch.num_done:
        reason = next((f": {record.reason}" for record in failed if record.reason), "")
        because = f"{len(failed)} of its runs failed and none is done{reason}"
        return NextStep(step=Step.MEND, because=because, command=_command("runs", name))
    if branch.merge_back is MergeBack.BREAKS_BASE:
        because = "its code breaks main's, or does not work itself"
        return NextStep(step=Step.MEND, because=because, command=_command("features", name))
    return None


def _unmeasured(branch: BranchStatus, name: str) -> NextStep | None:
    verdict, step = branch.verdict, Step.RERUN
    because = ""
    if branch.freshness is Freshness.BRANCH_MOVED:
        behind = branch.standing.results_behind
        commits = (
            f"{behind} commit{'s' if behind > 1 else ''} old" if behind else "of an older commit"
        )
        because = f"its results are {commits}"
    elif branch.freshness is Freshness.MAIN_MOVED:
        because = "main has no result to hold it against"
    elif verdict is None or branch.freshness is Freshness.NONE:
        step, because = Step.RUN, "it has no result yet"
    elif verdict.is_interim:
        step = Step.FINISH
        because = f"{verdict.seeds} of {verdict.num_declared} declared seeds are done"
    if not because:
        return None
    return NextStep(step=step, because=because, command=_command("run", name))


def _measured(branch: BranchStatus, name: str) -> NextStep:
    verdict, advice = branch.verdict, branch.recommendation
    assert verdict is not None
    if verdict.outcome is Outcome.UNDECIDED:
        needed = verdict.seeds_needed
        if needed and needed > SEEDS_MAX:
            command = f"{_command('note', name)} 'why' --dropped"
            return NextStep(step=Step.DECIDE, because=advice.reason, command=command)
        seeds = f" --seeds {needed}" if needed else ""
        command = _command("run", name) + seeds
        return NextStep(step=Step.SEEDS, because=advice.reason, command=command)
    if verdict.outcome is not Outcome.BETTER:
        command = f"{_command('note', name)} 'why' --dropped"
        return NextStep(step=Step.DROP, because=advice.reason, command=command)
    if branch.merge_back is MergeBack.NOTHING:
        because = "it brings nothing that runs"
        return NextStep(step=Step.READ, because=because, command=_command("features", name))
    return _road_back(branch, name)


def _road_back(branch: BranchStatus, name: str) -> NextStep:
    """Return the next step of a branch that is better than main."""
    advice, conflicts = branch.recommendation, branch.standing.conflicts
    alone = ""
    if branch.verdict is not None and branch.verdict.scale is Scale.SAMPLE:
        alone = "; so far on the sample alone"
    because = f"{advice.reason}{alone}"
    if conflicts:
        because = f"better than main, but it conflicts in {few(conflicts)}{alone}"
        return NextStep(step=Step.SYNC, because=because, command=_command("sync", name))
    match advice.action:
        case Action.GUARD_FIRST if branch.merge_back is MergeBack.NEEDS_FLAG:
            step, verb = Step.GUARD, "guard"
        case Action.GUARD_FIRST:
            step, verb = Step.MEND, "parity"
        case Action.FLIP_DEFAULT:
            step, verb = Step.FLIP, "features"
        case Action.MERGE_NOW:  # parity is proved on the way, or nothing is merged
            step, verb = Step.MERGE, "merge-back"
        case Action.PROVE_FIRST:
            step, verb = Step.PROVE, "parity"
        case Action.KEEP | Action.DROP | Action.NOTHING:
            step, verb = Step.READ, "features"
    return NextStep(step=step, because=because, command=_command(verb, name))


def _command(verb: str, name: str) -> str:
    return f"branchlab {verb} {shlex.quote(name)}"

"""``parity --all-ready``: every branch that is ready, merged into one tree and proved together.

Winners that were measured one by one often clash: in their files, in what they leave of main, or in what their flags still do beside
the others' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from branchlab.domain import Branch, Flags, MergeBack, ParityCheck, ParityStatus, Recording
from branchlab.errors import RepositoryError
from branchlab.git.memo import Tell, silently
from branchlab.lab.parity import Idea, ParityProof, ParityRequest
from branchlab.lab.project import Project
from branchlab.lab.recordings import Side
from branchlab.lab.status import status
from branchlab.schedule.executor import Executor

_READY = {MergeBack.READY, MergeBack.ADDITIVE}
_DEMAND = [ParityStatus.DIFFERS, ParityStatus.NOT_RUN, ParityStatus.NEUTRAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A branch that is ready by itself and could not be merged onto the others."""

    branch: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """All flags on at once: whether that trains, and the loss of the last step beside main's."""

    flags: Flags
    steps: int
    failure: str
    loss: float | None
    main_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedParity:
    """Both promises of all merges together.

    Attributes:
        branches: Those that were merged, in that order. ``on``: one check each.
    """

    branches: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    off: ParityCheck
    on: tuple[ParityCheck, ...]
    together: Together | None

    @property
    def worst_on(self) -> ParityCheck:
        """The check that demands most."""
        none = ParityCheck(status=ParityStatus.NOT_RUN, reason="no branch is ready")
        return min(self.on, key=lambda check: _DEMAND.index(check.status), default=none)

    @property
    def holds(self) -> bool:
        """Whether all of them may be merged."""
        fails = self.together is not None and bool(self.together.failure)
        are_on = all(check.holds for check in self.on)
        return self.off.holds and are_on and not fails and not self.left_out


def prove_all_ready(
    project: Project,
    request: ParityRequest,
    *,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> CombinedParity:
    """Merge every branch that is ready into one tree, in memory, and hold it against main and against each branch.

    Raises:
        RepositoryError: No branch is ready.
        ConfigError: There is no task.
        KeyboardInterrupt: The user interrupted; nothing is left behind.
    """
    ready = _ready(project, tell)
    if not ready:
        raise RepositoryError(
            "no branch is ready to be merged back", hint="see what each needs: branchlab features"
        )
    with ParityProof(project, request, executor=executor, tell=tell) as proof:
        ideas, left_out = _that_merge(proof, [proof.idea(branch.name) for branch in ready])
        union = proof.union([idea.branch.tip for idea in ideas])
        with proof.checked_out(union.tree) as merged:
            off, checks, together = _prove(proof, ideas, merged)
    return CombinedParity(
        branches=tuple(idea.branch.name for idea in ideas),
        left_out=left_out,
        off=off,
        on=checks,
        together=together,
    )


def _ready(project: Project, tell: Tell) -> list[Branch]:
    return [
        one.standing.branch
        for one in status(project, tell=tell).branches
        if one.merge_back in _READY and not one.standing.branch.remote
    ]


def _that_merge(
    proof: ParityProof, ideas: Sequence[Idea]
) -> tuple[list[Idea], tuple[LeftOut, ...]]:
    """Return those that merge onto each other, one by one, and the others with their conflicts."""
    taken: list[Idea] = []
    left_out = []
    for idea in ideas:
        union = proof.union([*(one.branch.tip for one in taken), idea.branch.tip])
        if union.conflicts:
            files = ", ".join(union.conflicts[:3])
            beside = f" beside {', '.join(one.branch.name for one in taken)}" if taken else ""
            left_out.append(
                LeftOut(branch=idea.branch.name, reason=f"conflicts in {files}{beside}")
            )
        else:
            taken.append(idea)
    return taken, tuple(left_out)


def _prove(
    proof: ParityProof, ideas: Sequence[Idea], merged: Side
) -> tuple[ParityCheck, tuple[ParityCheck, ...], Together]:
    off = replace(merged, name=f"{proof.main.name} with {len(ideas)} branches merged")
    main = proof.of_main()
    with ExitStack() as stack:
        models = [stack.enter_context(proof.model_of(idea, merged)) for idea in ideas]
        ons = [
            replace(
                off, name=f"{off.name} and the flags of {idea.branch.name} on", flags=idea.flags
            )
            for idea in ideas
        ]
        flags = {name: value for idea in ideas for name, value in idea.flags.items()}
        all_on = replace(off, name=f"{off.name} and all flags on", flags=flags)
        beside = [model for model in models if model is not None]
        known = proof.record([main, off, all_on, *ons, *beside])
        check = proof.compared(main, off, known)
        ran = [one for (name, _), one in known.items() if name == off.name and not one.failure]
        check = replace(check, not_exercised=proof.unseen(ideas, ran))
        checks = tuple(
            proof.on_check(idea, off, on, model, known)
            for idea, on, model in zip(ideas, ons, models, strict=True)
        )
        return check, checks, _together(flags, known[main.name, 0], known[all_on.name, 0])


def _together(flags: Flags, main: Recording, all_on: Recording) -> Together:
    ours, theirs = main.losses(), all_on.losses()
    num = min(len(ours), len(theirs))
    return Together(
        flags=flags,
        steps=len(theirs),
        failure=all_on.failure,
        loss=theirs[num - 1] if num else None,
        main_loss=ours[num - 1] if num else None,
    )

"""What the check of a branch comes to: its trainings, held against each other, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from branchlab.analysis.determinism.chance import cause_of, cause_of_unfilled, unfilled
from branchlab.analysis.determinism.interruption import interrupted_difference, joined, lacking
from branchlab.analysis.determinism.kernels import place_in, refused_operation
from branchlab.domain import (
    Cause,
    Determinism,
    DeterminismStatus,
    Divergence,
    Outside,
    Proof,
    Recording,
    Resume,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """Two trainings that part."""

    one: Recording
    two: Recording
    divergence: Divergence
    tried: tuple[Outside, ...]


def does_not_train(one: Recording) -> bool:
    """Whether a training ended early, or its loss comes from memory that nobody wrote."""
    return bool(one.failure) or unfilled(one) is not None


def failed(blank: Determinism, one: Recording) -> Determinism:
    """Return what is said of a branch that does not train."""
    nothing = replace(blank.repeat, status=Proof.NOT_RUN)
    where = unfilled(one)
    if not one.failure and where is not None:
        cause = cause_of_unfilled(one, where.step)
        reason = f"the loss is no number at step {where.step}"
        return replace(
            blank,
            status=DeterminismStatus.FAILED,
            repeat=replace(nothing, reason=reason),
            first_difference=where,
            cause=cause,
        )
    cause = refused_operation(one)
    step = one.num_steps + any(note.step for note in one.notes)
    stage = "operation" if cause else "training"
    return replace(
        blank,
        status=DeterminismStatus.FAILED,
        repeat=replace(nothing, reason=one.failure),
        first_difference=Divergence(
            step=step, stage=stage, where=place_in(one.failure) or "the task", reason=one.failure
        ),
        cause=cause,
    )


def differs(blank: Determinism, parting: Parting) -> Determinism:
    """Return what is said of a branch whose trainings part."""
    return replace(
        blank,
        status=DeterminismStatus.DIFFERS,
        repeat=replace(blank.repeat, status=Proof.DIFFERS),
        first_difference=parting.divergence,
        cause=cause_of(parting.one, parting.two, parting.tried),
    )


def resumed(
    blank: Determinism,
    resume: Resume,
    whole: Recording,
    attempts: Sequence[Recording],
    failures: tuple[str, str],
) -> Determinism:
    """Return what is said of a branch that trained whole and in several attempts; ``failures`` are of these two."""
    if failures[0]:
        resume = replace(resume, status=Proof.NOT_RUN, reason=failures[0])
        return replace(blank, status=DeterminismStatus.FAILED, resume=resume)
    cut = joined(attempts)
    found = interrupted_difference(whole, cut)
    if found is None and not failures[1]:
        return replace(blank, resume=resume)
    if found is None:
        found = Divergence(step=cut.num_steps, stage="resume", where="the task", reason=failures[1])
    cause: Cause = lacking(whole, cut, found)
    return replace(
        blank,
        status=DeterminismStatus.DIFFERS,
        resume=replace(resume, status=Proof.DIFFERS, reason=failures[1]),
        first_difference=found,
        cause=cause,
    )


def said_of_hashes(parting: Parting) -> str:
    """Return the remark on trainings that part with the hash seed alone."""
    cause = cause_of(parting.one, parting.two, (Outside.HASHES,))
    where = f"{cause.operation} ({cause.place})" if cause.place else parting.divergence.where
    return (
        f"{parting.divergence.stage}: {where} depends on the hash seed, which every run here has fixed; "
        "elsewhere it trains differently"
    )

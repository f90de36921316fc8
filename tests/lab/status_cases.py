"""Overviews as values, for tests of what is said of them."""

from __future__ import annotations

from datetime import UTC, datetime

from branchlab.analysis.results import BranchResults
from branchlab.domain import (
    Action,
    Branch,
    Drift,
    Freshness,
    Goal,
    Landed,
    MergeBack,
    Outcome,
    Overview,
    Recommendation,
    Scale,
    Standing,
    Verdict,
)
from branchlab.lab.status import BranchStatus, Status

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def branch_of(name: str, *, is_gone: bool = False) -> Branch:
    return Branch(name=name, tip="a" * 40, tree="b" * 40, last_commit_at=LONG_AGO, is_gone=is_gone)


def verdict(
    outcome: Outcome = Outcome.BETTER,
    *,
    difference: float | None = 0.02,
    interval: tuple[float, float] | None = (0.01, 0.03),
    seeds: int = 3,
    is_interim: bool = False,
    seeds_needed: int | None = None,
) -> Verdict:
    return Verdict(
        branch="exp/a",
        outcome=outcome,
        difference=difference,
        interval=interval,
        confidence=0.95,
        seeds=seeds,
        p_better=0.9 if seeds > 1 else None,
        seeds_needed=seeds_needed,
        scale=Scale.SAMPLE,
        sentence=f"{outcome} than main: +2.00 points, 95% interval [1.00, 3.00], {seeds} seeds",
        is_interim=is_interim,
        num_declared=4 if is_interim else seeds,
        is_share=True,
    )


def experiment(  # noqa: PLR0913  what one row is made of
    name: str,
    *,
    judged: Verdict | None = None,
    action: Action = Action.KEEP,
    merge_back: MergeBack | None = MergeBack.READY,
    fresh: Freshness = Freshness.CURRENT,
    conflicts: tuple[str, ...] = (),
    running: int = 0,
    failed: int = 0,
    notes: tuple[str, ...] = (),
    given_up: str = "",
) -> BranchStatus:
    standing = Standing(
        branch=branch_of(name),
        main=Drift(merge_base="c" * 40, ahead=2, behind=5),
        reference=Drift(merge_base="c" * 40, ahead=7, behind=0),
        base_branch="main",
        landed=Landed.NO,
        landed_commits=0,
        conflicts=conflicts,
        has_content=True,
    )
    return BranchStatus(
        standing=standing,
        title="",
        freshness=fresh if judged else Freshness.NONE,
        results=BranchResults(),
        verdict=judged,
        mean=0.875 if judged else None,
        num_done=judged.seeds if judged else 0,
        num_running=running,
        num_failed=failed,
        is_stale=False,
        merge_back=merge_back,
        recommendation=Recommendation(action=action, reason="because"),
        notes=notes,
        given_up=given_up,
    )


def overview(*branches: BranchStatus) -> Status:
    standings = tuple(one.standing for one in branches)
    return Status(
        overview=Overview(main=branch_of("main"), reference=None, standings=standings),
        metric="val/accuracy",
        goal=Goal.MAX,
        main_results=BranchResults(),
        reference_results=BranchResults(),
        branches=branches,
        warnings=(),
    )

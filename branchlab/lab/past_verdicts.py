"""Verdicts as they were: of every batch of runs that ended, those that differ from what was said of the branch before.

Each is judged on the runs that were there at the time, which for 200 branches of three seeds takes most of a minute. What
came of a beginning of the story never changes, so it is kept by a digest of that beginning: later only what is new is
judged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from branchlab.analysis.results import Subject
from branchlab.domain import Outcome, Run, RunRecord, RunState, Scale, Verdict
from branchlab.lab.branches import is_experiment_name
from branchlab.lab.judge import KIND, judge_all, verdicts_kept
from branchlab.lab.project import Project

_KIND = "past verdicts-1"
"""Raise the number when the choice of what is told changes; the method's own number is in every key."""
_WRITTEN_EVERY = 20
"""Ends between two writes: a reader that is closed meanwhile loses only so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastVerdict:
    """What the runs said of a branch once some of them had ended."""

    at: datetime
    verdict: Verdict


def past_verdicts(project: Project, records: Sequence[RunRecord]) -> Iterator[PastVerdict]:
    """Yield every verdict that differs from the branch's last one at its scale, oldest first."""
    done = sorted(
        (r for r in records if r.state is RunState.DONE and r.ended_at is not None),
        key=lambda record: record.ended_at or datetime.fromtimestamp(0, UTC),
    )
    ends = [
        i for i, r in enumerate(done) if i + 1 == len(done) or done[i + 1].run.batch != r.run.batch
    ]
    keys = _digests(project, done, ends)
    memo = project.memo()
    kept = memo.get(_KIND, keys)
    said: dict[tuple[str, Scale], Outcome] = {}
    new: dict[str, bytes] = {}
    for end, key in zip(ends, keys, strict=True):
        known = verdicts_kept(kept[key]) if key in kept else None
        judged = _judged(project, done[: end + 1]) if known is None else known
        told = [v for v in judged if said.get((v.branch, v.scale)) is not v.outcome]
        said |= {(verdict.branch, verdict.scale): verdict.outcome for verdict in told}
        if known is None:
            new[key] = json.dumps([asdict(verdict) for verdict in told]).encode()
        if len(new) == _WRITTEN_EVERY:
            memo.put(_KIND, new)
            new = {}
        at = done[end].ended_at
        assert at is not None
        yield from (PastVerdict(at=at, verdict=verdict) for verdict in told)
    memo.put(_KIND, new)


def _digests(project: Project, done: Sequence[RunRecord], ends: Sequence[int]) -> list[str]:
    """Return, by end, a digest of all that its verdicts rest on: the runs up to it, and what is asked of them."""
    run, branches = project.config.run, project.config.branches
    asked = [KIND, run.metric, run.goal, run.min_effect, branches.main, branches.reference]
    digest = hashlib.sha256(json.dumps([*asked, branches.experiments]).encode()).hexdigest()
    found = []
    for start, end in zip([0, *(end + 1 for end in ends)], ends, strict=False):
        part = [[r.run.id, sorted(r.metrics.items())] for r in done[start : end + 1]]
        digest = hashlib.sha256(f"{digest}{json.dumps(part)}".encode()).hexdigest()
        found.append(digest)
    return found


def _judged(project: Project, then: Sequence[RunRecord]) -> list[Verdict]:
    """Return the verdicts on what was there when the last of some runs had ended."""
    # One scale at a time: what has run on both is judged on either.
    then = [record for record in then if record.run.scale is then[-1].run.scale]
    latest = {record.run.branch: record.run for record in then}
    # Runs of main with the flags of what has landed are no baseline.
    main = project.config.branches.main
    bases = [r.run for r in then if r.run.branch == main and not r.run.flags]
    if not bases:
        return []
    subjects = [
        _subject(run) for branch, run in latest.items() if is_experiment_name(project, branch)
    ]
    metric = project.config.run.metric
    judged = judge_all(
        then, subjects, _subject(bases[-1]), metric=metric, project=project, taken={}
    )
    verdicts = (one.verdict for one in judged.values())
    return [verdict for verdict in verdicts if verdict is not None and verdict.interval is not None]


def _subject(run: Run) -> Subject:
    return Subject(branch=run.branch, tree=run.tree, content=run.content, flags=run.flags)

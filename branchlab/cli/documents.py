"""The JSON documents of the commands. Their keys are a contract: more may be added, none renamed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from branchlab.cli.promotion_documents import baseline_document, trust_document
from branchlab.domain import (
    Counterpart,
    Drift,
    Feature,
    RunRecord,
    RunState,
    Verdict,
)
from branchlab.run_folder import to_text

if TYPE_CHECKING:
    from branchlab.analysis.by_example import ByExample
    from branchlab.analysis.results import BranchResults
    from branchlab.lab.feature_reading import BranchFeatures
    from branchlab.lab.guard import Guarded
    from branchlab.lab.judge import Comparison
    from branchlab.lab.judge_slices import SlicedBranch
    from branchlab.lab.landed_flags import LandedFlag
    from branchlab.lab.progress import Progress
    from branchlab.lab.status import BranchStatus, Status

Document = dict[str, Any]


def print_document(document: Document) -> None:
    """Print one document on stdout, broken into lines where somebody reads it."""
    # Python's encoder takes ten times longer with an indent: 0.2 s for 5,000 branches.
    indent = 1 if sys.stdout.isatty() else None
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    click.echo(json.dumps(document, indent=indent, ensure_ascii=not is_unicode))


def run_document(record: RunRecord) -> Document:
    """Return a run as ``runs --json`` lists it."""
    run = record.run
    return {
        "id": run.id,
        "branch": run.branch,
        "commit": run.commit,
        "tree": run.tree,
        "seed": run.seed,
        "scale": str(run.scale),
        "sample": {
            "fraction": run.sample.fraction,
            "strategy": run.sample.strategy,
            "seed": run.sample.seed,
            "class_min": run.sample.class_min,
            "manifest": run.sample.manifest or None,
        },
        "flags": dict(run.flags),
        "state": str(record.state),
        "reason": record.reason,
        "device": run.device,
        "metrics": {name: _plain(value) for name, value in record.metrics.items()},
        "epoch": record.epoch,
        "epochs": record.epochs,
        "step": record.step,
        "steps": record.steps,
        "images_per_s": record.images_per_s,
        "attempts": record.attempts,
        "usage": dict(record.usage),
        "budget_s": run.budget_s,
        "command": None if run.script is None else list(run.script.command),
        "batch": run.batch,
        "key": run.key,
        "planned_at": to_text(run.planned_at),
        "started_at": to_text(record.started_at),
        "ended_at": to_text(record.ended_at),
        "duration_s": record.duration_s,
    }


def print_events(progress: Progress) -> None:
    """Print what has just happened to a batch, one JSON document a line."""
    for kind, records in (("started", progress.started), ("ended", progress.ended)):
        for record in records:
            _print_line({"event": kind, "run": run_document(record)})
    for record, text in progress.remarks:
        _print_line({"event": "note", "text": text, "run": run_document(record)})
    for record in progress.moved:
        _print_line({"event": "progress", "run": run_document(record)})


def _print_line(document: Document) -> None:
    click.echo(json.dumps(document, ensure_ascii=False))


def runs_document(records: Sequence[RunRecord]) -> Document:
    """Return the document of ``runs``."""
    return {"runs": [run_document(record) for record in records]}


def status_document(found: Status) -> Document:
    """Return the document of ``status``."""
    seen = found.overview
    reference = seen.reference
    return {
        "main": {
            "name": seen.main.name,
            "tip": seen.main.tip,
            "results": _means(found.main_results, found.metric),
        },
        "reference": None
        if reference is None
        else {
            "name": reference.name,
            "tip": reference.tip,
            "pinned": reference.pinned,
            "is_moved": reference.is_moved,
            "main_ahead": reference.main_ahead,
            "main_behind": reference.main_behind,
            "state": str(reference.pin),
            "remote": reference.remote or None,
            "repin_reason": found.repin_reason or None,
            "departure": None
            if reference.departure is None
            else {
                "files": reference.departure.num_files,
                "insertions": reference.departure.num_insertions,
                "deletions": reference.departure.num_deletions,
            },
            "results": _means(found.reference_results, found.metric),
        },
        "metric": found.metric,
        "goal": str(found.goal),
        "baseline": None if found.baseline is None else baseline_document(found.baseline),
        "trust": trust_document(found.trust),
        "branches": [_branch_document(branch) for branch in found.branches],
        "warnings": list(found.warnings),
    }


def _branch_document(branch: BranchStatus) -> Document:
    standing = branch.standing
    reference = standing.reference or Drift(merge_base=None, ahead=None, behind=None)
    return {
        "name": standing.branch.name,
        "title": branch.title,
        "tip": standing.branch.tip,
        "remote": standing.branch.remote or None,
        "is_deleted": standing.branch.is_gone,
        "merge_base": standing.main.merge_base,
        "merge_base_at": to_text(standing.merge_base_at),
        "merge_bases": standing.num_merge_bases,
        "ahead": standing.main.ahead,
        "behind": standing.main.behind,
        "reference_ahead": reference.ahead,
        "reference_behind": reference.behind,
        "base_branch": standing.base_branch,
        "is_base_moved": standing.is_base_moved,
        "own_commits": standing.num_own,
        "landed": str(standing.landed),
        "landed_commits": standing.landed_commits,
        "conflicts": None if standing.conflicts is None else list(standing.conflicts),
        "is_stale": branch.is_stale,
        "last_commit_at": to_text(standing.branch.last_commit_at),
        "upstream": _upstream(standing.counterpart),
        "notes": list(branch.notes),
        "dependencies_changed": list(branch.dependencies_changed),
        "given_up": branch.given_up or None,
        "hypotheses": [
            {
                "id": one.hypothesis.id,
                "state": str(one.state),
                "registered": str(one.registration),
                "words": one.words,
            }
            for one in branch.hypotheses
        ],
        "remark": branch.remark or None,
        "worktrees": [
            {"path": str(place.path), "operation": place.operation or None}
            for place in standing.checked_out
        ],
        "features": None
        if branch.features is None
        else {str(verdict): num for verdict, num in branch.features.items()},
        "merge_back": None if branch.merge_back is None else str(branch.merge_back),
        "recommendation": {
            "action": str(branch.recommendation.action),
            "reason": branch.recommendation.reason,
        },
        "flags": dict(branch.flags),
        "landed_as_flag": branch.is_landed_as_flag,
        "parity": None
        if branch.parity is None
        else {"off": str(branch.parity.off.status), "on": str(branch.parity.on.status)},
        "results": str(branch.freshness),
        "results_commit": branch.results.records[0].run.commit if branch.results.records else None,
        "results_behind": standing.results_behind,
        "runs": {
            "done": branch.num_done,
            "running": branch.num_running,
            "failed": branch.num_failed,
        },
        "mean": branch.mean,
        "verdict": None if branch.verdict is None else str(branch.verdict.outcome),
        "difference": None if branch.verdict is None else branch.verdict.difference,
        "interval": None
        if branch.verdict is None or not branch.verdict.interval
        else list(branch.verdict.interval),
        "is_interim": branch.verdict is not None and branch.verdict.is_interim,
    }


def _upstream(counterpart: Counterpart | None) -> Document | None:
    if counterpart is None:
        return None
    return {
        "name": counterpart.name,
        "ahead": counterpart.ahead,
        "behind": counterpart.behind,
        "is_gone": counterpart.is_gone,
    }


def compare_document(
    found: Comparison,
    *,
    sliced: Sequence[SlicedBranch] = (),
    by_example: Mapping[str, ByExample] | None = None,
) -> Document:
    """Return the document of ``compare``; slices and the test by example are in it where they were asked for."""
    from branchlab.lab.judge import why_none

    slices = {one.branch: one for one in sliced}
    branches = []
    for judged in found.judged:
        name, verdict = judged.subject.branch, judged.verdict
        other = found.other_scales.get(name)
        document = {
            "name": name,
            **_verdict_document(verdict),
            "scale": str(verdict.scale) if verdict else None,
            "other_scale": None if other is None else str(other),
            "sentence": verdict.sentence
            if verdict
            else f"undecided: {why_none(judged, found) or 'no run of this branch has finished'}",
            "sample_differs": found.samples.get(name),
            "environment_differs": found.environments.get(name),
        }
        if name in slices:
            document["slices"] = [
                {
                    "name": part,
                    "mean": slices[name].means[part],
                    **_verdict_document(verdict),
                    "sentence": verdict.sentence,
                }
                for part, verdict in slices[name].verdicts.items()
            ]
        if by_example is not None:
            document["by_example"] = _by_example_document(by_example.get(name))
        branches.append(document)
    return {
        "metric": found.metric,
        "goal": str(found.goal),
        "against": found.against,
        "branches": branches,
        "trust": trust_document(found.trust),
    }


def _verdict_document(verdict: Verdict | None) -> Document:
    return {
        "verdict": "undecided" if verdict is None else str(verdict.outcome),
        "difference": verdict and verdict.difference,
        "interval": list(verdict.interval) if verdict and verdict.interval else None,
        "confidence": verdict.confidence if verdict else 0.95,
        "seeds": verdict.seeds if verdict else 0,
        "seeds_declared": verdict.num_declared if verdict else 0,
        "looks": verdict.looks if verdict else 0,
        "is_interim": verdict is not None and verdict.is_interim,
        "p_better": verdict and verdict.p_better,
        "seeds_needed": verdict and verdict.seeds_needed,
    }


def _by_example_document(found: ByExample | None) -> Document | None:
    if found is None:
        return None
    return {
        "test": str(found.test),
        "p": found.p_value,
        "examples": found.num_examples,
        "seeds": found.num_seeds,
        "gained": found.gained,
        "lost": found.lost,
    }


def features_document(branches: Sequence[BranchFeatures]) -> Document:
    """Return the document of ``features``."""
    return {
        "branches": [
            {
                "name": branch.name,
                "base": branch.base or None,
                "head": branch.head,
                "merge_back": str(branch.merge_back),
                "problem": branch.problem or None,
                "features": [_feature_document(feature) for feature in branch.features],
            }
            for branch in branches
        ]
    }


def flags_document(main: str, flags: Sequence[LandedFlag]) -> Document:
    """Return the document of ``features main``."""
    return {
        "branches": [],
        "main": main,
        "flags": [
            {
                "name": flag.name,
                "experiment": flag.experiment,
                "value": flag.value,
                "commit": flag.commit,
                "since": to_text(flag.since),
                "defaults": list(flag.defaults),
                "is_off": flag.is_off,
                "used_by": list(flag.used_by),
                "read_in": list(flag.read_in),
                "ripeness": str(flag.ripeness),
                "reason": flag.reason,
            }
            for flag in flags
        ],
    }


def guard_document(found: Guarded) -> Document:
    """Return the document of ``guard``."""
    return {
        "branch": found.branch,
        "feature": found.feature,
        "flag": found.flag,
        "files": list(found.files),
        "diff": found.diff,
        "branch_made": found.branch_made,
        "commit": found.commit,
        "refused": [
            {
                "feature": one.feature.id,
                "symbol": one.feature.symbol,
                "path": one.feature.path,
                "reason": one.reason,
                "by_hand": one.by_hand,
            }
            for one in found.refused
        ],
    }


def _feature_document(feature: Feature) -> Document:
    return {
        "id": feature.id,
        "verdict": str(feature.verdict),
        "kind": feature.kind,
        "symbol": feature.symbol,
        "path": feature.path,
        "line": feature.line,
        "flag": feature.flag,
        "default": feature.default,
        "reason": feature.reason,
        "warnings": list(feature.warnings),
        "also_on": list(feature.also_on),
    }


def _means(results: BranchResults, metric: str) -> Document | None:
    values = results.seeds(metric)
    if not values:
        return None
    return {
        "metric": metric,
        "mean": sum(values.values()) / len(values),
        "seeds": len(values),
        "is_of_tip": results.is_of_tip,
        "failed": results.count(RunState.FAILED, RunState.LOST),
    }


def _plain(value: float) -> float | str:
    # JSON has no NaN; a script that reads strictly must not choke on a diverged run.
    return value if abs(value) < float("inf") else str(value)

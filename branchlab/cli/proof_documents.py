"""The JSON documents of what runs code to look at it: ``parity``, ``merge-back``, ``drift``, ``annotate``; and of ``retire``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from branchlab.analysis.annotations.review import CommentState
from branchlab.cli.documents import Document
from branchlab.domain import Parity, ParityCheck
from branchlab.run_folder import to_text

if TYPE_CHECKING:
    from branchlab.lab.all_ready import CombinedParity
    from branchlab.lab.annotate import Annotated
    from branchlab.lab.drift import DriftReport
    from branchlab.lab.merge_back import Merged
    from branchlab.lab.retire import Retired


def parity_document(found: Parity) -> Document:
    """Return the document of ``parity`` for one branch."""
    return {
        "branch": found.branch,
        "main": found.main,
        "tip": found.tip,
        "flags": found.flags,
        "off": _check(found.off),
        "on": _check(found.on),
    }


def combined_document(found: CombinedParity) -> Document:
    """Return the document of ``parity --all-ready``."""
    together = found.together
    return {
        "branch": None,
        "branches": list(found.branches),
        "left_out": [{"branch": one.branch, "reason": one.reason} for one in found.left_out],
        "off": _check(found.off),
        "on": _check(found.worst_on),
        "each": [
            {"branch": name, "on": _check(check)}
            for name, check in zip(found.branches, found.on, strict=True)
        ],
        "together": None
        if together is None
        else {
            "flags": dict(together.flags),
            "steps": together.steps,
            "failure": together.failure,
            "loss": _number(together.loss),
            "main_loss": _number(together.main_loss),
        },
    }


def _check(check: ParityCheck) -> Document:
    first = check.first_difference
    return {
        "status": str(check.status),
        "steps": check.steps,
        "first_difference": None
        if first is None
        else {
            "step": first.step,
            "stage": first.stage,
            "where": first.where,
            "reason": first.reason,
            "remedy": first.remedy,
        },
        "compared": check.compared,
        "reason": check.reason,
        "tolerance": check.tolerance,
        "kernels": list(check.kernels),
        "not_exercised": list(check.not_exercised),
    }


def merge_back_document(found: Merged) -> Document:
    """Return the document of ``merge-back``."""
    return {
        "branch": found.branch,
        "is_merged": found.commit is not None,
        "made": found.made,
        "commit": found.commit,
        "is_in_main": found.is_in_main,
        "steps": [
            {
                "step": str(one.step),
                "passed": one.is_passed,
                "said": one.said,
                "hint": one.hint,
            }
            for one in found.steps
        ],
        "parity": None if found.evidence is None else parity_document(found.evidence.parity),
    }


def retire_document(found: Retired) -> Document:
    """Return the document of ``retire``."""
    return {
        "branch": found.branch,
        "tip": found.tip,
        "tag": found.tag,
        "worktree": None if found.worktree is None else str(found.worktree),
        "runs": found.num_runs,
    }


def drift_document(found: DriftReport) -> Document:
    """Return the document of ``drift``."""
    culprit = found.culprit
    return {
        "reference": found.reference,
        "main": found.main,
        **_check(found.check),
        "commits": found.num_commits,
        "trained": found.num_trained,
        "culprit": None
        if culprit is None
        else {
            "commit": culprit.commit,
            "subject": culprit.subject,
            "at": to_text(culprit.at),
            "untold": list(culprit.untold),
            **_check(culprit.check),
        },
    }


def annotate_document(found: Annotated, *, commit: str | None) -> Document:
    """Return the document of ``annotate``."""
    return {
        "branch": found.branch,
        "work_tree": None if found.folder is None else str(found.folder),
        "files": [
            {
                "path": one.path,
                "comments": [
                    {
                        "line": finding.line,
                        "function": finding.function,
                        "text": finding.text,
                        "old": finding.old,
                        "state": str(finding.state),
                    }
                    for finding in one.findings
                ],
                "trouble": one.trouble,
                "left_out": list(one.left_out),
            }
            for one in found.files
        ],
        **{f"num_{state}": found.num(state) for state in CommentState},
        "batches": [
            {"batch": size.batch, "height": size.height, "width": size.width}
            for size in found.batches
        ],
        "failure": found.failure,
        "notes": list(found.notes),
        "diff": found.diff,
        "commit": commit,
    }


def _number(value: float | None) -> float | str | None:
    """Return a number as JSON has it: one that is not finite as text."""
    return value if value is None or math.isfinite(value) else str(value)

"""What is said of a run beside its curves, in words that every tool takes: title, group, settings, labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from branchlab.domain import Run, Scale

_OF_ONE_RUN = {"id", "key", "seed", "branch", "commit", "batch", "planned_at"}


def title_of(run: Run) -> str:
    """Return what a run is called in lists."""
    return f"{run.branch} seed {run.seed}"


def group_of(run: Run) -> str:
    """Return what all seeds of one experiment share: branch and commit, and a digest of all else that is equal."""
    shared = {name: value for name, value in asdict(run).items() if name not in _OF_ONE_RUN}
    digest = hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()
    return f"{run.branch}@{run.commit[:10]} {digest[:6]}"


def settings_of(run: Run) -> Mapping[str, bool | int | float | str]:
    """Return what was set: flags by their own names, the rest with a dot in its name, so that none hides another."""
    found: dict[str, bool | int | float | str] = dict(run.flags)
    found |= {f"arguments.{name}": value for name, value in run.arguments.items()}
    found |= {"run.seed": run.seed, "run.scale": str(run.scale), "run.device": run.device}
    if run.scale is Scale.SAMPLE:
        found |= {"sample.fraction": run.sample.fraction, "sample.strategy": run.sample.strategy}
    overrides = {"run.epochs": run.epochs, "run.budget_s": run.budget_s}
    found |= {name: value for name, value in overrides.items() if value is not None}
    if run.script is not None:
        found["run.command"] = run.script.line
    if run.processes > 1:
        found["run.processes"] = run.processes
    return found


def labels_of(run: Run) -> Mapping[str, str]:
    """Return what a run can be found by."""
    return {
        "branch": run.branch,
        "commit": run.commit,
        "tree": run.tree,
        "seed": str(run.seed),
        "scale": str(run.scale),
        "flags": json.dumps(dict(run.flags), sort_keys=True),
        "key": run.key,
        "batch": run.batch,
        "group": group_of(run),
    }

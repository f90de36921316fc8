"""From branches and seeds to runs, as values: what to train, what is known already, and in which order.

A run is keyed by everything that decides its result, so that a result which is known is reused and a rebase that
changes no file keeps its results. Order: seed by seed, main first, so that every branch has its first pair early.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from branchlab.domain import Flags, Run, RunRecord, RunState, Sample, Scale, Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A commit to train, with the flags that its experiment switches on.

    Attributes:
        code: The commit that is checked out where it is another: the branch's files with main's script.
        content: Id of the tree without the descriptions of experiments; the tree's own where it has none.
        environment: Of its own; None is the protocol's.
    """

    branch: str
    commit: str
    tree: str
    code: str = ""
    content: str = ""
    flags: Flags = field(default_factory=dict)
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What all runs of a batch have in common; only runs of one protocol are compared."""

    task: str
    scale: Scale
    sample: Sample
    arguments: Flags = field(default_factory=dict)
    epochs: int | None = None
    deterministic: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    processes: int = 1
    workers: int | None = None
    budget_s: float | None = None
    script: Script | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One line of a plan.

    Attributes:
        known: The record of an earlier run of the same key, or None. When it is done its result is reused; when it is
            not, this plan goes on with it.
    """

    run: Run
    known: RunRecord | None = None

    @property
    def is_reused(self) -> bool:
        return self.known is not None and self.known.state is RunState.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A batch of runs that can be compared pair by pair."""

    batch: str
    runs: tuple[PlannedRun, ...]

    @property
    def to_start(self) -> tuple[Run, ...]:
        return tuple(planned.run for planned in self.runs if not planned.is_reused)


def run_key(target: Target, seed: int, protocol: Protocol) -> str:
    """Return the digest of all that decides a run's result."""
    return _key(target.content or target.tree, target, seed, protocol)


def _key(content: str, target: Target, seed: int, protocol: Protocol) -> str:
    sample = protocol.sample
    document = {
        "tree": content,
        "flags": dict(sorted(target.flags.items())),
        "seed": seed,
        "task": protocol.task,
        "scale": str(protocol.scale),
        "sample": [sample.fraction, sample.strategy, sample.seed]
        if protocol.scale is Scale.SAMPLE
        else None,
        "arguments": dict(sorted(protocol.arguments.items())),
        "epochs": protocol.epochs,
        "deterministic": protocol.deterministic,
        "environment": dict(sorted(protocol.environment.items())),
    }
    # Left out where they are as they always were: results that were known stay known.
    if protocol.scale is Scale.SAMPLE and sample.class_min > 1:
        document["class_min"] = sample.class_min
    if protocol.scale is Scale.SAMPLE and sample.manifest:
        document["manifest"] = sample.manifest
    if protocol.processes > 1:
        document["processes"] = protocol.processes
    if protocol.budget_s is not None:
        document["budget_s"] = protocol.budget_s
    if protocol.script is not None:
        document["script"] = protocol.script.protocol
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def make_plan(
    targets: Sequence[Target],
    seeds: Iterable[int],
    protocol: Protocol,
    *,
    known: Callable[[str], Sequence[RunRecord]],
    now: datetime,
    is_forced: bool = False,
) -> Plan:
    """Return the runs of a batch, seed by seed, main (the first target) before the others.

    Targets of equal content share their runs. ``known`` gives the recorded runs of a key, the latest first;
    ``is_forced`` trains again, as new runs, what is known already; what was interrupted is gone on with all the same.
    """
    planned: dict[str, PlannedRun] = {}
    for seed in seeds:
        for target in targets:
            own = protocol
            if target.environment is not None:
                own = replace(protocol, environment=target.environment)
            key = run_key(target, seed, own)
            if key not in planned:
                # Runs that were recorded before content was are known by their whole tree.
                records = list(known(key)) or list(known(_key(target.tree, target, seed, own)))
                earlier = _earlier(records, is_forced=is_forced)
                run = _new_run(target, seed, own, key=key, known=records, now=now)
                planned[key] = PlannedRun(run=earlier.run if earlier else run, known=earlier)
    return Plan(batch=_batch_name(now), runs=tuple(planned.values()))


def _earlier(records: list[RunRecord], *, is_forced: bool) -> RunRecord | None:
    """Return the record to reuse (a done one, unless forced), else the one to go on with, else None."""
    done = [record for record in records if record.state is RunState.DONE]
    unfinished = [record for record in records if record.state is not RunState.DONE]
    return next(iter(unfinished if is_forced else done or unfinished), None)


def _batch_name(now: datetime) -> str:
    """Return a name that sorts by time; two plans of one second are two batches."""
    return now.strftime("%Y%m%d-%H%M%S-%f")


def _new_run(
    target: Target,
    seed: int,
    protocol: Protocol,
    *,
    key: str,
    known: Sequence[RunRecord],
    now: datetime,
) -> Run:
    taken = {record.run.id for record in known}
    ids = (run_id(target.branch, seed, key, number=n) for n in itertools.count(1))
    return Run(
        id=next(found for found in ids if found not in taken),
        key=key,
        branch=target.branch,
        commit=target.commit,
        tree=target.tree,
        task=protocol.task,
        seed=seed,
        scale=protocol.scale,
        sample=protocol.sample,
        flags=target.flags,
        arguments=protocol.arguments,
        epochs=protocol.epochs,
        deterministic=protocol.deterministic,
        environment=protocol.environment,
        device=protocol.device,
        threads=protocol.threads,
        processes=protocol.processes,
        workers=protocol.workers,
        budget_s=protocol.budget_s,
        script=protocol.script,
        code=target.code,
        content=target.content,
        batch=_batch_name(now),
        planned_at=now,
    )


def run_id(branch: str, seed: int, key: str, *, number: int = 1) -> str:
    """Return a folder name: readable, unique, safe for any branch name; ``number`` tells forced repeats apart."""
    slug = (
        re.sub(r"[^A-Za-z0-9]+", "-", branch.rsplit("/", 1)[-1]).strip("-").lower()[:32] or "branch"
    )
    again = f"-{number}" if number > 1 else ""
    return f"{slug}-s{seed}-{key[:8]}{again}"
